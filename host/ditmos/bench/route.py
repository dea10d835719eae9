"""The policy lab: routing policies over a whole set on the host, with the decisions that the board would take."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos.atomic import read_json
from ditmos.bench.golden import random_windows
from ditmos.datasets import TEST, TRAIN, VALIDATION, Dataset
from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd, own_affine
from ditmos.frontends.integers import Int16, sat16
from ditmos.model.forest import liked_by_both
from ditmos.model.plan import Plan
from ditmos.model.policy import Policy
from ditmos.model.reference import Model
from ditmos.model.signal import RATE_TOLERANCE, Signal, fit
from ditmos.model.spec import MAX_CLASSIFIERS
from ditmos.planner import price
from ditmos.planner.fed import expected_price
from ditmos.routing import Counter, verdict

PLANNED = "instructions (planned)"


def part_of(dataset: Dataset, part: str) -> NDArray[np.int64]:
    """Indices of ``train``, ``validation``, ``test``, or ``all``.

    Raises:
        DitmosError: another word, no split, or no window in that part.
    """
    parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    if part == "all":
        return np.arange(len(dataset))
    if part not in parts:
        raise DitmosError(f"part is {part}, expected {', '.join(parts)} or all")
    index = dataset.part(parts[part])
    if not len(index):
        found = [name for name, which in parts.items() if len(dataset.part(which))]
        raise DitmosError(f"{dataset.name}: no {part} window; take --part {', '.join(found)} or all")
    return index


def learned(model: Model, part: str) -> tuple[str, ...]:
    """What a person should know of figures on that part, where the model says that it has learned from it beside the
    training part; else nothing."""
    said = model.model.metadata.get("origin", {})
    if not isinstance(said, dict) or part not in said.get("learned", ()):
        return ()
    return (f"the model has learned from {part} windows (refit): of other people it knows less than it shows on them",)


def quantized_windows(model: Model, dataset: Dataset, index: NDArray[np.integer]) -> NDArray[np.int8]:
    """Windows of a dataset as the model takes them, int8 (n, time, channels), channels in the model's order. Windows of
    raw samples go through the model's front end.

    Raises:
        DitmosError: the data are not what the model was made for (`signal.fit`, but for the classes).
    """
    raw = dataset.x.dtype == np.int16
    found = replace(dataset.signal, class_names=())
    fitted = fit(_made_for(model, dataset), found, dataset.name, raw=raw)
    if front := _front_for(model, dataset):
        x = dataset.x[index] if raw else fitted.taken(dataset.values(index))
        return _through(front, model, x, dataset.name)
    expected, shape = (model.window, len(model.inputs)), dataset.x.shape[1:]
    if shape != expected:
        raise DitmosError(f"{dataset.name}: windows of {shape[0]} x {shape[1]}, the model takes {expected}")
    x = dataset.x[index] if raw else dataset.values(index)
    q = model.quantize(fitted.taken(x))
    return np.ascontiguousarray(q)  # data may be stored channel by channel


def some_windows(model: Model, dataset: Dataset | None, part: str, count: int) -> tuple[NDArray[np.int8], Int16 | None]:
    """At most ``count`` windows to compare a board with the reference on, of a part of a dataset, else random ones; and
    `window_samples` of them. Where the dataset has no split, any window will do: what is compared are bytes."""
    if dataset is None:
        return random_windows(np.random.default_rng(0), model.spec, count), None
    index = part_of(dataset, part if dataset.split is not None else "all")[:count]
    return quantized_windows(model, dataset, index), window_samples(model, dataset, index)


def _front_for(model: Model, dataset: Dataset) -> FrontEnd | None:
    """The model's front end where the data are samples, not its rows: by their channels, or by their rate alone."""
    front = model.model.front_end
    if front is None or dataset.channels == front.channel_names:
        return front
    return front if front.hop > 1 and abs(dataset.fs / front.fs - 1) <= RATE_TOLERANCE else None


