"""Tracks, what a model hears on them, and how events are judged: cases worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from ditmos.bench.golden import random_model
from ditmos.cli import live as command
from ditmos.datasets import Dataset, save
from ditmos.datasets.surroundings import silent_classes, spoken, with_surroundings
from ditmos.errors import DitmosError
from ditmos.events import Watched, events
from ditmos.frontends import log_mel
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.memory import memory
from ditmos.frontends.window_summary import summary_for
from ditmos.live import trial
from ditmos.live.choosing import Row, choose, parse_events, rejecting, settings
from ditmos.live.judging import Judged, judge, said
from ditmos.live.listening import Hearing, hear
from ditmos.live.making import activities, common_overlap, nothing, together, words
from ditmos.live.track import Track, load_track, named_as, save_track
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import price, whole_plan
from ditmos.routing import top1
from typer.testing import CliRunner

FS = 8000.0
NAMES = ("low", "high", "unknown")


def beeps(people: int = 6, each: int = 6) -> Dataset:
    """Half a second with a beep of a low, a high or a middle tone in it; the last is unknown."""
    rng = np.random.default_rng(0)
    count = people * each
    y, subject = np.arange(count) % 3, np.arange(count) // each
    t = np.arange(int(FS / 2)) / FS
    tone = np.sin(2 * np.pi * np.array([300, 2400, 900])[y, None] * t)
    x = np.where((t > 0.15) & (t < 0.35), tone, 0) * 0.3 + rng.normal(0, 1e-3, (count, len(t)))
    split = np.array([0, 0, 0, 0, 1, 2], np.int8)[subject]
    samples = np.rint(x * 2048).astype(np.int16)[..., None]
    return Dataset(samples, y, subject, subject, NAMES, ("mic",), 1 / 2048, "full scale", FS, split, "beeps")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights behind a real front end."""
    front = log_mel.front_end(FS, 1 / 2048, "full scale", "mic")
    branch = BranchSpec((ConvSpec(4, 3), ConvSpec(4, 3)), ())
    spec = NetworkSpec(front.rows(4000), 40, 3, 2, branch, branch)
    quantized = random_model(np.random.default_rng(0), spec)
    quantized = replace(quantized, front_end=front, class_names=NAMES)
    path = tmp_path / "model.dtm"
    write_model(path, quantized, whole_plan(spec, feed=memory(front, spec.window)))
    return path


def track(**changes) -> Track:
    """Ten seconds: class 0 from 1 to 2 s, class 1 from 4 to 5, class 2 (silent) from 7 to 8."""
    times = np.array([1.0, 4.0, 7.0])
    silence, scale = np.zeros((10_000, 1), np.int16), 1 / 32768
    made = Track(silence, times, times + 1, np.arange(3), NAMES, ("mic",), scale, "full scale", 1000.0)
    return replace(made, **changes)


def test_words_are_judged_as_by_hand() -> None:
    heard = [(0.5, 0), (2.5, 0), (2.9, 0), (4.1, 0), (6.0, 1), (7.5, 1)]
    found = judge(heard, track(), silent=(2,), tolerance=1.0)
    # Right: 0 at 2.5 s, half a second after its end; 1 at 6.0 s, just within the tolerance. The rest is false.
    assert (found.events, found.missed, found.false_accepts) == (2, 0.0, 4)
    assert found.per_hour == pytest.approx(4 * 360)
    assert (found.latency_median, found.latency_p95) == (pytest.approx(0.75), pytest.approx(0.975))
    assert found.missed_by_class == (0.0, 0.0, None)


def test_what_comes_too_late_is_missed_and_false() -> None:
    found = judge([(3.2, 0), (4.5, 1)], track(), silent=(2,), tolerance=1.0)
    assert (found.missed, found.false_accepts, found.latency_median) == (0.5, 1, pytest.approx(-0.5))
    nothing_said = judge([], track(), silent=(2,))
    assert (nothing_said.missed, nothing_said.false_accepts, nothing_said.latency_p95) == (1.0, 0, None)


