"""Sound, Empatica E4, EDF, arrays and Edge Impulse's JSON, each read back as it was written."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from ditmos.datasets import Dataset, save
from ditmos.datasets.importers import arrays, delimited, e4, edf, edge_impulse, import_recordings, sound
from ditmos.datasets.importers.channels import select
from ditmos.datasets.importers.find import find
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.errors import DitmosError
from ditmos.link.tape import Tape
from files import motion, table
from scipy.io import savemat

ANY = Options()


# Sound


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_of_all_widths(tmp_path: Path, subtype: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(-128, 128, (800, channels)) / 128  # 8 bits hold them
    soundfile.write(tmp_path / "x.WAV", values, 44100, subtype=subtype)
    (recording,) = sound.read(tmp_path / "x.WAV", ANY)
    (signal,) = recording.signals
    np.testing.assert_array_equal(signal.samples * (signal.scale or 1), values)
    assert signal.rate == 44100 and signal.units[0] == "full scale"
    assert signal.channels == (("mic",) if channels == 1 else ("left", "right"))
    assert (signal.samples.dtype == np.int16) == (subtype in ("PCM_U8", "PCM_16"))


def wav(samples: np.ndarray) -> bytes:
    data = samples.astype("<i2").tobytes()
    head = (
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    )
    return head + b"data" + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_wav_whose_header_lies(tmp_path: Path, size: int) -> None:
    samples = np.arange(-500, 500, dtype=np.int16)
    raw = bytearray(wav(samples))
    raw[40:44] = struct.pack("<I", size)
    (tmp_path / "x.wav").write_bytes(raw)
    (recording,) = sound.read(tmp_path / "x.wav", ANY)
    np.testing.assert_array_equal(recording.signals[0].samples[:, 0], samples)
    assert len(recording.notes) == 2


@pytest.mark.parametrize("cut", [1, 2, 501, 1000])
def test_wav_cut_off_keeps_what_is_there(tmp_path: Path, cut: int) -> None:
    samples = np.arange(1000, dtype=np.int16)
    (tmp_path / "x.wav").write_bytes(wav(samples)[:-cut])
    (recording,) = sound.read(tmp_path / "x.wav", ANY)
    np.testing.assert_array_equal(recording.signals[0].samples[:, 0], samples[: (2000 - cut) // 2])
    assert "is cut off: its header says more samples than there are" in recording.notes


@pytest.mark.parametrize("content", [b"", b"RIFF", wav(np.arange(9))[:30], wav(np.arange(0)), b"no sound" * 99])
def test_no_sound_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(DitmosError, match=r"x\.wav: no (sound|samples) in it"):
        sound.read(tmp_path / "x.wav", ANY)


# Empatica E4


def e4_folder(folder: Path, *, start: str = "1644226061.000000", end: str = "\n", seconds: int = 20) -> Path:
    rng = np.random.default_rng(0)
    for name, rate, width in (("BVP", 64, 1), ("EDA", 4, 1), ("TEMP", 4, 1), ("ACC", 32, 3), ("HR", 1, 1)):
        head = f"{', '.join([start] * width)}\n{', '.join([f'{rate}.000000'] * width)}".replace("\n", end)
        values = rng.integers(-60, 60, (rate * seconds, width)) / (1 if name == "ACC" else 100)
        table(folder / f"{name}.csv", values, head=head, form="{:g}".format, end=end)
    (folder / "IBI.csv").write_text(f"{start}, IBI\n1.5,0.89\n")
    (folder / "tags.csv").write_text("1644226065.5\r\n1644182861\r\n")
    (folder / "info.txt").write_text("about\n")
    return folder


@pytest.mark.parametrize("start", ["1644226061", "1644226061.00", "1644226061.000000"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_e4_folder(tmp_path: Path, start: str, end: str) -> None:
    folder = e4_folder(tmp_path / "S01", start=start, end=end)
    found, unknown = find([tmp_path])
    assert [item.path for item in found] == [folder] and not unknown
    (recording,) = e4.read(folder, ANY)
    assert [(s.channels[0], s.rate, s.start, len(s.samples)) for s in recording.signals] == [
        ("BVP", 64, 1644226061, 1280),
        ("EDA", 4, 1644226061, 80),
        ("TEMP", 4, 1644226061, 80),
        ("ACC_X", 32, 1644226061, 640),
    ]
    rows = np.loadtxt(folder / "ACC.csv", delimiter=",", skiprows=2)
    np.testing.assert_array_equal(recording.signals[3].samples, rows / 64)  # the header is no sample
    assert "1 of 2 button presses lie outside of the recording: 1644182861 (12.0 h before it)" in recording.notes[-1]
    assert len(e4.read(folder, Options(columns=("HR", "ACC")))[0].signals) == 5


def test_e4_errors(tmp_path: Path) -> None:
    folder = e4_folder(tmp_path / "S01")
    (folder / "EDA.csv").write_text("0.5\n0.6\n0.7\n")
    with pytest.raises(DitmosError, match=r"EDA\.csv: expected a line with the start in unix seconds"):
        e4.read(folder, ANY)


def test_real_e4_folders(data_dir: Path) -> None:
    root = data_dir / "e4_raw"
    if not root.is_dir():
        pytest.skip(f"{root} is not there")
    found, _ = find([root])
    assert [item.path.name for item in found] == ["S01", "S10", "S18"]
    for item in found:
        (recording,) = item.reader(item.path, ANY)
        assert [signal.rate for signal in recording.signals] == [64, 4, 4, 32]
    assert any("1645415164 (11.8 h before it)" in note for note in recording.notes)


# EDF


@pytest.mark.parametrize("suffix", ["edf", "BDF"])
def test_edf_and_bdf(tmp_path: Path, suffix: str) -> None:
    pyedflib = pytest.importorskip("pyedflib")
    path = tmp_path / f"x.{suffix}"
    kind = pyedflib.FILETYPE_EDFPLUS if suffix == "edf" else pyedflib.FILETYPE_BDFPLUS
    limit = 2**15 if suffix == "edf" else 2**23
    values = [50 * motion(2560, channels=1)[:, 0], 50 * motion(10, seed=1, channels=1)[:, 0]]
    with pyedflib.EdfWriter(str(path), 2, file_type=kind) as file:
        for i, (label, unit, rate) in enumerate((("EEG Fz", "uV", 256), ("Temp", "degC", 1))):
            head = {"label": label, "dimension": unit, "sample_frequency": rate, "transducer": "", "prefilter": ""}
            head |= {"physical_min": -200, "physical_max": 200, "digital_min": -limit, "digital_max": limit - 1}
            file.setSignalHeader(i, head)
        file.writeSamples(values)
        file.writeAnnotation(2.0, 3.0, "rest")
        file.writeAnnotation(6.0, -1, "a moment")
    (recording,) = edf.read(path, ANY)
    for signal, expected in zip(recording.signals, values, strict=True):
        np.testing.assert_allclose(signal.samples[:, 0], expected, atol=200 / limit)
    assert [s.channels + s.units for s in recording.signals] == [("EEG Fz", "uV"), ("Temp", "degC")]
    begin = recording.signals[0].start
    assert [(s.start - begin, s.stop - begin, s.label) for s in recording.spans] == [(2, 5, "rest")]
    assert "1 annotations have no length, and label nothing" in recording.notes
    with pyedflib.EdfWriter(str(path), 2, file_type=kind) as file:
        for i, label in enumerate(("EEG Fz", "Status")):
            file.setSignalHeader(i, head | {"label": label, "sample_frequency": 256})
        file.writeSamples([values[0], values[0]])
    assert [s.channels for s in edf.read(path, ANY)[0].signals] == [("EEG Fz",)]
    assert edf.read(path, Options(columns=("Status",)))[0].signals[0].channels == ("EEG Fz", "Status")
    raw = path.read_bytes()
    path.write_bytes(raw[:-100])
    with pytest.raises(DitmosError, match=f"{len(raw) - 100} bytes, its header says {len(raw)}: cut off"):
        edf.read(path, ANY)
    path.write_bytes(b"no edf" * 100)
    with pytest.raises(DitmosError, match="not a readable EDF or BDF file"):
        edf.read(path, ANY)


# Arrays


@pytest.mark.parametrize("suffix", ["npy", "npz", "mat", "MAT"])
def test_a_table_in_a_file_of_arrays(tmp_path: Path, suffix: str) -> None:
    values, path = motion(), tmp_path / f"x.{suffix}"
    labels = np.repeat([1, 2], len(values) // 2)
    if suffix == "npy":
        np.save(path, values)
    elif suffix == "npz":
        np.savez(path, data=values, fs=50, label=labels)
    else:
        savemat(path, {"data": values, "fs": 50.0, "label": labels}, appendmat=False)
    (recording,) = arrays.read(path, ANY)
    (signal,) = recording.signals
    np.testing.assert_array_equal(signal.samples, values)
    if suffix != "npy":
        assert signal.rate == 50
        assert signal.labels is not None and signal.labels[0] == "1" and signal.labels[-1] == "2"


def test_windows_in_an_array(tmp_path: Path) -> None:
    windows = motion(60).reshape(6, 10, 3)
    np.savez(tmp_path / "x.npz", X=windows, y=["a", "b"] * 3, subject=[1, 1, 2, 2, 3, 3], fs=20.0)
    recordings = arrays.read(tmp_path / "x.npz", ANY)
    assert [r.label for r in recordings] == ["a", "b"] * 3 and [r.subject for r in recordings] == [*"112233"]
    np.testing.assert_array_equal(recordings[4].signals[0].samples, windows[4])


@pytest.mark.parametrize(
    ("suffix", "y", "expected"),
    [("npz", [0, 1], "ab"), ("npz", [2, 3], "bc"), ("npz", [1, 2], "bc"), ("mat", [1, 2], "ab"), ("mat", [0, 1], "ab")],
)
def test_labels_that_are_numbers_of_names(tmp_path: Path, suffix: str, y: list[int], expected: str) -> None:
    """MATLAB counts from 1, and so does who has the last name's number; others count from 0."""
    path = tmp_path / f"x.{suffix}"
    content: dict[str, Any] = {"X": motion(40).reshape(2, 20, 3), "y": y, "classes": np.array([*"abc"]), "fs": 20.0}
    savemat(path, content) if suffix == "mat" else np.savez(path, **content)
    assert "".join(str(recording.label) for recording in arrays.read(path, ANY)) == expected