def _made_for(model: Model, dataset: Dataset) -> Signal:
    """Of the two that a model with a front end takes, samples or rows, the one that the data are."""
    whole = model.model
    if _front_for(model, dataset):
        return Signal.of_model(whole)
    return Signal.of_inputs(whole.class_names, whole.inputs, whole.rate)


def _through(front: FrontEnd, model: Model, x: NDArray, name: str) -> NDArray[np.int8]:
    """Windows (n, time, channels) of raw samples, or of floats in the model's units, which become such samples."""
    rows = front.rows(x.shape[1])
    if rows != model.window:
        raise DitmosError(f"{name}: windows of {x.shape[1]} samples make {rows} rows, the model takes {model.window}")
    return np.ascontiguousarray(model.quantize(_samples(front, x)))


def _samples(front: FrontEnd, x: NDArray) -> Int16:
    """Windows of samples in the steps of the front end."""
    return x if x.dtype == np.int16 else sat16(np.rint(x / np.float32(front.scale)))


def of_strangers(model: Model, dataset: Dataset) -> bool:
    """Whether a board would be calibrated to whoever the samples are of, which nothing that compares bytes is."""
    front = _front_for(model, dataset)
    return front is not None and own_affine(front.operations) is not None


def as_sent(model: Model, dataset: Dataset) -> Dataset:
    """A set of real numbers that are samples of the model's front end as a board takes them, int16; others as they are.

    Raises:
        DitmosError: the data are not what the model was made for.
    """
    front = _front_for(model, dataset)
    if front is None or dataset.x.dtype == np.int16:
        return dataset
    x = _sent(front, model, dataset, slice(None))
    return replace(dataset, x=x, channels=front.channel_names, scale=front.scale, units=front.units, fs=front.fs)


def _sent(front: FrontEnd, model: Model, dataset: Dataset, index: NDArray[np.integer] | slice) -> Int16:
    """Windows as samples of the front end."""
    raw = dataset.x.dtype == np.int16
    fitted = fit(_made_for(model, dataset), replace(dataset.signal, class_names=()), dataset.name, raw=raw)
    return _samples(front, dataset.x[index] if raw else fitted.taken(dataset.values(index)))


def window_samples(model: Model, dataset: Dataset, index: NDArray[np.integer]) -> Int16 | None:
    """Windows of raw samples (n, time, channels), on which a model with a forest decides; None of a model without one.
    `quantized_windows` says whether the data are what the model was made for.

    Raises:
        DitmosError: the data are no raw samples.
    """
    if not model.experts:
        return None
    if not (front := _front_for(model, dataset)):
        names = ", ".join(model.feeder.front.channel_names)
        raise DitmosError(
            f"{dataset.name}: channels {', '.join(dataset.channels)}; the forest reads samples of {names}"
        )
    return _sent(front, model, dataset, index)


def window_rows(model: Model, dataset: Dataset, index: NDArray[np.integer]) -> Int16 | None:
    """The same through the front end: rows (n, time, channels), of which the forest's features are made."""
    samples = window_samples(model, dataset, index)
    return None if samples is None else model.feeder.front.uncentred(samples)