def test_activities_count_from_their_start() -> None:
    stays = track(start=np.array([0.0, 3.0, 6.0]), end=np.array([3.0, 6.0, 10.0]), continuous=True)
    found = judge([(1.0, 0), (3.5, 1), (6.2, 1), (8.0, 2)], stays)
    assert (found.missed, found.false_accepts) == (0.0, 1)  # class 1 twice
    assert found.latency_median == pytest.approx(1.0)


def test_nothing_counts_before_the_calibration_is_over() -> None:
    found = judge([(0.5, 1), (2.5, 0), (4.5, 1)], track(), silent=(2,), since=3.0)
    assert (found.events, found.missed, found.false_accepts) == (1, 0.0, 0)
    assert found.per_hour == 0


def test_events_are_those_of_the_device_file() -> None:
    scores = np.array([[0, 0, 255]] * 3 + [[255, 0, 0]] * 5, np.uint8)
    heard = np.ones(8, bool)
    heard[4] = False  # nobody answered: not called
    hearing = Hearing(np.arange(8) / 10, scores, heard, np.ones(8, np.int64), 0.0, 10.0)
    assert said(hearing, events(on=0.9, windows=2, silent=(2,))) == [(0.5, 0)]


def test_what_is_rejected_is_chosen_by_what_is_right() -> None:
    """Two of 21 right windows lead by 40 only; a wrong one, and one between the words, do not count."""
    times = np.concatenate([np.linspace(1.0, 2.5, 20), [3.4, 4.5, 7.2]])
    scores = np.array([[200, 10, 0]] * 18 + [[100, 60, 0]] * 2 + [[100, 99, 0], [100, 98, 0], [0, 0, 100]], np.uint8)
    hearing = Hearing(times, scores, np.ones(23, bool), np.ones(23, np.int64), 0.0, 10.0)
    assert rejecting("events(on=0.5)", hearing, track(), 1.0, kept=0.90) == "known(events(on=0.5), 100)"
    assert rejecting("events(on=0.5)", hearing, track(), 1.0, kept=0.95) == "known(events(on=0.5), 40)"


def test_a_setting_gets_the_silent_classes() -> None:
    assert parse_events("events(on=0.9)", (2,)).expression == "events(on=0.9, silent=(2,))"
    assert parse_events("known(events(on=0.9), 20)", (2,)).expression == "known(events(on=0.9, silent=(2,)), 20)"
    assert parse_events("events(silent=(1,))", (2,)).expression == "events(silent=(1,))"
    assert parse_events("steady(windows=3)", (2,)).expression == "steady(windows=3)"
    for text, message in (("listen(1)", "no listen there"), ("events(1 +", "expected FILE.py"), ("events(a=1)", "a")):
        with pytest.raises(DitmosError, match=message):
            parse_events(text)
    for continuous in (False, True):
        for text in settings(12.5, continuous=continuous):
            parse_events(text, (2,))


def test_the_best_setting_keeps_to_both_bounds() -> None:
    def row(name: str, missed: float, per_hour: float, late: float) -> Row:
        return Row(name, Judged(10, missed, 1, per_hour, late, late, ()))

    rows = [row("many", 0.0, 50, 0.5), row("late", 0.1, 5, 0.9), row("good", 0.2, 9, 0.6), row("few", 0.4, 0, 0.6)]
    assert choose(rows, 10, 0.7).setting == "good"
    assert choose(rows, 10, None).setting == "late"
    assert choose(rows[:2], 1, 0.7).setting == "late"  # nobody keeps to it: the fewest false accepts
    with pytest.raises(DitmosError, match="no setting"):
        choose([], 10, None)