def test_a_number_whose_name_ends_like_a_part_is_none(tmp_path: Path) -> None:
    x, y = motion(40).reshape(2, 20, 3), ["a", "b"]
    np.savez(tmp_path / "x.npz", x_train=x, y_train=y, x_test=x, y_test=y, fs=20.0, interval=5)
    assert [r.split for r in arrays.read(tmp_path / "x.npz", ANY)] == ["train"] * 2 + ["test"] * 2


def test_people_of_many_digits_stay_apart(tmp_path: Path) -> None:
    """In arrays, in a column with a cell left empty, and beyond what a number holds."""
    np.savez(tmp_path / "x.npz", X=motion(40).reshape(2, 20, 3), subject=[1234567, 1234568], y=[True, False], fs=20.0)
    recordings = arrays.read(tmp_path / "x.npz", ANY)
    assert [r.subject for r in recordings] == ["1234567", "1234568"] and [r.label for r in recordings] == ["1", "0"]
    rows = [f"{i / 50:.2f},{value},{1234567 + i % 2}" for i, value in enumerate(motion(200)[:, 0])]
    (tmp_path / "y.csv").write_text("time,ax,subject\n0,1.5,\n" + "\n".join(rows) + "\n")
    assert [r.subject for r in delimited.read(tmp_path / "y.csv", ANY)] == [None, "1234567", "1234568"]
    long = tmp_path / "z" / f"S{'1234567890' * 3}.csv"
    table(long, motion(200))
    dataset, report = import_recordings([long], Options(label="²", rate=50.0, window="20", subject=long.stem))
    assert report.subjects == {0: long.stem} and dataset.class_names == ("²",)


