"""Paths to labels, labels by time, and what windows are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets.importers.cutting import cut, guess_window, parse_length
from ditmos.datasets.importers.labels import parse_rename, read_labels, row_labels
from ditmos.datasets.importers.pattern import Pattern, guess
from ditmos.datasets.importers.recording import Recording, Signal, Span
from ditmos.errors import DitmosError


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{label}/{subject}_{take}.csv", "data/walk/S01_3.csv", {"label": "walk", "subject": "S01", "take": "3"}),
        ("{label}/{subject}_{take}.csv", "data/walk/S01_3.CSV", {"label": "walk", "subject": "S01", "take": "3"}),
        ("{subject}/*/{label}.*", "p7/day 2/run fast.txt", {"subject": "p7", "label": "run fast"}),
        (
            "U_S{subject}_ADL_{label}_{take}_*.csv",
            "U_S01_ADL_Go_Up_2_2017.csv",
            {"subject": "01", "label": "Go_Up", "take": "2"},
        ),
        ("{}_{label}.csv", "x_y.csv", {"label": "y"}),
        ("{label}.csv", "a(1)+b.csv", {"label": "a(1)+b"}),
        ("{label}/{take}.csv", "walk.csv", None),
    ],
)
def test_pattern(pattern: str, path: str, fields: dict | None) -> None:
    assert Pattern(pattern).match(path) == fields


def test_pattern_errors() -> None:
    with pytest.raises(DitmosError, match=r"\{who\} is none of label, subject, take, sensor, split"):
        Pattern("{who}.csv")
    with pytest.raises(DitmosError, match=r"\{label\} stands there twice"):
        Pattern("{label}/{label}.csv")


@pytest.mark.parametrize(
    ("paths", "label", "subject"),
    [
        (["walk/1.csv", "walk/2.csv", "run/1.csv"], ["walk", "walk", "run"], None),
        (["S01/walk/1.csv", "S02/walk/1.csv", "S01/run/1.csv"], ["walk", "walk", "run"], "S01"),
        (["walk/S01/1.csv", "walk/S02/1.csv", "run/S01/1.csv"], ["walk", "walk", "run"], "S01"),
        (["walk_S01_1.csv", "walk_S02_1.csv", "run_S01_1.csv", "run_S02_1.csv"], ["walk", "walk", "run", "run"], "S01"),
        (["walk1.csv", "walk2.csv", "run1.csv", "run2.csv"], ["walk", "walk", "run", "run"], None),
        (["walk.csv", "run.csv", "sit.csv", "stand.csv"], ["walk", "run", "sit", "stand"], None),
        (["acc_walk_1.csv", "acc_walk_2.csv", "acc_run_1.csv"], ["walk", "walk", "run"], None),
        (["idle.abc12.json", "idle.xyz.json", "wave.k.json", "wave.l.json"], ["idle", "idle", "wave", "wave"], None),
        (["subject_1/a.csv", "subject_2/b.csv"], [None, None], "subject_1"),
    ],
)
def test_guess_from_paths(paths: list[str], label: list[str | None], subject: str | None) -> None:
    fields, _ = guess(paths)
    if label[0] is not None or len(paths) > 2:
        assert [field.get("label") for field in fields] == label
    assert fields[0].get("subject") == subject


def with_times(path: str, subject: str, start: float) -> Recording:
    signal = Signal(np.zeros((100, 1)), ("a",), ("",), rate=10.0, start=start)
    return Recording(path, "test", (signal,), subject=subject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("subject,start,stop,label\nS1,1700000002,1700000004,run\nS2,1700000000,1700000009,sit\n", [(2, 4, "run")]),
        ("subject,start,stop,label\nS1,1700000002000,1700000004000,run\n", [(2, 4, "run")]),
        ("subject;begin;end;activity\nS1;2,5;4;run\n", [(2.5, 4, "run")]),
        ("start,stop,label\n2,4,run\n4,6,sit\n", [(2, 4, "run"), (4, 6, "sit")]),
        ("start_min,stop (min),label\n0.05,0.1,run\n", [(3, 6, "run")]),
        ("file,start,label\nrec.csv,0,sit\nrec.csv,3,run\n", [(0, 3, "sit"), (3, np.inf, "run")]),
        ("start,stop,label\n2023-11-14T22:13:22Z,2023-11-14T22:13:24Z,run\n", [(2, 4, "run")]),
    ],
)
def test_labels_by_time(tmp_path: Path, text: str, expected: list) -> None:
    (tmp_path / "l.csv").write_text(text)
    recording = read_labels(tmp_path / "l.csv").give(with_times("x/rec.csv", "S1", 1.7e9))
    assert [(s.start - 1.7e9, s.stop - 1.7e9, s.label) for s in recording.spans] == expected
    labels = row_labels(recording, 100, 1.7e9, 10.0, None, "rest")
    first = expected[0]
    assert (labels[round(first[0] * 10) : round(first[1] * 10)] == first[2]).all()
    assert first[0] == 0 or labels[0] == "rest"


def test_labels_by_time_errors(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("when,what\n1,2\n")
    with pytest.raises(DitmosError, match="columns are when, what, expected start, stop, label"):
        read_labels(tmp_path / "l.csv")
    (tmp_path / "l.csv").write_text("start,stop,label\n4,2,run\n")
    with pytest.raises(DitmosError, match="line 2: a label ends before it begins"):
        read_labels(tmp_path / "l.csv")


def test_own_label_of_a_row_yields_to_a_span() -> None:
    recording = Recording("r", "test", (), label="all", spans=(Span(2.0, 3.0, "span"),))
    own = np.array(["row", "", "row", ""], object)
    np.testing.assert_array_equal(row_labels(recording, 4, 0.0, 1.0, own, None), ["row", "all", "span", "all"])


def test_rename() -> None:
    assert parse_rename(["jog=run,sprint = run", "other="]) == {"jog": "run", "sprint": "run", "other": ""}
    with pytest.raises(DitmosError, match="rename is 'jog', expected OLD=NEW"):
        parse_rename(["jog"])


def test_windows_keep_to_one_label_and_to_what_was_measured() -> None:
    samples = np.arange(100.0)[:, None]
    samples[20] = np.nan
    labels = np.array(["a"] * 50 + [""] * 10 + ["b"] * 40, object)
    made = cut(samples, labels, 10, 5)
    firsts = made.windows[:, 0, 0].tolist()
    assert firsts == [0, 5, 10, 21, 26, 31, 36, *range(60, 91, 5)]
    assert made.labels == ["a"] * 7 + ["b"] * 7 and len(set(made.stretch)) == 3
    assert np.isfinite(made.windows).all()
    assert made.lost["without a label"] == 10 and made.lost["without a value (gaps, NaN)"] == 1
    assert made.lost["left over at the ends"] == 4


def test_short_recordings_are_filled_up_only_if_asked() -> None:
    samples, labels = np.full((6, 2), 3.0), np.array(["a"] * 6, object)
    assert len(cut(samples, labels, 8, 8).windows) == 0
    np.testing.assert_array_equal(cut(samples, labels, 8, 8, "zero").windows[0, :, 0], [3] * 6 + [0] * 2)
    made = cut(samples, labels, 8, 8, "edge")
    np.testing.assert_array_equal(made.windows[0, :, 0], [3] * 8)
    assert made.padded == 1
    with pytest.raises(DitmosError, match="pad is 'mirror', expected zero or edge"):
        cut(samples, labels, 8, 8, "mirror")


def test_one_window_around_the_peak() -> None:
    samples = np.zeros((100, 1))
    samples[70] = -9.0
    made = cut(samples, np.array(["fall"] * 100, object), 20, 5, peak=True)
    assert made.windows.shape == (1, 20, 1) and made.windows[0, 10, 0] == -9


def test_lengths() -> None:
    assert [parse_length(text, 50, "hop") for text in ("128", "2.5s", "500ms", "1 s", "7 rows")] == [
        128,
        125,
        25,
        50,
        7,
    ]
    for text in ("0", "x", "1.5", "-3", "0.001s"):
        with pytest.raises(DitmosError, match="hop is"):
            parse_length(text, 50, "hop")
    assert guess_window([16000] * 9 + [14000], 16000) == 16000
    assert guess_window([5000, 7000, 9000], 50) == 100
    assert guess_window([500, 700], 4) == 32