def class_numbers(model: Model, dataset: Dataset) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The model's number of each class of a dataset, and what a person should know of how the two differ.

    Raises:
        DitmosError: the model lacks a class of the data, or the data are not what it was made for.
    """
    raw = dataset.x.dtype == np.int16
    found = fit(_made_for(model, dataset), dataset.signal, dataset.name, raw=raw)
    return np.array(found.classes, np.int64), found.notes


@dataclass(frozen=True)
class Logits:
    """What there is to decide by: of the selector (N, outputs), of every classifier (N, K, classes); of a model with a
    forest its votes (N, classes)."""

    select: NDArray[np.int8]
    classify: NDArray[np.int8]
    votes: NDArray[np.uint16] | None = None

    @classmethod
    def of(cls, model: Model, windows: NDArray[np.int8], rows: Int16 | None = None) -> Logits:
        """``rows``: the windows before they became int8 (`window_rows`), of a model with a forest."""
        votes = None if rows is None else model.votes_batch(rows)
        return cls(model.select_batch(windows), model.classify_batch(windows), votes)


class Replay:
    """`reference.Model` for one window after the other, all logits computed beforehand.

    Logits are memoryviews of int8 that the next call overwrites, as on the board: a policy that breaks there breaks
    here. ``select`` takes the window that the policy was handed, no other. With votes, windows that were fed: None, as
    on the board.
    """

    def __init__(self, model: Model, windows: NDArray[np.int8], logits: Logits | None = None) -> None:
        self.selector_scale = model.selector_scale
        self.logit_scale = model.logit_scale
        self.classes = model.classes
        self.classifiers = model.classifiers
        self.routes = model.routes
        self.exits = model.exits
        logits = logits or Logits.of(model, windows)
        self._select, self._classify, self._votes = logits.select, logits.classify, logits.votes
        self.trees = model.trees
        self.specialists = model.specialists
        self._forest = model.model.forest
        self._voted: NDArray[np.uint16] | None = None
        self._windows = windows
        self._selector_logits = np.zeros(self._select.shape[1], np.int8)
        self._logits = np.zeros(model.classes, np.int8)
        self._at = -1
        self._selected = False

    def next(self) -> memoryview | None:
        """The next window, flat int8 as the board has it; None where it was fed."""
        self._at += 1
        self._selected = False
        self._voted = None
        if self._votes is not None:
            return None
        return memoryview(self._windows[self._at].reshape(-1))

    def votes(self, window: memoryview | None) -> memoryview:
        if window is not None or self._votes is None:
            raise ValueError("the forest votes on raw samples: feed them, and give None")
        self._voted = self._votes[self._at].copy()
        return self._voted.data

    def specialist(self) -> int:
        if self._forest is None or self._forest.clusters is None:
            raise ValueError("votes name no classifier of this model")
        if self._voted is None:
            raise RuntimeError("specialist before votes")
        return int(self._forest.clusters.nearest(self._voted))

    def both(self, logits: memoryview, weight: int) -> int:
        if self._forest is None:
            raise ValueError("the model has no forest")
        return liked_by_both(self._forest, self._voted, np.asarray(logits), weight, self.classes)

    def select(self, window: memoryview | None) -> memoryview:
        fed = window is None and self._votes is not None
        if not fed and (window is None or not self._is_handed(window)):
            raise ValueError("select: a policy on the lab bench selects with the window that it was handed")
        self._selector_logits[:] = self._select[self._at]
        self._selected = True
        return self._selector_logits.data

    def _is_handed(self, window: memoryview) -> bool:
        return window.obj is not None and np.shares_memory(np.asarray(window), self._windows[self._at])

    def classify(self, k: int) -> memoryview:
        if not self.classifiers:
            raise ValueError("the model has no classifier")
        if not self._selected:
            raise RuntimeError("classify before select")
        if not 0 <= k < self.classifiers:
            raise ValueError(f"classifier is {k}, expected 0 to {self.classifiers - 1}")
        self._selector_logits[:] = self._at % 251 - 125  # a plan may put anything there
        self._logits[:] = self._classify[self._at, k]
        return self._logits.data


@dataclass(frozen=True)
class Decisions:
    """What a policy did, window by window: label (-1: abstained), who answered (routing.py), classifier runs, how often
    it selected, and how often it had the forest vote."""

    label: NDArray[np.int64]
    who: NDArray[np.int64]
    runs: NDArray[np.int64]
    selects: NDArray[np.int64]
    polls: NDArray[np.int64]

    @property
    def classifier(self) -> NDArray[np.int64]:
        """The classifier that answered, -1 where none did by itself."""
        return np.where(self.who < MAX_CLASSIFIERS, self.who, -1)

    def check_once(self, policy: Policy) -> None:
        """Raises DitmosError where the policy asked more than one classifier of a window, which the plan of the model
        does not allow on a board."""
        if (self.runs > 1).any():
            i = int((self.runs > 1).argmax())
            raise DitmosError(
                f"policy {policy.text}, window {i}: it asks {self.runs[i]} classifiers, but the plan uses the window up"
                " for one; take a plan without --once, or another policy"
            )


def decide(policy: Policy, model: Model, windows: NDArray[np.int8], logits: Logits | None = None) -> Decisions:
    """Run a policy, from its initial state, over int8 windows (N, time, channels) in their order. ``logits``: of these
    windows, where more than one policy decides by them.

    Raises:
        DitmosError: the policy cannot run on this model, raised, or returned what no policy may.
    """
    function = policy.load()
    replay = Replay(model, windows, logits)
    counted = Counter(replay)
    found = []
    for i in range(len(windows)):
        counted.begin()
        with policy.at(f"window {i}"):
            label, who = verdict(replay, function(counted, replay.next()))
            # whole numbers, as a board sends them
            answer = -1 if label is None else operator.index(label), operator.index(who)
        found.append((*answer, counted.runs, counted.selects, counted.polls))
    table = np.array(found, np.int64).reshape(-1, 5)
    return Decisions(*table.T)


@dataclass(frozen=True)
class Costs:
    """Cost of the select slices, and of the classify slices once, in ``unit``; of the forest's features and votes;
    behind: of naming a classifier, and of averaging with the forest, where the forest was asked before."""

    select: int
    classify: int
    unit: str
    forest: int = 0
    behind: int = 0

    @classmethod
    def of_macs(cls, model: Model) -> Costs:
        spec = model.spec
        select = sum(layer.macs for layer in spec.selector_layers())
        return cls(select, sum(layer.macs for layer in spec.classifier_layers()), "MACs")

    @classmethod
    def planned(cls, model: Model, plan: Plan) -> Costs:
        """Instructions, as the planner estimates them."""
        network = price.planned(model.model, plan) if model.classifiers else price.Price(0, 0)
        forest = expected_price(model.model)
        behind = forest.both + forest.named if forest else 0.0
        alone = round(forest.alone) if forest else 0
        return cls(round(network.select), round(network.classify), PLANNED, alone, round(behind))

    @classmethod
    def measured(cls, path: Path) -> Costs:
        """From what `ditmos verify --json` wrote. Raises DitmosError where that holds no times."""
        measured = read_json(path)
        try:
            sums = {"select": 0, "classify": 0}
            for row in measured["slices"]:
                sums[row["phase"]] += int(row["ticks"])
            asked = {str(row["name"]): int(row["ticks"]) for row in measured.get("forest", ())}
            votes, named = asked.get("votes", 0), asked.get("specialist", 0)  # votes make the features themselves
            return cls(sums["select"], sums["classify"], str(measured["unit"]), votes, named)
        except (KeyError, TypeError) as error:
            raise DitmosError(f"{path}: {error} missing, expected a file from ditmos verify --json") from None

    def mean(self, decisions: Decisions) -> float:
        after = decisions.runs * (decisions.polls > 0)
        asked = self.select * float(decisions.selects.mean()) + self.classify * float(decisions.runs.mean())
        return asked + self.forest * float(decisions.polls.mean()) + self.behind * float(after.mean())


@dataclass(frozen=True)
class Figures:
    """One row of the table.

    accuracy: right answers of all windows, abstentions counted as wrong. extra_runs: classifier runs per window beyond
    the first. confusion: windows by (policy right, base right): [[neither, only base], [only policy, both]],
    base being the model's own policy.
    costs: per inference, by unit.
    """

    policy: str
    windows: int
    accuracy: float
    abstained: int
    extra_runs: float
    confusion: list[list[int]]
    costs: dict[str, float]


def report(
    policy: str, decisions: Decisions, base: Decisions, y: NDArray[np.int64], costs: tuple[Costs, ...]
) -> Figures:
    """Figures of one policy against the true labels and against another one."""
    right, before = decisions.label == y, base.label == y
    confusion = [[int(((right == a) & (before == b)).sum()) for b in (False, True)] for a in (False, True)]
    return Figures(
        policy=policy,
        windows=len(y),
        accuracy=float(right.mean()),
        abstained=int((decisions.label < 0).sum()),
        extra_runs=float(np.maximum(decisions.runs - 1, 0).mean()),
        confusion=confusion,
        costs={cost.unit: cost.mean(decisions) for cost in costs},
    )
