"""Two methods on the same windows: what one is better by, and how sure that is, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.errors import DitmosError
from ditmos.study import summary, tables
from ditmos.study.pairs import paired, pooled
from ditmos.training.predictions import PREDICTIONS, Predictions

Y = np.array([0, 0, 0, 1] * 4)
PEOPLE = np.repeat([3, 5, 7, 9], 4)


def said(wrong: list[int], *, y: np.ndarray = Y, people: np.ndarray = PEOPLE) -> Predictions:
    """Answers that are wrong on these windows alone."""
    predicted = y.copy()
    predicted[wrong] = 1 - predicted[wrong]
    return Predictions(np.arange(len(y)), people, y, predicted)


def test_what_one_is_better_by() -> None:
    """The other misses the one window of class 1 of two people, we miss a window of class 0 of a third."""
    found = paired([said([8])], [said([3, 7])], balanced=False)
    assert found.points == pytest.approx(100 / 16) and (found.people, found.better, found.worse) == (4, 2, 1)
    assert paired([said([8])], [said([3, 7])], balanced=True).points == pytest.approx(100 * (2 / 4 - 1 / 12) / 2)
    back = paired([said([3, 7])], [said([8])], balanced=False)
    assert found.low is not None and found.high is not None
    assert (back.points, back.low, back.high) == pytest.approx((-found.points, -found.high, -found.low))


def test_an_interval_is_over_people() -> None:
    """Every draw has four people; one of them lost a window in each of eight."""
    found = paired([said([])], [said([0, 1, 2, 3])], balanced=False)  # all that is lost is one person's
    assert found.points == 25 and found.low == 0  # a draw without that person: 0.75 ** 4 of them
    drawn = np.random.default_rng(1).binomial(4, 0.25, 100_000) / 4
    assert found.high == 100 * np.quantile(drawn, 0.975)
    everybody = paired([said([])], [said([0, 4, 8, 12])], balanced=False)
    assert (everybody.points, everybody.low, everybody.high) == (25, 25, 25)  # the same for each of them


def test_a_person_comes_with_the_windows_of_all_splits() -> None:
    """Person 3 is tested in two splits: better in one, as much worse in the other, which no draw can part."""
    here = np.flatnonzero(PEOPLE == 3)
    first, second = (
        Predictions(here, PEOPLE[here], Y[here], np.where(np.isin(here, wrong), 1 - Y[here], Y[here]))
        for wrong in ([0], [1])
    )
    right = said([], y=Y[here], people=PEOPLE[here])
    found = paired([first, right], [right, second], balanced=False)
    assert (found.points, found.low, found.high, found.people) == (0, None, None, 1)
    assert pooled([first, right], balanced=False) is None


def test_a_class_that_nobody_drawn_has_does_not_count() -> None:
    y = np.array([0, 0, 0, 1])
    people = np.arange(4)
    found = paired([said([], y=y, people=people)], [said([0], y=y, people=people)], balanced=True)
    assert found.points == pytest.approx(100 / 6)
    assert found.low is not None and found.high is not None and np.isfinite([found.low, found.high]).all()


def test_other_windows_are_refused() -> None:
    with pytest.raises(DitmosError, match="tested on other windows"):
        paired([said([])], [said([], people=PEOPLE + 1)], balanced=False)
    with pytest.raises(DitmosError, match="1 and 2 trainings, expected as many of both"):
        paired([said([])], [said([]), said([])], balanced=False)


def test_predictions_on_disk(tmp_path: Path) -> None:
    assert Predictions.load(tmp_path) is None
    said([2]).save(tmp_path)
    again = Predictions.load(tmp_path)
    assert again and np.flatnonzero(~again.right).tolist() == [2] and again.person.tolist() == PEOPLE.tolist()
    file = tmp_path / PREDICTIONS
    whole = file.read_bytes()
    for damaged in (whole[:40], b"", b"nothing", whole[:80] + bytes([whole[80] ^ 8]) + whole[81:]):
        file.write_bytes(damaged)
        with pytest.raises(DitmosError, match="not what ditmos train writes"):
            Predictions.load(tmp_path)
    np.savez(file, window=Y, person=PEOPLE, y=Y[:3], predicted=Y)
    with pytest.raises(DitmosError, match="parts of unlike size or type"):
        Predictions.load(tmp_path)


def _row(method: str, split: int, wrong: list[int], **more: object) -> dict:
    predictions = said(wrong)
    value = float(predictions.right.mean())
    return {
        "data": "d", "split": "subject", "split_seed": split, "metric": "accuracy", "method": method,
        "budget": {"instructions": 50_000}, "shape": f"{method} {split}", "seed": 0, "int8": value, "float": value,
        "test": {"int8": value, "union": None}, "macs": 90, "worst_macs": 90 + split, "arena_bytes": 10,
        "flash_bytes": 20 + split, "instructions": 40_000 + 1000 * split, "p95_instructions": 50_000 + split,
        "worst_instructions": 60_000 + split, "predictions": predictions, **more,
    }  # fmt: skip


def test_splits_are_judged_together() -> None:
    rows = [_row("best", split, [8]) for split in (1, 2)] + [_row("exit", split, [3, 7]) for split in (1, 2, 3)]
    rows += [_row("wide", 1, [])]
    best, exit_, _ = entries = summary.summarise(rows)
    assert (best["splits"], best["trainings"], best["shape"]) == ([1, 2], 2, "number of shapes: 2")
    assert (best["instructions"], best["p95_instructions"], best["worst_instructions"]) == (41_500, 50_002, 60_002)
    assert (best["worst_macs"], best["flash_bytes"], best["interval"][1]) == (92, 22, 1.0)
    wide, weaker = best["against"]  # the strongest first
    assert (wide["method"], wide["points"], wide["trainings"]) == ("wide", -6.25, 1)
    assert (weaker["method"], weaker["points"], weaker["trainings"]) == ("exit", 6.25, 2)  # on the two that both have
    assert "against" not in exit_
    found = {table.title: table for table in tables.overview(entries)}
    pairs = found["d, 50 k instructions: pairs on the same windows (accuracy)"]
    assert pairs.rows[1] == ("best", "exit", f"+6.2 [{weaker['low']:.1f}, {weaker['high']:.1f}]", "4", "2, 1", "2")
    head = found["d, 50 k instructions (accuracy)"]
    row = dict(zip(head.head, head.rows[[row[0] for row in head.rows].index("exit")], strict=True))
    assert (row["95 % below"], row["worst"], row["splits"], row["seeds"]) == ("50,003", "60,003", "3", "1")


def test_a_forest_before_a_network_is_a_method_of_its_own() -> None:
    """Not a "forest first" with something left out, as "best, no teachers" is."""
    rows = [_row("forest first, best", 1, [8]), _row("forest first, exit", 1, [3, 7])]
    routed, rival = summary.summarise(rows)
    assert [one["method"] for one in routed["against"]] == ["forest first, exit"] and "against" not in rival
    assert summary.base_of("best, no teachers") == "best"


def test_a_part_is_worth_what_it_is_on_all_splits() -> None:
    rows = [_row("best", split, [8]) for split in (1, 2)]
    rows += [_row("best, no teachers", split, wrong) for split, wrong in ((1, [3, 7]), (2, []))]
    _, without = tables.ablation(summary.summarise(rows), rows).rows
    assert (without[0], without[2], without[-1]) == ("best, no teachers", "+0.00", "2")  # -6.25 and +6.25
    assert [summary.training_named(row) for row in (rows[1], {"seed": 3})] == ["split 2, seed 0", "seed 3"]


def test_trainings_on_other_windows_are_no_pair() -> None:
    """As two runs of one set by other splits are: the report has both, and compares nothing."""
    rows = [_row("best", 1, [8]), _row("exit", 1, [3])]
    rows[1]["predictions"] = said([3], people=PEOPLE + 1)
    assert all("against" not in entry for entry in summary.summarise(rows))


def test_of_two_people_there_is_no_interval() -> None:
    rows = [_row("best", 1, [8]), _row("exit", 1, [3])]
    for row in rows:
        row["predictions"] = said([3], people=PEOPLE % 2)
    best, _ = entries = summary.summarise(rows)
    assert "interval" not in best and best["against"][0]["low"] is None
    found = {table.title: table for table in tables.overview(entries)}
    assert found["d, 50 k instructions: pairs on the same windows (accuracy)"].rows[0][2] == "+0.0"
