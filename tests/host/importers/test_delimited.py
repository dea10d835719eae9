"""Text of numbers in all the forms that loggers, phones and spreadsheets write: the right value is always the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets.importers.delimited import read
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Signal
from ditmos.errors import DitmosError
from files import motion, table

VALUES = motion()


def comma(value: float) -> str:
    return f"{value:.4f}".replace(".", ",")


def repr_of(value: float) -> str:
    return repr(float(value))


def only(path: Path, **options: object) -> Signal:
    (recording,) = read(path, Options(**options))
    (signal,) = recording.signals
    return signal


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"head": ""},
        {"end": "\r\n"},
        {"end": "\r"},
        {"separator": "\t", "head": "ax\tay\taz"},
        {"separator": ";", "head": "ax;ay;az"},
        {"separator": " ", "head": "ax ay az"},
        {"separator": ", ", "head": "ax, ay, az"},
        {"separator": "|", "head": "ax|ay|az"},
        # decimal commas: between semicolons, tabs, blanks, and in quotes between commas
        {"separator": ";", "head": "ax;ay;az", "form": comma},
        {"separator": "\t", "head": "ax\tay\taz", "form": comma},
        {"separator": " ", "head": "", "form": comma},
        {"form": lambda v: f'"{comma(v)}"', "head": '"ax","ay","az"'},
        {"form": lambda v: f'"{v:.4f}"', "head": '"ax","ay","az"'},
        {"form": "{:+.4e}".format},
        # encodings: with and without a mark
        {"encoding": "utf-8-sig"},
        {"encoding": "utf-8-sig", "head": ""},
        {"encoding": "utf-16"},
        {"encoding": "utf-16-le"},
        {"encoding": "utf-16-be"},
        {"encoding": "latin-1", "head": "ax [m/s²],ay,az"},
        {"encoding": "utf-8", "head": "ax [m/s²],ay [µg],az"},
        {"encoding": "cp1252", "head": "ax €,ay,az"},
        # headers and comments
        {"head": "# rate: 50 Hz\n# made by a logger, v1.2\nax,ay,az"},
        {"head": "% ax, ay, az"},
        {"head": "Device: 17\nDate,2024-01-02\n\nax,ay,az\ng,g,g"},
        {"head": "\n".join(f"% header line {i}; of a logger" for i in range(40)) + "\n% ax,ay,az"},
        # what stands at the end of rows
        {"end": ";\n", "head": "ax,ay,az"},
        {"end": ",\n", "head": "ax,ay,az"},
    ],
)
def test_forms_of_text(tmp_path: Path, form: dict) -> None:
    signal = only(table(tmp_path / "x.csv", VALUES, **form))
    np.testing.assert_allclose(signal.samples, VALUES, rtol=1e-12 if "form" not in form else 1e-4)
    assert signal.samples.shape == VALUES.shape
    if form.get("head") is None or form["head"] in ("ax,ay,az", "% ax, ay, az"):
        assert signal.channels == ("ax", "ay", "az")


@pytest.mark.parametrize("name", ["x.csv", "X.CSV", "x.Txt", "x.TSV", "x.dat"])
def test_suffix_in_any_case(tmp_path: Path, name: str) -> None:
    from ditmos.datasets.importers.find import find

    path = table(tmp_path / name, VALUES)
    found, unknown = find([tmp_path])
    assert [item.path for item in found] == [path] and not unknown


@pytest.mark.parametrize("first", ["0,0,1", "0,0,0", "-3,2,100"])
def test_one_fraction_anywhere_makes_all_real(tmp_path: Path, first: str) -> None:
    path = table(tmp_path / "x.csv", VALUES, head=f"ax,ay,az\n{first}")
    signal = only(path)
    assert signal.samples.dtype == np.float64
    np.testing.assert_array_equal(signal.samples[0], [float(v) for v in first.split(",")])
    np.testing.assert_allclose(signal.samples[1:], VALUES)


def test_whole_numbers_are_counts_where_they_fit(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(-2000, 2000, (50, 3))
    assert only(table(tmp_path / "a.csv", counts, form=str)).samples.dtype == np.int16
    counts[30, 1] = 60000
    signal = only(table(tmp_path / "b.csv", counts, form=str))
    np.testing.assert_array_equal(signal.samples, counts)  # beyond 16 bits: nothing wraps


def test_every_digit_is_kept(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 3)) * 10.0 ** np.arange(-6, 3, 4)
    np.testing.assert_array_equal(only(table(tmp_path / "x.csv", values, form=repr_of)).samples, values)


def test_units_and_rate_of_the_header(tmp_path: Path) -> None:
    head = "# Sampling rate: 62.5 Hz\nax [m/s²],gx (deg/s),t [°C]"
    signal = only(table(tmp_path / "x.csv", VALUES, head=head))
    assert signal.channels == ("ax", "gx", "t") and signal.units == ("m/s^2", "deg/s", "degC")
    assert signal.rate == 62.5
    signal = only(table(tmp_path / "y.csv", VALUES, head="fs=100\nax,ay,az\ng,g,mg"))
    assert signal.units == ("g", "g", "mg") and signal.rate == 100


def test_missing_values_keep_their_place(tmp_path: Path) -> None:
    lines = [
        "ax,ay,az",
        "0.5,0.5,0.5",
        "0.5,,0.5",
        "nan,0.5,0.5",
        "0.5,ERR,0.5",
        "0.5,0.5",
        "0.5,0.5,inf",
        "0.25,0.5,0.5",
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    (recording,) = read(tmp_path / "x.csv", Options())
    samples = recording.signals[0].samples
    assert len(samples) == 7
    np.testing.assert_array_equal(np.isnan(samples).any(1), [False, True, True, True, True, True, False])
    notes = " / ".join(recording.notes)
    assert "1 rows have not 3 values, the first is line 6" in notes
    assert "column 'ay': 1 values are no numbers, the first is 'ERR' in line 5" in notes
    assert samples[6, 0] == 0.25


def test_a_short_row_has_neither_date_nor_time(tmp_path: Path) -> None:
    lines = [f"2024-05-01,12:00:{i / 50:06.3f},{value}" for i, value in enumerate(VALUES[:100, 0])]
    lines[40] = "2024-05-01,12:0"
    (tmp_path / "x.csv").write_text("date,time,ax\n" + "\n".join(lines) + "\n")
    signal = only(tmp_path / "x.csv")
    assert signal.times is not None and len(signal.times) == 99
    np.testing.assert_allclose(np.diff(signal.times)[[38, 39, 40]], [0.02, 0.04, 0.02], atol=1e-6)


def test_last_row_cut_off_is_left_out(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", VALUES)
    path.write_text(path.read_text().rstrip("\n").rpartition(",")[0])
    (recording,) = read(path, Options())
    np.testing.assert_allclose(recording.signals[0].samples, VALUES[:-1])
    assert "the last row is cut off, and left out" in recording.notes


def test_names_again_between_the_rows(tmp_path: Path) -> None:
    text = table(tmp_path / "x.csv", VALUES).read_text()
    (tmp_path / "x.csv").write_text(text + text)
    (recording,) = read(tmp_path / "x.csv", Options())
    assert len(recording.signals[0].samples) == 2 * len(VALUES)
    assert "the line of names stands 1 more times between the rows" in recording.notes


def test_columns_that_are_no_channels(tmp_path: Path) -> None:
    path = table(
        tmp_path / "x.csv",
        VALUES,
        head="Sample No,comment,user,activity,time_ms,ax,ay,az",
        first=lambda i: f"{i},fine {i},{7 + i // 200},{'walk' if i < 100 else 'run'},{i * 20}",
    )
    recordings = read(path, Options())
    assert [r.subject for r in recordings] == ["7", "8"]
    (signal,) = recordings[0].signals
    assert signal.channels == ("ax", "ay", "az")
    assert signal.labels is not None and signal.labels.tolist() == ["walk"] * 100 + ["run"] * 100
    assert signal.times is not None
    np.testing.assert_allclose(np.diff(signal.times), 0.02)
    notes = " / ".join(recordings[0].notes)
    assert "'Sample No' (counts the rows)" in notes and "'comment' (text)" in notes


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", VALUES)
    np.testing.assert_allclose(only(path, columns=("AZ", "1")).samples, VALUES[:, [2, 0]])
    with pytest.raises(DitmosError, match="no column 'gx', expected one of ax, ay, az"):
        read(path, Options(columns=("gx",)))


def test_two_sensors_in_turns(tmp_path: Path) -> None:
    """Rows of an accelerometer at 20 Hz between those of a gyroscope at 50 Hz, as UMAFall has them."""
    rows = sorted(
        [(i * 50, 0, VALUES[i]) for i in range(100)] + [(i * 20, 1, VALUES[-i - 1]) for i in range(250)],
        key=lambda row: row[0],
    )
    head = "\n".join(f"% about {i}" for i in range(40)) + "\n% TimeStamp; Sample No; X; Y; Z; Sensor Type; Sensor ID"
    lines = [f"{t}; {n}; {v[0]:.4f}; {v[1]:.4f}; {v[2]:.4f}; {kind}; 4" for n, (t, kind, v) in enumerate(rows)]
    (tmp_path / "x.csv").write_text(head + "\n" + "\n".join(lines) + "\n")
    (recording,) = read(tmp_path / "x.csv", Options())
    acc, gyro = recording.signals
    assert acc.channels == ("0.X", "0.Y", "0.Z") and len(acc.samples) == 100 and len(gyro.samples) == 250
    np.testing.assert_allclose(acc.samples, VALUES[:100])
    np.testing.assert_allclose(np.diff(acc.times), 0.05)
    np.testing.assert_allclose(np.diff(gyro.times), 0.02)


def test_two_sensors_side_by_side_with_times_of_their_own(tmp_path: Path) -> None:
    """The gyroscope at 20 Hz has fewer rows: its cells are empty at the end."""
    lines = ["acc_time,ax,ay,gyro_time,gx"]
    for i in range(200):
        slow = f"{i * 50 + 7},{VALUES[i, 2]:.4f}" if i < 80 else ","
        lines.append(f"{i * 20},{VALUES[i, 0]:.4f},{VALUES[i, 1]:.4f},{slow}")
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    (recording,) = read(tmp_path / "x.csv", Options())
    acc, gyro = recording.signals
    assert (acc.channels, gyro.channels) == (("ax", "ay"), ("gx",))
    np.testing.assert_allclose(gyro.samples[:, 0], VALUES[:80, 2])
    np.testing.assert_allclose(gyro.times, 0.007 + np.arange(80) / 20)
    np.testing.assert_allclose(acc.times, np.arange(200) / 50)


def test_a_second_time_on_another_clock_is_left_out(tmp_path: Path) -> None:
    lines = ["t,ax,unix_time,ay"] + [
        f"{i / 50:.2f},{a:.4f},{1.7e9 + i / 50:.2f},{b:.4f}" for i, (a, b, _) in enumerate(VALUES)
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    (recording,) = read(tmp_path / "x.csv", Options())
    (signal,) = recording.signals
    assert signal.channels == ("ax", "ay") and "'unix_time' (another time)" in " ".join(recording.notes)


def test_slow_sensor_leaves_cells_empty(tmp_path: Path) -> None:
    lines = ["t,ax,temp"] + [f"{i / 50:.2f},{VALUES[i, 0]:.4f},{20.5 + i if i % 10 == 0 else ''}" for i in range(200)]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    (recording,) = read(tmp_path / "x.csv", Options())
    ax, temp = recording.signals
    assert (ax.channels, temp.channels) == (("ax",), ("temp",)) and len(temp.samples) == 20
    np.testing.assert_allclose(temp.samples[:, 0], 20.5 + 10 * np.arange(20))
    np.testing.assert_allclose(np.diff(temp.times), 0.2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no row of numbers"),
        (b"ax,ay,az\n", "no row of numbers"),
        (b"a text\nof two lines\n", "no row of numbers"),
        (bytes(range(256)) * 4, "not text|no row of numbers"),
        (b"\0" * 100, "not text"),
        (b"\xff\xfeabc", "not utf-16"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DitmosError, match=message):
        read(tmp_path / "x.csv", Options())


def test_options_against_the_guess(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("0,4974\n0,5046\n0,6616\n0,4000\n")  # two columns of counts, or one of numbers: nobody can know
    assert only(path).samples.shape == (4, 2)
    signal = only(path, separator=";", decimal=",")
    np.testing.assert_allclose(signal.samples[:, 0], [0.4974, 0.5046, 0.6616, 0.4])
    with pytest.raises(DitmosError, match="encoding is 'utf-99'"):
        read(path, Options(encoding="utf-99"))