def test_tracks_come_back_from_their_files(tmp_path: Path) -> None:
    made = words(beeps(), np.arange(12), seed=1)
    for name in ("t.npz", "t.wav"):
        save_track(made, tmp_path / name)
        back = named_as(load_track(tmp_path / name), NAMES)
        np.testing.assert_allclose(back.samples * back.scale, made.samples * made.scale, atol=1e-7)
        np.testing.assert_allclose([back.start, back.end], [made.start, made.end], atol=1e-5)
        np.testing.assert_array_equal(back.label, made.label)
        assert (back.fs, back.units) == (FS, "full scale")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.0\t2.0\n", "line 1: '1.0.t2.0', expected start and end"),
        ("0\t1\tlow\nx\t2\tlow\n", "line 2"),
        ("5\t4\tlow\n", "ends at 4 s, before its start"),
        ("0\t99\tlow\n", r"end.0. is 99 s, the track has"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    save_track(words(beeps(), np.arange(3)), tmp_path / "t.wav")
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(DitmosError, match=message):
        load_track(tmp_path / "t.wav")


def test_tracks_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match="no such file"):
        load_track(tmp_path / "t.npz")
    (tmp_path / "t.npz").write_bytes(b"PK nothing")
    with pytest.raises(DitmosError, match="not a readable track"):
        load_track(tmp_path / "t.npz")
    save(beeps(), tmp_path / "d.npz")
    with pytest.raises(DitmosError, match="start, end, label missing"):
        load_track(tmp_path / "d.npz")
    for changes, message in (
        ({"label": np.array([0, 1, 3])}, r"label.2. is 3"),
        ({"fs": 0.0}, "fs is 0.0"),
        ({"start": np.array([1.0, np.nan, 7.0])}, r"start.1. is nan s"),
        ({"end": np.ones(2)}, "end has shape"),
        ({"samples": np.zeros((10, 1))}, "float64"),
    ):
        with pytest.raises(DitmosError, match=message):
            track(**changes).check()
    with pytest.raises(DitmosError, match="'low' is none of the model's classes: up"):
        named_as(track(), ("up",))


def test_a_track_of_words_has_each_once_where_it_says(tmp_path: Path) -> None:
    dataset = beeps()
    made = words(dataset, dataset.part(1), seed=3)
    assert len(made.label) == len(dataset.part(1)) and sorted(made.label) == sorted(dataset.y[dataset.part(1)])
    power = made.samples[:, 0].astype(float) ** 2
    for start, end in zip(made.start, made.end, strict=True):
        assert 0.15 < end - start < 0.35  # the beep, and half of the span at either end
        inside = power[int(start * FS) : int(end * FS)].mean()
        assert inside > 4 * power[int((end + 0.2) * FS) : int((end + 0.6) * FS)].mean()
    assert (made.start[1:] - made.end[:-1] >= 1.0).all()
    np.testing.assert_array_equal(made.samples, words(dataset, dataset.part(1), seed=3).samples)
    longer = words(dataset, dataset.part(1), minutes=1, seed=3)
    assert longer.seconds >= 60 and len(longer.label) > len(made.label)


def test_activities_stay_a_while() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(60) // 5
    x = rng.normal(size=(60, 100, 3)).astype(np.float32)
    stays = Dataset(x, group % 3, group, group, NAMES, ("x", "y", "z"), 1.0, "g", 50.0, np.zeros(60, np.int8), "stays")
    made = activities(stays, np.arange(60))
    some = trial.made(stays, 0, 0, 0, ("low", "high"))
    assert set(some.label.tolist()) == {0, 1} and len(some.label) == 8
    for part, only, message in (
        (0, "walk", "'walk' is none of its classes, expected some of low"),
        (2, "low", "no test window"),
    ):
        with pytest.raises(DitmosError, match=message):
            trial.made(stays, part, 0, 0, (only,))
    np.testing.assert_allclose(made.start[1:], made.end[:-1])
    assert made.continuous and len(made.label) == 12 and made.end[-1] == pytest.approx(made.seconds)
    length = made.end - made.start
    assert length.min() >= 9 and length.max() <= 31


