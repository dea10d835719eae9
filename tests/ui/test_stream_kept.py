"""What is kept of a stream, and what a page is shown of it: no browser, no board."""

from __future__ import annotations

import numpy as np
import pytest
from ditmos.errors import DitmosError
from ditmos.link.stream import Result
from ditmos.link.tape import Tape
from ditmos.model.signal import Fit, Signal
from ditmos.ui.colours import OKABE_ITO, colours_of
from ditmos.ui.figures import figures_of
from ditmos.ui.history import Answer, History
from ditmos.ui.live_board import usual_hop
from ditmos.ui.player import Player, Supply
from ditmos.ui.ring import Ring
from ditmos.ui.sight import Sight
from ditmos.ui.sonogram import sonogram

SIGNAL = Signal.of(("a", "b"), ("x", "y"), "g", 0.5, 50.0)
RNG = np.random.default_rng(0)


def history(answers: int = 0, capacity: int | None = None) -> History:
    made = History(SIGNAL, 20, 5, 3, 50.0, np.dtype(np.int16), capacity)
    made.ring.append(RNG.integers(-99, 99, (20 + 5 * (answers - 1) if answers else 0, 2)).astype(np.int16))
    for i in range(answers):
        result = Result(i, i % 2, "ab"[i % 2], i % 3, 1, 1000 * (i % 4), 0.01, np.zeros(2, np.int8), 0.5)
        made.add(Answer(result, 5 * i, 5 * i + 20, i / 10, truth=0))
    return made


def test_a_ring_keeps_the_newest_rows() -> None:
    ring, rows = Ring(2, np.dtype(np.int16), 10), np.arange(50, dtype=np.int16).reshape(25, 2)
    for part in np.array_split(rows, 4):
        ring.append(part)
    assert (ring.first, ring.end) == (15, 25)
    np.testing.assert_array_equal(ring.rows(17, 20), rows[17:20])
    np.testing.assert_array_equal(ring.rows(0, 99), rows[15:])
    assert len(ring.rows(3, 9)) == 0


@pytest.mark.parametrize("step", [1, 3, 7, 100])
def test_bins_are_the_same_whenever_they_are_asked_for(step: int) -> None:
    ring, rows = Ring(2, np.dtype(np.int16), 100), RNG.integers(-500, 500, (100, 2)).astype(np.int16)
    ring.append(rows)
    whole = ring.envelope(0, 100, step)
    for start in (1, 10, 50):
        part = ring.envelope(start, 100, step)
        np.testing.assert_array_equal(part.low, whole.low[part.first :])
    for i in range(len(whole.low)):
        cut = rows[i * step : (i + 1) * step]
        assert (whole.low[i] == cut.min(0)).all() and (whole.high[i] == cut.max(0)).all()


def test_a_page_is_told_each_thing_once() -> None:
    kept = history(10)
    sight = Sight(kept, span=10)
    sight.change({"width": 600})
    first = sight.news()
    assert first and first["reset"] and [row[0] for row in first["answers"]] == list(range(10))
    assert sight.news() is None
    kept.ring.append(np.zeros((5, 2), np.int16))
    result = Result(10, None, None, 255, 0, 10, 0.01, None, None)
    kept.add(Answer(result, 50, 70, 1.0, event=1))
    news = sight.news()
    assert news and not news["reset"] and news["answers"] == [[10, 70, -1, 255, None, -1, 1]]
    assert news["first"] * news["view"]["step"] >= 60, "only the newest bins come again"


def test_an_answer_is_told_with_its_rows_whichever_comes_first() -> None:
    kept, rows = history(10), np.zeros((5, 2), np.int16)
    sight = Sight(kept, span=10)

    def told() -> list[int]:
        return [row[0] for row in (sight.news() or {"answers": []})["answers"]]

    def answer(number: int) -> None:
        kept.add(Answer(Result(number, None, None, 255, 0, 10, 0.01, None, None), 5 * number, 5 * number + 20, 1.0))

    assert told() == list(range(10))
    answer(10)
    assert told() == []
    kept.ring.append(rows)
    assert told() == [10]
    kept.ring.append(rows)
    assert told() == []
    answer(11)
    assert told() == [11]


