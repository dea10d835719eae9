"""A model on trial: tracks made of a data set, the setting chosen on validation people, figures for test people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.route import Logits, class_numbers, decide, part_of
from ditmos.datasets.dataset import SPLIT_NAMES, TEST, VALIDATION, Dataset
from ditmos.datasets.features import samples_of
from ditmos.datasets.surroundings import SLOWEST_HZ, silent_classes
from ditmos.errors import DitmosError
from ditmos.frontends.integers import sat16
from ditmos.live.choosing import Row, choose, rejecting, rows, settings
from ditmos.live.judging import TOLERANCE_S
from ditmos.live.listening import Hearing, hear
from ditmos.live.making import activities, nothing, words
from ditmos.live.track import Track, named_as
from ditmos.model.plan import Plan
from ditmos.model.policy import Policy, own_policy
from ditmos.model.reference import Model
from ditmos.planner import chip, price
from ditmos.planner.fed import expected_price

LEVELS = (0.25, 0.5, 1.0, 2.0)
HOP_S = 0.08  # of words
ACTIVITY_HOPS = 4  # a window of an activity moves on by a quarter of itself

Report = Callable[[str, float], None]  # what is being done, and the part of it that is


@dataclass(frozen=True)
class Conditions:
    """hop: rows from window to window. events: settings to try; none: a table of usual ones. tolerance: seconds that an
    event may come late. per_hour, latency: what the chosen setting keeps to. minutes: of each track, at least; of the
    track without events. only: classes of the tracks that are made; none: all."""

    hop: int
    policy: Policy | None = None
    events: tuple[str, ...] = ()
    calibrate: float = 0
    tolerance: float = TOLERANCE_S
    per_hour: float = 10
    latency: float | None = 0.7
    minutes: float = 30
    empty_minutes: float = 60
    seed: int = 0
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listened:
    """One track: its hearing, the rows of the table, and what it cost. duty: share of the time that the core computes,
    by the planner's instructions."""

    track: Track
    hearing: Hearing
    rows: list[Row]
    duty: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "track": self.track.name,
            "seconds": round(self.track.seconds, 1),
            "windows_per_second": self.hearing.rate,
            "clipped": self.hearing.clipped,
            "classifier_runs": float(self.hearing.runs.mean()),
            "duty_cycle": self.duty,
            "milliamps": round(chip.milliamps(self.duty), 1),
            "rows": [{"setting": row.setting} | asdict(row.judged) for row in self.rows],
        }


def usual_hop(model: Model, track_rate: float, *, continuous: bool) -> int:
    """Rows from window to window where nobody says."""
    if continuous:
        return max(1, model.kept_rows // ACTIVITY_HOPS)
    return max(1, round(HOP_S * track_rate / max(model.raw_hop, 1)))


def listened(
    model: Model, plan: Plan, track: Track, conditions: Conditions, texts: Sequence[str], report: Report
) -> Listened:
    """Every setting on one track; its classes become the model's.

    Raises:
        DitmosError: a track of another kind than the model was made for, a setting that is none.
    """
    track, c = named_as(track, model.class_names), conditions
    hearing = hear(
        model, track, c.hop, c.policy, c.calibrate, lambda done: report(f"{track.name}: listening", done)
    )  # fmt: skip
    silent = silent_classes(model.class_names)
    found = rows(
        hearing, track, texts or settings(hearing.rate, continuous=track.continuous), silent, tolerance=c.tolerance,
        since=c.calibrate, report=lambda done: report(f"{track.name}: settings", done),
    )  # fmt: skip
    return Listened(track, hearing, found, duty(model, plan, hearing, c.hop))


def duty(model: Model, plan: Plan, hearing: Hearing, hop: int) -> float:
    """Share of the time that the core computes: front end, forest, selector, classifiers as they were asked; select
    anew for every window. Python around them is not in it."""
    runs, network = float(hearing.runs.mean()), price.planned(model.model, plan)
    forest = expected_price(model.model)
    spec = model.spec
    cost = forest.first(runs, network) + runs * price.fed_window(spec) if forest else network.of(runs)
    if front := model.model.front_end:
        cost += hop * price.front_row(front, spec.window)
    return chip.microseconds(cost * hearing.rate) * 1e-6


def made(dataset: Dataset, which: int, minutes: float, seed: int, only: Sequence[str] = ()) -> Track:
    """A track of a part of a set, or of some of its classes: words of sound, else activities.

    Raises:
        DitmosError: a class that the set lacks, or of which the part has no window.
    """
    index = dataset.part(which)
    if unknown := [name for name in only if name not in dataset.class_names]:
        raise DitmosError(
            f"{dataset.name}: {unknown[0]!r} is none of its classes, expected some of {', '.join(dataset.class_names)}"
        )
    if only:
        index = index[np.isin(dataset.y[index], [dataset.class_names.index(name) for name in only])]
    if not len(index):
        raise DitmosError(f"{dataset.name}: no {SPLIT_NAMES[which]} window of {', '.join(only) or 'any class'}")
    return (words if is_words(dataset) else activities)(dataset, index, minutes, seed)


def is_words(dataset: Dataset) -> bool:
    """Whether it is sound."""
    return len(dataset.channels) == 1 and dataset.fs >= SLOWEST_HZ


def on_trial(model: Model, plan: Plan, dataset: Dataset, conditions: Conditions, report: Report) -> dict[str, Any]:
    """The table of the validation people's track, and the setting that is chosen by it; with that setting alone the
    test people's track and, of sound, a track of nothing and the levels. A second row of these tracks says what it
    would cost to reject what was never seen, by a margin chosen on the validation track. "listened" has the tracks as
    they were heard.
    """
    c = conditions
    validation = listened(
        model, plan, made(dataset, VALIDATION, c.minutes, 2 * c.seed, c.only), c, c.events, report
    )  # fmt: skip
    chosen = choose(validation.rows, c.per_hour, c.latency)
    reject = rejecting(chosen.setting, validation.hearing, validation.track, c.tolerance)
    texts = [chosen.setting, reject]
    tracks = {"validation": validation}
    test = made(dataset, TEST, c.minutes, 2 * c.seed + 1, c.only)
    tracks["test"] = listened(model, plan, test, c, texts, report)
    result: dict[str, Any] = {"chosen": chosen.setting, "rejecting": reject}
    if not test.continuous:
        empty = nothing(dataset, c.empty_minutes, 2 * c.seed + 1)
        tracks["nothing"] = listened(model, plan, empty, c, texts, report)
        if model.model.front_end:
            result["levels"] = levels(model, dataset, c.policy)
    return result | {name: track.to_dict() for name, track in tracks.items()} | {"listened": tracks}


def levels(model: Model, dataset: Dataset, policy: Policy | None = None) -> dict[str, float]:
    """Accuracy of single test windows, by how many times as loud they are."""
    index = part_of(dataset, "test")
    samples, scale = samples_of(dataset)
    front = model.model.front_end
    assert front is not None
    factor = scale / front.scale
    numbers, _ = class_numbers(model, dataset)
    y: NDArray[np.int64] = numbers[dataset.y[index]]
    found = {}
    for level in LEVELS:
        heard = sat16(np.rint(samples[index] * (level * factor)))
        windows = np.ascontiguousarray(model.quantize(heard))
        logits = Logits.of(model, windows, front(heard) if model.experts else None)
        decisions = decide(policy or own_policy(model.model), model, windows, logits)
        found[f"{level:g}"] = float((decisions.label == y).mean())
    return found
