"""Units by any of their names, and from one to another, in files and in front of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets import Dataset
from ditmos.datasets.importers import Options, import_recordings
from ditmos.errors import DitmosError
from ditmos.model.conversion import conversion, plain
from ditmos.model.signal import Signal, fit
from files import motion, table


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((text, "m/s^2") for text in ("m/s2", "m/s²", "M/S2", "m s-2", "ms^-2", "m/s/s", "m/s^2", "[m/s2]")),
        *((text, "deg/s") for text in ("°/s", "dps", "DPS", "deg/s", "deg/sec", "deg per s")),
        *((text, "uS") for text in ("µS", "uS", "us", "microsiemens")),
        *((text, "degC") for text in ("°C", "C", "celsius", "degc")),
        *((text, "mV") for text in ("mV", "mv", "millivolt")),
        ("G", "g"),
        ("Full-scale", "full scale"),
        ("a.u.", "a.u."),
        (" counts ", "counts"),
        ("percent", "percent"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert plain(text) == name


@pytest.mark.parametrize(
    ("old", "new", "value", "made"),
    [
        ("g", "m/s2", 2.0, 19.6133),
        ("m/s^2", "mg", 9.80665, 1000.0),
        ("deg/s", "rad/s", 180.0, np.pi),
        ("uV", "mV", 5.0, 0.005),
        ("V", "uV", 1.0, 1e6),
        ("degC", "K", 20.0, 293.15),
        ("degF", "degC", 212.0, 100.0),
        ("K", "degF", 273.15, 32.0),
        ("hPa", "Pa", 1013.25, 101325.0),
        ("gauss", "uT", 0.5, 50.0),
    ],
)
def test_conversions(old: str, new: str, value: float, made: float) -> None:
    found, back = conversion(old, new), conversion(new, old)
    assert found and back
    assert value * found.factor + found.offset == pytest.approx(made)
    assert made * back.factor + back.offset == pytest.approx(value)


@pytest.mark.parametrize(("old", "new"), [("g", "degC"), ("uS", "V"), ("a.u.", "g"), ("g", "counts"), ("rad", "rad/s")])
def test_what_is_no_conversion(old: str, new: str) -> None:
    assert conversion(old, new) is None


def imported(tmp_path: Path, head: str, form: str = "{:.4f}", **options: object) -> tuple[Dataset, list[str]]:
    for i in range(4):
        table(tmp_path / f"{'ab'[i % 2]}_{i}.csv", 100 * motion(80, seed=i), head=head, form=form.format)
    dataset, report = import_recordings([tmp_path], Options(rate=50.0, window="20", **options))  # type: ignore[arg-type]
    return dataset, report.lines()


def test_files_that_say_their_units_are_converted(tmp_path: Path) -> None:
    plain_one, _ = imported(tmp_path, "ax [m/s2],gx [deg/s],t1 [°C]")
    assert plain_one.units == "m/s^2, deg/s, degC"
    made, lines = imported(tmp_path, "ax [m/s2],gx [deg/s],t1 [°C]", units=("g", "rad/s", "K"))
    assert made.units == "g, rad/s, K"
    expected = plain_one.x * [1 / 9.80665, np.pi / 180, 1] + [0, 0, 273.15]
    np.testing.assert_allclose(made.x, expected, rtol=1e-5)
    assert [line for line in lines if line.startswith("converted")] == [
        "converted from m/s^2 to g",
        "converted from deg/s to rad/s",
        "converted from degC to K",
    ]


def test_files_that_say_nothing_are_named(tmp_path: Path) -> None:
    named, lines = imported(tmp_path, "ax,ay,az", units=("m/s2",))
    assert named.units == "m/s^2" and not any("converted" in line for line in lines)
    scaled, _ = imported(
        tmp_path, "ax [mg],ay [mg],az [mg]", units=("g",), scale=0.001
    )  # a scale says what numbers are
    np.testing.assert_allclose(scaled.values(), named.values() * 0.001, rtol=1e-5)
    assert scaled.units == "g"


def test_counts_stay_counts_when_they_are_converted(tmp_path: Path) -> None:
    counts, _ = imported(tmp_path, "ax [mg],ay [mg],gx [deg/s]", form="{:.0f}")
    made, _ = imported(tmp_path, "ax [mg],ay [mg],gx [deg/s]", form="{:.0f}", units=("g", "g", "rad/s"))
    assert made.x.dtype == np.int16 and made.scale == pytest.approx((0.001, 0.001, np.pi / 180))
    np.testing.assert_array_equal(made.x, counts.x)
    warm, _ = imported(tmp_path, "a [degC],b [degC],c [degC]", form="{:.0f}", units=("K",))
    np.testing.assert_allclose(warm.x, counts.x + 273.15, rtol=1e-6)


def test_what_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match=r"channel ax is in m/s\^2, which is not known to make degC"):
        imported(tmp_path, "ax [m/s2],ay [m/s2],az [m/s2]", units=("degC",))


def test_a_preset_knows_the_units_of_its_files(tmp_path: Path) -> None:
    rows = [f"{1 + i // 600},{'Walking' if i // 300 % 2 else 'Sitting'},{i},0.5,9.80665,-1.0;" for i in range(2400)]
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(rows) + "\n")
    own, _ = import_recordings([tmp_path], Options(), known="wisdm")
    made, _ = import_recordings([tmp_path], Options(units=("g",)), known="wisdm")
    assert own.units == "m/s^2" and made.units == "g"
    np.testing.assert_allclose(made.x[0, 0], [0.5 / 9.80665, 1.0, -1 / 9.80665], rtol=1e-6)


def test_data_are_converted_for_a_model_with_a_word() -> None:
    model = Signal.of((), ["ax", "t"], ["g", "degC"], 1.0)
    found = fit(model, Signal.of((), ["t", "ax"], ["K", "m/s2"], 1.0), "data", raw=False)
    x = np.array([[293.15, 9.80665]], np.float32)
    np.testing.assert_allclose(found.taken(x), [[1.0, 20.0]], rtol=1e-5)
    assert found.taken(x).dtype == np.float32
    assert "data: channel ax converted from m/s2 to g" in found.notes
    with pytest.raises(DitmosError, match="channel t is in Pa, the model was made for degC"):
        fit(model, Signal.of((), ["ax", "t"], ["g", "Pa"], 1.0), "data", raw=False)


def test_raw_samples_of_another_unit_are_the_same_where_the_scales_say_so() -> None:
    model = Signal.of((), ["ax"], ["g"], 0.001)
    counts = np.array([[5]], np.int16)
    found = fit(model, Signal.of((), ["ax"], ["mg"], 1.0), "data", raw=True)
    assert found.taken(counts).tolist() == [[5]]
    with pytest.raises(DitmosError, match=r"channel ax is 2 mg, the model was made for raw samples of 0\.001 g"):
        fit(model, Signal.of((), ["ax"], ["mg"], 2.0), "data", raw=True)
