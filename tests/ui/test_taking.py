"""Takes as the page handles them: marks, trimming, what looks wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets.takes import Signal, Take
from ditmos.errors import DitmosError
from ditmos.framing import SAMPLES
from ditmos.link.record import Sensor
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.openers import Plugged
from ditmos.ui.taking import Plan, Taking, cut_at

SIGNAL = Signal(("ax", "ay"), "g", 0.01, 50.0)


def a_take(rows: int, rate: float | None = 50.0) -> Take:
    samples = np.random.default_rng(0).integers(-900, 900, (rows, 2)).astype(np.int16)
    return Take("walk", samples, SIGNAL, 0, rate)


@pytest.fixture
def taking(tmp_path: Path) -> Taking:
    plan = Plan.of(" walk , run", "Simulated", 2, 20, 3)
    return Taking(LiveBoard("none", Plugged("nowhere"), None), tmp_path / "my.npz", plan)


def test_a_mark_becomes_a_take_around_it() -> None:
    take = a_take(100)
    parts = cut_at(take, [(50, "step"), (2, "jump"), (99, "step")], 20)
    assert [part.label for part in parts] == ["step", "jump", "step"]
    for part, start in zip(parts, (40, 0, 80), strict=True):
        np.testing.assert_array_equal(part.samples, take.samples[start : start + 20])
    with pytest.raises(DitmosError, match="10 rows make no window of 20"):
        cut_at(a_take(10), [(5, "x")], 20)


def test_marks_of_a_take_done_again_stand_in_its_place(taking: Taking) -> None:
    taking._keep(a_take(100), None)
    taking.marks = [(50, "walk"), (80, "run")]
    taking._keep(a_take(100), 0)
    assert {number: take.label for number, take in taking.takes().items()} == {1: "walk", 2: "run"}


def test_a_trim_of_the_start_keeps_the_end(taking: Taking) -> None:
    sound = replace(a_take(16065, 16000.0), signal=replace(SIGNAL, rate=16000.0))  # 1.0040625 s
    taking.store.keep(sound)
    taking.trim(0, 0.5, 1.0)
    np.testing.assert_array_equal(taking.takes()[0].samples, sound.samples[8000:])


def test_takes_are_trimmed_and_removed(taking: Taking) -> None:
    for _ in range(2):
        taking.store.keep(a_take(100))
    taking.trim(0, 0.4, 1.2)
    np.testing.assert_array_equal(taking.takes()[0].samples, a_take(100).samples[20:60])
    with pytest.raises(DitmosError, match="no window of 20"):
        taking.trim(0, 0.0, 0.1)
    taking.store.remove(0)
    assert list(taking.takes()) == [1]
    with pytest.raises(DitmosError, match="no take 0"):
        taking.store.remove(0)


@pytest.mark.parametrize("lost", [0, 3])
def test_a_take_that_is_stopped_is_kept_if_it_is_whole(
    taking: Taking, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """The board says how many rows it lost when it is told to end."""

    class Talk:
        silent, ended = False, None

        def __init__(self, board: object, deliver: Callable[[int, bytes], bool]) -> None:
            self.deliver = deliver

        def start(self, code: str) -> None:
            assert code.endswith("record(_sensor, 100)")

        def pump(self) -> None:
            self.deliver(SAMPLES, np.arange(40, dtype="<i2").tobytes())
            taking.stop()

        def finish(self) -> None:
            self.ended = {"lost": lost, "clipped": 1}

        def stop(self) -> None:
            pass

    monkeypatch.setattr("ditmos.link.record.Conversation", Talk)
    sensor = object.__new__(Sensor)
    sensor.board, sensor.signal = None, SIGNAL
    monkeypatch.setattr(sensor, "expect", lambda label: None, raising=False)
    monkeypatch.setattr(taking.board, "sensor", lambda board, driver, fresh: sensor)
    if lost:
        with pytest.raises(DitmosError, match="3 rows were lost: the line, or the board, is too slow for 2 channels"):
            taking._take(None, "walk")
    else:
        assert len(taking._take(None, "walk").samples) == 20
    assert (sensor.lost, sensor.clipped) == (lost, 1)


def test_what_looks_wrong_is_said(taking: Taking) -> None:
    assert taking.quality(a_take(200)) == []
    clipped = a_take(200)
    clipped.samples[:, 1] = np.minimum(clipped.samples[:, 1], 0)
    assert "channel ay looks clipped" in taking.quality(clipped)[0]
    dead = a_take(200)
    dead.samples[:, 0] = 7
    assert "channel ax is 0.07 everywhere" in taking.quality(dead)[0]
    assert "25.0 of 50 rows a second" in taking.quality(a_take(200, rate=25.0))[0]
    assert "shorter than a window" in taking.quality(a_take(10))[0]


def test_two_sessions_do_not_write_into_one_folder(taking: Taking) -> None:
    with pytest.raises(DitmosError, match="another ditmos record"):
        Taking(taking.board, taking.out, taking.plan)


@pytest.mark.parametrize(
    ("labels", "seconds", "window"), [("walk", 2, 20), ("a,a", 2, 20), ("a,b", 0, 20), ("a,b", 2, 4)]
)
def test_a_wrong_form_is_said(labels: str, seconds: float, window: int) -> None:
    with pytest.raises(DitmosError, match="expected"):
        Plan.of(labels, "Simulated", seconds, window, 0)