def test_columns_of_an_array_come_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", motion())
    options = Options(columns=("3", "1"), names=("z", "x"), label="a", rate=50.0, window="20", hop="20")
    dataset, _ = import_recordings([tmp_path / "x.npy"], options)
    assert dataset.channels == ("z", "x")
    np.testing.assert_allclose(dataset.x[0], motion()[:20, [2, 0]].astype(np.float32))
    two = Recording("r", "edf", tuple(Signal(motion(), (f"{c}1", f"{c}2", f"{c}3"), ("",) * 3, 50.0) for c in "ab"))
    picked = select(two, Options(columns=("5", "a1")))
    assert [signal.channels for signal in picked.signals] == [("b2",), ("a1",)]
    with pytest.raises(DitmosError, match="r: no channel 7, it has a1, a2, a3, b1, b2, b3"):
        select(two, Options(columns=("1", "7")))


def test_a_dataset_keeps_its_split(tmp_path: Path) -> None:
    part, person = np.repeat([0, 1, 2], 3).astype(np.int8), np.repeat([0, 1, 2], 3)
    made = Dataset(motion(180).reshape(9, 20, 3).astype(np.float32), person % 2, person, np.arange(9), ("a", "b"),
                   ("x", "y", "z"), 1.0, "g", 50.0, part)  # fmt: skip
    save(made, tmp_path / "x.npz")
    dataset, _ = import_recordings([tmp_path / "x.npz"], Options(window="20"))
    np.testing.assert_array_equal(dataset.split, part)
    table(tmp_path / "y.csv", motion(200), head="x,y,z")
    options = Options(label="a", rate=50.0, window="20", own_units=("g",))
    mixed, report = import_recordings([tmp_path / "x.npz", tmp_path / "y.csv"], options)
    assert mixed.split is None and any("no split: 1 recordings say no part" in guess for guess in report.guesses)