def test_overlapping_windows_are_put_together_again() -> None:
    """A recording of 400 rows, cut every 40; one that does not change: any overlap would do; one that jumps."""
    rng = np.random.default_rng(0)
    signal = rng.integers(-900, 900, (400, 3)).astype(np.int16)
    cut = np.stack([signal[i : i + 100] for i in range(0, 301, 40)])
    still = np.full((4, 100, 3), 5, np.int16)
    overlap = common_overlap([still, cut])
    assert overlap == 60 and len(together(still, overlap)) == 100 + 3 * 40
    np.testing.assert_array_equal(together(cut, overlap), signal[:380])
    np.testing.assert_array_equal(together(cut[[0, 5, 6]], overlap)[:200], np.concatenate([cut[0], cut[5]]))
    assert common_overlap([rng.normal(size=(5, 100, 3))]) == 0
    zeros = np.zeros(len(cut), np.int64)
    made = activities(
        Dataset(cut, zeros, zeros, zeros, ("a",), ("x", "y", "z"), 1.0, "g", 10.0), np.arange(len(cut)), minutes=1
    )
    for start, end in zip((made.start * 10).astype(int), (made.end * 10).astype(int), strict=True):
        first = int(np.flatnonzero((signal == made.samples[start]).all(1))[0])
        np.testing.assert_array_equal(made.samples[start:end], signal[first : first + end - start])


def test_a_track_of_nothing_is_never_clipped_for_long() -> None:
    made = nothing(beeps(), minutes=1)
    assert len(made.label) == 0 and made.seconds == 60
    assert (np.abs(made.samples) >= 2047).mean() < 0.01 and made.samples.std() > 1


def test_the_word_is_where_it_is_loud() -> None:
    ends = spoken(beeps().x[:6, :, 0], FS) / FS
    assert (np.abs(ends - [0.125, 0.375]) < 0.03).all()  # 0.15 to 0.35 s, and half of the span of 50 ms


def test_surroundings_stay_on_their_side_of_the_split() -> None:
    dataset = beeps()
    more = with_surroundings(dataset)
    assert len(more) > 3 * len(dataset) and more.class_names == NAMES
    np.testing.assert_array_equal(more.x[: len(dataset)], dataset.x)
    assert (more.split[len(dataset) :] != 2).all()
    people = {s: set(dataset.subject[dataset.split == s]) for s in range(3)}
    assert all(set(more.subject[more.split == s]) == people[s] for s in range(3))
    again = with_surroundings(dataset)
    np.testing.assert_array_equal(again.x, more.x)
    # A class of what is no word is added where there is none.
    two = replace(dataset, y=dataset.y % 2, class_names=("low", "high"))
    assert with_surroundings(two).class_names == ("low", "high", "unknown")
    assert silent_classes(("a", "_Silence_", "Unknown", "noisy")) == (1, 2)
    with pytest.raises(DitmosError, match="2 channels at 8000 Hz, surroundings need one"):
        with_surroundings(replace(dataset, x=np.repeat(dataset.x, 2, axis=2), channels=("left", "right")))


