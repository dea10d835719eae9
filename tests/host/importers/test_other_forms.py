"""Files as people have them, each of a kind: the right values, or one line that says why not."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets import Dataset
from ditmos.datasets.importers import Options, import_recordings
from ditmos.datasets.importers.arrays import read as read_arrays
from ditmos.datasets.importers.delimited import read
from ditmos.datasets.importers.labels import read_labels
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.trouble import find_trouble
from ditmos.errors import DitmosError
from files import motion, table
from scipy.io import savemat

VALUES = 1000 * motion(200)


def only(path: Path, **options: object) -> Signal:
    (recording,) = read(path, Options(**options))
    (signal,) = recording.signals
    return signal


def imported(folder: Path, **options: object) -> tuple[Dataset, str]:
    """The set, and all that is said of it."""
    dataset, report = import_recordings([folder], Options(**options))
    return dataset, " / ".join([*report.guesses, *report.lines(), *find_trouble(dataset)])


def four(folder: Path, **form: object) -> None:
    """Files run_1, run_2, walk_1, walk_2 of the same form."""
    for seed, name in enumerate(("run_1", "run_2", "walk_1", "walk_2")):
        table(folder / f"{name}.csv", motion(seed=seed), **({"head": "t,ax,ay,az", "first": clock} | form))


def clock(row: int) -> str:
    return f"{row / 50:.2f}"


# Numbers


def grouped(mark: str, point: str) -> dict:
    return {"form": lambda v: f"{v:,.1f}".replace(",", "_").replace(".", point).replace("_", mark), "separator": ";"}


@pytest.mark.parametrize("marks", [".,", "\u202f,", " ,", "'.", "\u2019.", ",."])
def test_thousands(tmp_path: Path, marks: str) -> None:
    path = table(tmp_path / "x.csv", VALUES, head="ax;ay;az", **grouped(*marks))
    np.testing.assert_allclose(only(path).samples, VALUES.round(1))
    cells = [line.split(";") for line in path.read_text().splitlines()]
    cells[20][1] = "1.5" if marks[1] == "," else "1,5"  # as another program writes it: neither 15 nor 1500
    path.write_text("\n".join(map(";".join, cells)))
    samples = only(path).samples
    assert np.isnan(samples[19, 1]) and np.isfinite(np.delete(samples, 19, 0)).all()


def test_thousands_that_come_late(tmp_path: Path) -> None:
    """Beyond the lines that the form is guessed from; 1.234 alone may be a decimal fraction and is left out."""
    rows = ["a;b;c", *["0,5;0,25;1"] * 500, "-1.234,5;1.234;1 234", "0,5;0,5;2"]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    samples = only(tmp_path / "x.csv").samples
    assert samples[500, 0] == -1234.5 and np.isnan(samples[500, 1:]).all() and samples[501].tolist() == [0.5, 0.5, 2]
    (tmp_path / "x.csv").write_text("\n".join([*rows[:40], "1,5;1.234;1 234", *rows[1:5]]))  # in these lines, too
    assert np.isnan(only(tmp_path / "x.csv").samples[39]).tolist() == [False, True, True]


WORDS = [
    r"NA",
    r"-",
    r"#N/A",
    r"#NV",
    r"None",
    r"?",
    r"n.a.",
    r"null",
    r"--",
    r"NaN",
    r"-1.#IND",
    r"#DIV/0!",
    r"#WERT!",
    r"\N",
    r".",
    r"missing",
    r"<NA>",
]


def test_words_for_nothing(tmp_path: Path) -> None:
    """In the first rows, in the first column, and in most rows of a slow sensor."""
    lines = ["ax,ay,temp"]
    for i, (a, b, _) in enumerate(VALUES):
        word = WORDS[i % len(WORDS)]
        first = word if i % 20 == 4 else f"{a:.1f}"
        lines.append(f"{first},{word if i < 3 else f'{b:.1f}'},{20 + i / 10 if i % 10 == 0 else word}")
    (tmp_path / "x.csv").write_text("\n".join(lines))
    signal = only(tmp_path / "x.csv")
    assert signal.channels == ("ax", "ay", "temp") and len(signal.samples) == 200 and signal.labels is None
    missing = np.isnan(signal.samples)
    assert np.flatnonzero(missing[:, 0]).tolist() == [*range(4, 200, 20)] and missing[:, 1].sum() == 3
    assert np.flatnonzero(~missing[:, 2]).tolist() == [*range(0, 200, 10)]


def test_a_label_may_be_such_a_word(tmp_path: Path) -> None:
    rows = [f"{a:.1f},{b:.1f},{'fall' if 5 < i < 20 else 'none'}" for i, (a, b, _) in enumerate(VALUES)]
    (tmp_path / "x.csv").write_text("\n".join(["ax,ay,label", *rows]))
    labels = only(tmp_path / "x.csv").labels
    assert labels is not None and labels.tolist() == ["none"] * 6 + ["fall"] * 14 + ["none"] * 180


def test_zeros_at_the_end_of_a_file(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", VALUES[:20])
    path.write_bytes(path.read_bytes() + b"\0" * 3000)
    np.testing.assert_allclose(only(path).samples, VALUES[:20])


# Columns


@pytest.mark.parametrize(
    ("head", "first", "channels", "said"),
    [
        (",ax,ay,az", "{i}", "ax ay az", "'1' (counts the rows)"),
        ("frame,ax,ay,az", "{c}", "ax ay az", "'frame' (counts the rows)"),
        ("elapsed (us),ax,ay,az", "{us}", "ax ay az", "time 'elapsed'"),
        ("stamp [ms],ax,ay,az", "{ms}", "ax ay az", "time 'stamp'"),
        ("ok,device,ax,ay,az", "{ok},left", "ax ay az", "'ok' (text)"),
        ("state,ax,ay,az", "{h}", "state ax ay az", "changes seldom, as a label does: state"),
        ("t,time,Other,time,ax,ay,az", "{t},{t},0,{unix}.5", "Other ax ay az", "'time.4' (another time)"),
        ("t,remark,ax,ay,az", "{t},{rare}", "ax ay az", "'remark' (text)"),
        ("t,ax,ay,az\nlong,double,double,double", "{t}", "ax ay az", "time 't'"),
        ("Behaviour,ax,ay,az", "{h}", "ax ay az", "label 'Behaviour'"),
        ("", "{h},{ns}", "3 4 5", "'1' (changes seldom: a label, or a person?)"),
        ("", "{unix}", "2 3 4", "time '1'"),
        ("Logger 3,,,\nTime,Acc X,Acc Y,Acc Z\ns,mGauss,bananas,deg C", "{t}", "Acc X|Acc Y|Acc Z", "time 'Time'"),
    ],
)
def test_what_columns_are(tmp_path: Path, head: str, first: str, channels: str, said: str) -> None:
    def form(i: int) -> str:
        known = {"i": i, "c": i % 64, "us": i * 20000, "ms": i * 20, "ok": bool(i % 9), "h": i // 100, "t": clock(i)}
        known["rare"] = "blink" if i == 50 else ""
        return first.format(**known, ns=49105962326000 + i * 50_000_000 + i % 3, unix=1709280000 + i // 50)

    path = table(tmp_path / "x.csv", VALUES, head=head, first=form)
    (recording,) = read(path, Options())
    (signal,) = recording.signals
    assert signal.channels == tuple(channels.split("|" if "|" in channels else " "))
    np.testing.assert_allclose(signal.samples[:, -3:], VALUES)
    assert said in " / ".join(recording.notes)


def test_letters_with_marks_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        lines = ["t,Tätigkeit 1,ax,ay,az"]
        lines += [
            f"{clock(i)},{'gehen schön ' if i < 100 else 'Läufe'},{v[0]},{v[1]},1.5" for i, v in enumerate(VALUES)
        ]
        (tmp_path / f"{form}.csv").write_text(unicodedata.normalize(form, "\n".join(lines)))
    dataset, _ = imported(tmp_path, label_column="Tätigkeit 1", window="10")
    assert dataset.class_names == ("gehen schön", "Läufe")


def test_a_head_of_numbers_and_a_second_table(tmp_path: Path) -> None:
    """As pandas names columns without names, alone and behind its index; the gyroscope below the accelerometer."""
    for head, first in (("0,1,2,3", clock), (",0,1,2,3", lambda i: f"{i},{clock(i)}")):
        path = table(tmp_path / "x.csv", VALUES, head=head, first=first)
        np.testing.assert_allclose(only(path).samples, VALUES)
    lines = table(tmp_path / "x.csv", VALUES, head="t,ax,ay,az", first=clock).read_text().splitlines()
    path.write_text("\n".join([*lines, "", "t,gx,gy,gz", *lines[1:]]))
    with pytest.raises(DitmosError, match="line 203 names other columns, t,gx,gy,gz: a second table"):
        read(path, Options())


def test_the_day_or_the_month_first(tmp_path: Path) -> None:
    """1 and 2 March, over midnight: read as January and February they would be a month apart."""
    stamps = [f"0{1 + i // 100}/03/2024 {(23, 0)[i // 100]:02d}:{(59, 0)[i // 100]:02d}:" for i in range(200)]
    path = table(tmp_path / "x.csv", VALUES, head="time,ax,ay,az",
                 first=lambda i: f"{stamps[i]}{(58, 0)[i // 100] + i % 100 / 50:06.3f}")  # fmt: skip
    times = only(path).times
    assert times is not None
    np.testing.assert_allclose(np.diff(times), 0.02, atol=1e-6)


# Folders


def test_units_that_differ_between_files(tmp_path: Path) -> None:
    four(tmp_path, head="t,ax [g],ay [g],az [g]")
    table(tmp_path / "run_2.csv", 9.80665 * motion(seed=1), head="t,ax [m/s2],ay [m/s2],az [m/s2]", first=clock)
    table(tmp_path / "walk_2.csv", motion(seed=3), head="t,ax,ay,az", first=clock)
    table(tmp_path / "walk_3.csv", motion(seed=4), head="t,ax [uT],ay [uT],az [uT]", first=clock)
    dataset, said = imported(tmp_path, window="400")
    assert dataset.units == "g"
    np.testing.assert_allclose(dataset.x, [motion(seed=s) for s in range(4)], atol=6e-6)  # as written
    assert "converted from m/s^2 to g" in said and "does not say its units: taken as g, as in others" in said
    assert "walk_3.csv: channel ax is in uT, not in g as most are" in said


def test_columns_that_differ_between_files(tmp_path: Path) -> None:
    four(tmp_path)
    table(tmp_path / "run_2.csv", motion(seed=1)[:, [2, 0, 1]], head="t,AZ,AX,AY", first=clock)
    more = np.column_stack([motion(seed=3), np.arange(400) / 3])
    table(tmp_path / "walk_2.csv", more, head="t,ax,ay,az,temp", first=clock)
    dataset, said = imported(tmp_path, window="400")
    np.testing.assert_allclose(dataset.x, [motion(seed=s) for s in range(4)], rtol=1e-6)
    assert "channels stand in another order" in said and "temp left out: most have only ax, ay, az" in said
    for name in ("run_1", "run_2", "walk_1"):
        table(tmp_path / f"{name}.csv", motion(), head="", first=clock)
    table(tmp_path / "walk_2.csv", more, head="", first=clock)  # no names: nobody knows which are the same
    assert "walk_2.csv: channels are 2, 3, 4, 5, expected 2, 3, 4" in imported(tmp_path, window="400")[1]


@pytest.mark.parametrize("form", ["{l}_{n}/{s}.csv", "{l}_{n}_{s}.csv", "{s}_{l}_{n}.csv", "{l}/S{n}/{s}.csv"])
@pytest.mark.parametrize("sensors", [("Accelerometer", "Gyroscope"), ("acc", "mag")])
def test_a_file_for_each_sensor(tmp_path: Path, form: str, sensors: tuple[str, str]) -> None:
    for seed, label in enumerate(("run", "walk")):
        for take in (1, 2):
            for place, sensor in enumerate(sensors):
                path = tmp_path / form.format(l=label, n=take, s=sensor)
                table(path, motion(seed=4 * seed + 2 * take + place), head="t,x,y,z", first=clock)
    dataset, said = imported(tmp_path, window="400")
    assert dataset.channels == tuple(f"{sensor}.{axis}" for sensor in sensors for axis in "xyz")
    assert dataset.class_names == ("run", "walk") and len(dataset) == 4 and "sensor by names like" in said
    np.testing.assert_allclose(dataset.x[0], np.hstack([motion(seed=2), motion(seed=3)]), rtol=1e-6)


def test_folders_that_are_parts_of_a_split(tmp_path: Path) -> None:
    four(tmp_path / "training")
    four(tmp_path / "testing")
    dataset, said = imported(tmp_path, window="100")
    assert dataset.class_names == ("run", "walk") and "split by folders like 'testing'" in said
    assert dataset.split is not None and dataset.split.tolist() == [2] * 28 + [0] * 28
    assert "the same samples as" in said


def test_a_file_counts_once_and_what_is_packed_is_said(tmp_path: Path) -> None:
    four(tmp_path)
    for name in ("a.zip", "b.csv.gz", "c.xlsx", "d.cbor", "e.parquet", "f.mp3", "g.md"):
        (tmp_path / name).write_bytes(b"PK")
    dataset, report = import_recordings([tmp_path, tmp_path / "run_1.csv", tmp_path], Options(window="400"))
    assert len(dataset) == 4
    said = " / ".join(report.lines())
    for text in ("'.zip': unpack it first", "'.xlsx': save its table as CSV", "'.cbor': have it written as JSON"):
        assert text in said
    with pytest.raises(DitmosError, match=r"no reader for '\.zip': unpack it first, expected one of \.bdf"):
        import_recordings([tmp_path / "a.zip"])


def test_rates_that_contradict_each_other(tmp_path: Path) -> None:
    four(tmp_path, head="# Sampling rate: 100 Hz\nt,ax,ay,az")
    dataset, said = imported(tmp_path)
    assert dataset.fs == 50 and "the header says 100 Hz, the time stamps say 50: these count" in said
    four(tmp_path, head="# Sampling rate: 100 Hz\nax,ay,az", first=None)
    assert imported(tmp_path, rate=100.0)[0].fs == 100
    with pytest.raises(DitmosError, match="rate is 50, but the files say 100; leave out --rate"):
        imported(tmp_path, rate=50.0)


def test_classes_that_differ_in_case_only(tmp_path: Path) -> None:
    for name in ("Walk", "walk", "run"):
        for take in (1, 2):
            table(tmp_path / name / f"{take}.csv", motion(), head="t,ax,ay,az", first=clock)
    assert "classes Walk, walk differ in case or blanks only" in imported(tmp_path)[1]


# Labels by time


def test_tracks_and_events(tmp_path: Path) -> None:
    signal = Signal(np.zeros((200, 1)), ("a",), ("",), rate=10.0)
    recording = Recording("x/rec.wav", "test", (signal,))
    for text in (
        "0.0\t3.0\tclap\n4.0\t9.0\tspeech\n",
        "onset\tduration\ttrial_type\n0\t3\tclap\n4\t5\tspeech\n9\t0\tbeep\n",
        "Start Time,End Time,Label\n0,3,clap\n4,9,speech\n",
    ):
        (tmp_path / "l.txt").write_text(text)
        labels = read_labels(tmp_path / "l.txt")
        spans = [(s.start, s.stop, s.label) for s in labels.give(recording).spans if s.stop > s.start]
        assert spans == [(0, 3, "clap"), (4, 9, "speech")]
    (tmp_path / "l.txt").write_text("start,stop,label\n0,6,walk\n5,9,run\n12,15,run\n14,16,run\n20,20,fall\n")
    notes = read_labels(tmp_path / "l.txt").notes
    assert notes[0] == "1 labels have no length, and label nothing"
    assert re.match("1 labels begin before another ends, the first is run at 5 s, in walk", notes[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start_ms,stop_ms,label\n2000,6000,run\n", "run"),
        ("subject,start,stop,label\n1,2,6,run\n2,2,6,sit\n", "run"),
        ("subject,start,stop,label\nsubject_01,2,6,run\n", "run"),
        ("file,start,stop,label\nS01\\a,2,6,run\nS02/a.csv,2,6,sit\n", "run"),
        (
            "start,stop,label\n2000,6000,run\n",
            "no label lies in a recording: run ends at 6000 s, .* from 0 to 7.98",
        ),
        ("start,stop,label\n0,6000,run\n", "labels go to 6000 s, the recording only to 7.98 s; if they are in ms"),
        ("start,stop,label\n2024-03-01 11:00:00,2024-03-01 11:00:05,run\n", "no label lies in a recording"),
        ("subject,start,stop,label\n7,2,6,run\n", "no row is for any recording"),
    ],
)
def test_labels_for_a_recording_and_on_its_clock(tmp_path: Path, text: str, expected: str) -> None:
    table(tmp_path / "in" / "S01" / "a.csv", motion(), head="t,ax,ay,az", first=clock)
    (tmp_path / "l.csv").write_text(text)
    options = Options(labels=tmp_path / "l.csv", window="50")
    if expected != "run":
        with pytest.raises(DitmosError, match=expected):
            import_recordings([tmp_path / "in"], options)
        return
    dataset, _ = import_recordings([tmp_path / "in"], options)
    assert dataset.class_names == ("run",) and len(dataset) == 7  # 4 s of 8


def test_a_public_set_is_known_by_its_names(tmp_path: Path) -> None:
    table(tmp_path / "RawData" / "acc_exp01_user01.txt", motion(), head="", separator=" ")
    with pytest.raises(DitmosError, match=r"give --rate .*; the files look like the public set uci-har: --preset"):
        import_recordings([tmp_path])


# Arrays


def arrays(path: Path, key: str | None = None, **content: object) -> list[Recording]:
    if path.suffix == ".mat":
        savemat(path, content)
    else:
        np.savez(path, **content)
    return read_arrays(path, Options(key=key))


def test_structures_and_cells_of_matlab(tmp_path: Path) -> None:
    values = motion(200)
    (one,) = arrays(tmp_path / "a.mat", rec={"acc": values, "fs": 50.0, "name": "x"})
    np.testing.assert_array_equal(one.signals[0].samples, values)
    assert one.signals[0].rate == 50
    (eeg,) = arrays(tmp_path / "b.mat", EEG={"data": values.T, "srate": 50.0, "times": np.arange(200) * 20.0})
    np.testing.assert_array_equal(eeg.signals[0].samples, values)
    (stamped,) = arrays(tmp_path / "c.mat", data=values, time=np.arange(200) / 50)
    assert stamped.signals[0].times is not None and stamped.signals[0].times[-1] == 199 / 50
    cells, labels = np.empty((2, 1), object), np.array(["walk", "run"], object)
    cells[0, 0], cells[1, 0] = values[:70], values[70:]
    walk, run = arrays(tmp_path / "d.mat", data=cells, label=labels, fs=50.0)
    np.testing.assert_array_equal(run.signals[0].samples, values[70:])
    assert (walk.label, run.label) == ("walk", "run")


def test_arrays_under_other_names(tmp_path: Path) -> None:
    windows, path = motion(600).reshape(6, 100, 3), tmp_path / "x.npz"
    numbers = np.array([0, 1, 1, 0, 0, 1])
    names = ["walk", "run"]
    expected = [names[i] for i in numbers]
    for content in (
        {"X": windows, "y": numbers, "classes": names},
        {"X": windows.transpose(0, 2, 1), "labels": np.eye(2)[numbers], "class_names": names},
        {"data": windows, "target": np.array(expected, "S4")},
    ):
        recordings = arrays(path, fs=50.0, **content)
        assert [r.label for r in recordings] == expected
        np.testing.assert_array_equal(np.stack([r.signals[0].samples for r in recordings]), windows)
    counts, about = (
        np.arange(120, dtype=np.int16).reshape(2, 20, 3),
        {"channels": [*"abc"], "units": "m/s2", "fs": 50.0},
    )
    for scale in (0.5, np.array([0.5, 0.25, 2.0])):
        signal = arrays(path, x=counts, y=[0, 1], scale=scale, **about)[1].signals[0]
        assert (signal.channels, signal.units) == (tuple("abc"), ("m/s^2",) * 3)
        np.testing.assert_array_equal(signal.samples * np.asarray(signal.scale), counts[1] * scale)
    parts = arrays(path, x_train=windows[:5], y_train=numbers[:5], x_test=windows[5:], y_test=numbers[5:], fs=50.0)
    assert [r.split for r in parts] == ["train"] * 5 + ["test"] and [r.label for r in parts] == [*"011001"]
    assert len(arrays(path, key="x_test", x_train=windows[:5], x_test=windows[5:])) == 1