def test_a_recorded_stream(tmp_path: Path) -> None:
    counts = np.arange(300, dtype=np.int16).reshape(100, 3)
    tape = Tape(10, 5, ("a", "b"), 50.0)
    assert len(list(tape.pass_on([counts[:40], counts[40:]]))) == 2
    tape.save(tmp_path / "x.npz")
    (recording,) = arrays.read(tmp_path / "x.npz", ANY)
    np.testing.assert_array_equal(recording.signals[0].samples, counts)
    assert recording.signals[0].rate == 50


def test_channels_first_are_turned(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", motion(500, channels=8).T)
    (recording,) = arrays.read(tmp_path / "x.npy", ANY)
    assert recording.signals[0].samples.shape == (500, 8) and "it was turned" in recording.notes[-1]


def test_array_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, one=motion(), other=motion())
    with pytest.raises(DitmosError, match="more than one table: one, other; choose one with --key"):
        arrays.read(path, ANY)
    assert len(arrays.read(path, Options(key="other"))) == 1
    with pytest.raises(DitmosError, match="no variable 'third', expected one of one, other"):
        arrays.read(path, Options(key="third"))
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(DitmosError, match="no table of numbers among names"):
        arrays.read(path, ANY)
    for suffix in ("npy", "npz", "mat"):
        (tmp_path / f"y.{suffix}").write_bytes(b"damaged" * 50)
        with pytest.raises(DitmosError, match="not readable"):
            arrays.read(tmp_path / f"y.{suffix}", ANY)
    (tmp_path / "z.mat").write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\x02IM" + b"\x89HDF\r\n\x1a\n"
    )
    with pytest.raises(DitmosError, match=r"save it there with -v7|not readable"):
        arrays.read(tmp_path / "z.mat", ANY)


# Edge Impulse


def edge_json(values: object, **changes: object) -> str:
    payload = {"device_name": "ac:87", "device_type": "BOARD", "interval_ms": 16, "values": values}
    payload |= {"sensors": [{"name": n, "units": "m/s2"} for n in ("accX", "accY", "accZ")]} | changes
    return json.dumps({"protected": {"ver": "v1", "alg": "none"}, "signature": "00", "payload": payload})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_edge_impulse(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "updown.3k9.json"
    path.write_text(edge_json(motion().tolist()), encoding)
    (recording,) = edge_impulse.read(path, ANY)
    (signal,) = recording.signals
    np.testing.assert_array_equal(signal.samples, motion())
    assert recording.label == "updown" and signal.rate == 62.5
    assert signal.channels == ("accX", "accY", "accZ") and signal.units == ("m/s^2",) * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no payload"),
        ('{"payload": {}}', "no payload with interval_ms, sensors and values"),
        (edge_json([[1, 2]]), r"values have shape \(1, 2\), expected \(rows, 3\)"),
        (edge_json([[1, 2, 3], [1]]), "values are no table of numbers"),
        (edge_json([[10**400, 2, 3]]), "values are no table of numbers"),
        (edge_json([["a", 2, 3]]), "values are no table of numbers"),
        (edge_json([[1, 2, 3]], interval_ms=0), "interval_ms is 0"),
        (edge_json([[1, 2, 3]], sensors=[1]), "sensors have no names"),
        ("[" * 100000, "not JSON"),
    ],
)
def test_edge_impulse_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DitmosError, match=message):
        edge_impulse.read(tmp_path / "a.json", ANY)