def test_a_model_hears_what_a_board_would(model: Path) -> None:
    """Windows of the whole track at once, and sample by sample through `feed` and `select_fed`."""
    reference = Model(read_model(model)[0])
    made = words(beeps(), np.arange(4), seed=5)
    heard = hear(reference, made, hop=4)
    board, watched, at, missing = Model(read_model(model)[0]), None, 0, reference.window
    found = []
    for piece in np.array_split(made.samples, len(made.samples) // reference.raw_hop):
        at += len(piece)
        missing -= board.feed(piece)
        if missing <= 0:
            watched = watched or Watched(board)
            top1(watched, None)
            found.append(bytes(watched.scores()))
            assert abs(heard.times[len(found) - 1] - at / FS) <= 1.01 * reference.raw_hop / FS
            missing += 4
    assert found == [row.tobytes() for row in heard.scores[: len(found)]] and len(heard.scores) - len(found) <= 1
    assert heard.rate == pytest.approx(FS / 160 / 4) and (heard.runs == 1).all()


def test_tracks_of_another_kind_are_refused(model: Path) -> None:
    reference = Model(read_model(model)[0])
    for changes, message in (
        ({"fs": 16000.0}, "fs is 16000 Hz, the model was made for 8000"),
        ({"units": "g"}, "is in g, the model was made for full scale"),
        ({"samples": np.zeros((10, 1), np.int16), "start": np.zeros(0), "end": np.zeros(0), "label": np.zeros(0, int)},
         "every sample is 0: its sensor sent nothing"),
        ({"samples": np.arange(10, dtype=np.int16)[:, None], "start": np.zeros(0), "end": np.zeros(0),
          "label": np.zeros(0, int)}, "0 rows, a window of the model has"),
    ):  # fmt: skip
        with pytest.raises(DitmosError, match=message):
            hear(reference, track(**{"fs": FS, **changes}), hop=4)
    with pytest.raises(DitmosError, match="nothing to calibrate"):
        hear(reference, words(beeps(), np.arange(3)), 4, calibrate=1)
    with pytest.raises(DitmosError, match="calibrate is 999 s, beeps has"):
        hear(reference, words(beeps(), np.arange(3)), 4, calibrate=999)


def test_samples_in_other_steps_are_converted_and_clipping_is_counted(model: Path) -> None:
    reference = Model(read_model(model)[0])
    made = words(beeps(), np.arange(3), seed=2)
    finer = replace(made, samples=np.clip(made.samples, -2047, 2047) * 16, scale=1 / 32768)
    np.testing.assert_array_equal(hear(reference, finer, 4).scores, hear(reference, made, 4).scores)
    assert hear(reference, made, 4).clipped == 0
    loud = replace(made, samples=np.where(np.arange(len(made.samples))[:, None] % 4 == 0, 2047, made.samples))
    assert hear(reference, replace(loud, samples=loud.samples.astype(np.int16)), 4).clipped == pytest.approx(
        0.25, abs=1e-4
    )


def test_what_a_row_costs_is_near_what_was_counted() -> None:
    """`ditmos bench frontend`, on the simulated Cortex-M7."""
    for fs, counted in ((16e3, 27_919), (8e3, 14_875), (48e3, 104_322)):
        row = price.front_row(log_mel.front_end(fs, 1 / 2048, "", "mic"), 49)
        assert row == pytest.approx(counted, rel=0.07)


def test_what_a_row_of_a_forests_window_costs_is_near_what_was_counted() -> None:
    """`device/bench.py` on the simulated Cortex-M7: a row that is fed, and int8 of the window for a network."""
    for window, channels, row, int8 in ((151, 3, 1_058, 8_877), (64, 6, 945, 7_831)):
        names = tuple(f"channel {i}" for i in range(channels))
        front = FrontEnd((summary_for(window),), 50.0, 1 / 64, "", names)
        branch = BranchSpec((ConvSpec(4, 3),), ())
        spec = NetworkSpec(window, channels, 4, 1, branch, branch)
        assert price.front_row(front, window) == pytest.approx(row, rel=0.03)
        assert price.fed_window(spec) == pytest.approx(int8, rel=0.03)


def run(*arguments: object) -> str:
    app = typer.Typer()
    command.add(app)
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_on_a_set(model: Path, tmp_path: Path) -> None:
    data = save(beeps(), tmp_path / "d.npz")
    arguments = ("--minutes", 0, "--empty", 0.2, "--events", "events(on=0.5)", "--events", "events(on=0.9)")
    json_file, plot = tmp_path / "r.json", tmp_path / "p.svg"
    printed = run(
        model, "--data", data, *arguments, "--json", json_file, "--plot", plot, "--save", tmp_path / "tracks"
    )  # fmt: skip
    result = json.loads(json_file.read_text())
    assert set(result) >= {"chosen", "validation", "test", "nothing", "levels"} and plot.stat().st_size > 1000
    assert len(result["validation"]["rows"]) == 2 and len(result["test"]["rows"]) == len(result["nothing"]["rows"]) == 2
    assert result["test"]["rows"][1]["setting"] == result["rejecting"]
    assert result["test"]["rows"][0]["setting"] == result["chosen"] and "single test windows" in printed
    assert 0 < result["test"]["duty_cycle"] < 1 and set(result["levels"]) == {"0.25", "0.5", "1", "2"}
    run(model, "--track", tmp_path / "tracks" / "test.wav", "--events", result["chosen"], "--json", json_file)
    again = json.loads(json_file.read_text())
    assert again["rows"] == result["test"]["rows"][:1]


def test_the_command_needs_one_of_two(model: Path) -> None:
    with pytest.raises(DitmosError, match="either --track or --data"):
        run(model)