def test_a_page_looks_back_zooms_and_follows_again() -> None:
    sight = Sight(history(200), span=2)
    sight.change({"toggle": True})
    stop = sight.stop
    assert stop == sight.history.ring.end and not sight.following
    sight.change({"stop": 500})
    news = sight.news()
    assert news and news["view"]["stop"] == 500 and all(row[1] <= 500 for row in news["answers"])
    sight.change({"zoom": 2})
    assert sight.span == 5
    sight.change({"stop": -40})
    assert sight.stop == 250, "no further than the oldest row"
    sight.change({"stop": 10**9})
    assert sight.following


def test_sixty_channels_and_sound_are_cut_down_to_what_a_screen_shows() -> None:
    wide = History(Signal.of(("a",), [f"c{i}" for i in range(60)], "uV", 1.0, 128.0), 512, 64, 1, 128.0, np.dtype("f4"))
    wide.ring.append(RNG.normal(size=(128 * 30, 60)).astype(np.float32))
    news = Sight(wide).news()
    assert news and len(news["low"]) < 60 * 800 * 4 * 1.4
    loud = History(Signal.of(("a",), ["sound"], "", 1.0, 16000.0), 16000, 3200, 1, 16000.0, np.dtype(np.int16))
    time = np.arange(16000 * 4) / 16000
    loud.ring.append((20000 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)[:, None])
    sight = Sight(loud)
    assert sight.is_sound
    news = sight.news()
    assert news and len(news["low"]) < 8000 and news["bands"] == 64
    picture = sonogram(loud.ring, 10, 20, 500, 32768.0)
    assert picture.shape == (20, 64) and (picture.argmax(1) == 7).all(), "1,000 Hz of 8,000 in 64 bands"


def test_figures() -> None:
    assert figures_of(history()) is None
    found = figures_of(history(40))
    assert found and found.answers == 40 and found.rate == pytest.approx(10)
    assert found.right == 0.5 and set(found.usage) == {0, 1, 2} and found.device[0] == 1.5
    assert found.duty == pytest.approx(0.015)


def test_a_history_becomes_a_tape_and_comes_back(tmp_path) -> None:
    kept = history(30, capacity=60)
    tape = kept.tape()
    assert tape.samples.shape == (60, 2) and len(tape.results) == 9
    tape.save(tmp_path / "t.npz")
    back = History.of_tape(Tape.load(tmp_path / "t.npz"))
    assert back.count == 9 and back.window == 20
    np.testing.assert_array_equal(back.ring.rows(0, 20), kept.ring.rows(105, 125))
    assert back.last()[0].result.label == kept.last()[0].result.label
    assert history().tape().results == []


def test_what_was_read_ahead_is_given_again() -> None:
    blocks = iter([(np.full((4, 2), i, np.int16), i % 2) for i in range(6)])
    player = Player(Supply("s", blocks, np.dtype(np.int16), SIGNAL, 50.0), Fit((1, 0), (1, 0), ()))
    first = player.blocks(0)
    assert [next(first)[0, 0] for _ in range(3)] == [0, 1, 2]
    again = player.blocks(6)
    assert [int(block[0, 0]) for block in again] == [1, 2, 3, 4, 5] and player.ended
    assert list(first) == [], "there is one reader"
    assert player.label(0, 4) == 1 and player.label(4, 10) == 0
    player.forget(9)
    assert player.rows(7, 10).tolist() == [[2, 2]] * 2
    with pytest.raises(DitmosError, match="row 3 is gone"):
        next(player.blocks(3))


def test_usual_hops() -> None:
    assert usual_hop(151, 1, 50.0) == 10
    assert usual_hop(16000, 320, 16000.0) == 3200
    assert usual_hop(4, 1, 50.0) == 4 and usual_hop(151, 1, None) == 151


def test_colours_are_told_apart() -> None:
    colours = colours_of(64)
    assert len({colours[k] for k in range(64)}) == 64 and colours[0] == OKABE_ITO[0]
