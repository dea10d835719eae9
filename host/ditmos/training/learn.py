"""From a task to a trained network: views and teachers, a shape, the student. Methods best, wide and exit.

`ditmos.paper.method` is the same for the published method. What one does is kept in pieces, so that it goes on where it
was stopped, and others on the same data share the pool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ditmos.datasets import Dataset
from ditmos.datasets.splits import folds
from ditmos.datasets.tensors import Parts, Windows, prepare
from ditmos.frontends.frontend import FrontEnd
from ditmos.keep import Keep
from ditmos.model.signal import Signal
from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.planner.budget import Budget, nothing_fits
from ditmos.training.fit import FitConfig, fit
from ditmos.training.loop import Curve
from ditmos.training.pool import Pool, PoolConfig, build, pool_key
from ditmos.training.search import Fold, Trial, search
from ditmos.training.settings import Method, Settings
from ditmos.training.shapes import describe
from ditmos.training.space import candidates, keeps
from ditmos.training.teachers import batch_for
from ditmos.training.template import fitted

Report = Callable[[str, float, str], None]  # stage, the part of it that is done, what there is to say


def quiet(stage: str, done: float, note: str = "") -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class Task:
    """What is to be trained. dataset: with front end and split; parts: of it. keep: where pieces are. front_end: what
    made the rows of the dataset of raw samples; it goes into the model file. rows: what the board gets, where that has
    channels that the network does not read; used: which it reads."""

    dataset: Dataset
    parts: Parts
    settings: Settings
    budget: Budget
    method: Method
    seed: int = 0
    keep: Keep = field(default_factory=Keep)
    report: Report = quiet
    front_end: FrontEnd | None = None
    rows: Signal | None = None
    used: tuple[bool, ...] = ()

    @property
    def geometry(self) -> tuple[int, int, int]:
        return self.dataset.window, len(self.dataset.channels), self.dataset.classes

    @property
    def balanced(self) -> bool:
        return self.settings.data.balanced

    @property
    def digest(self) -> str:
        """Names the training in file names: it changes with everything that changes the network."""
        said = [_windows(self.dataset), self.settings.digest, self.budget.said, self.method, self.seed]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


class Learned(NamedTuple):
    """A trained network; stages: (name, epochs) in order; curve: (epoch, loss) of the classifiers; how: what else the
    row says of the training."""

    network: RoutedNetwork
    stages: list[tuple[str, float]]
    curve: Curve
    how: dict[str, Any]


def learn(task: Task) -> Learned:
    """Raises DitmosError where no network keeps the budget."""
    settings = task.settings
    how: dict[str, Any] = {}
    spec, trials = shape_of(task)
    if trials:
        how["trials"] = [trial.to_dict() for trial in trials]
    pool = pool_of(task)
    how["teachers"] = dict(pool.teachers)
    config, curve = settings.fit, Curve()
    task.report("network", 0.0, describe(spec))
    network = fit(
        spec, pool, config, task.seed, lambda done: task.report("network", done, ""), curve,
        task.keep.within(f"fit-{task.digest}"),
    )  # fmt: skip
    routed = spec.selector is not None and spec.classifiers > 1
    return Learned(network, stages_of(spec.classifiers if routed else 1, config), curve, how)


def stages_of(classifiers: int, config: FitConfig) -> list[tuple[str, float]]:
    """Of a fit that grows so many classifiers from one, or of one network."""
    stages = [("one classifier", config.stem * config.epochs)] if classifiers > 1 and config.stem else []
    return [*stages, (f"{classifiers} classifiers" if classifiers > 1 else "network", config.epochs)]


def shape_of(task: Task) -> tuple[NetworkSpec, list[Trial]]:
    """The given one, a template, or what a search finds, with its trials."""
    settings, chosen = task.settings, task.settings.search
    if settings.network.classifier:
        spec = settings.network.spec(task.geometry)
        if not keeps(spec, task.budget):
            raise nothing_fits("room for this network", task.budget, spec)
        return spec, []
    if not chosen.count and task.method == "best":
        return fitted(task.geometry, task.budget, bands=chosen.bands), []
    config, family = replace(settings.fit, epochs=chosen.epochs or settings.fit.epochs), settings.family(task.method)
    # where nothing fits, that is said before the teachers learn
    first = next(candidates(family, task.geometry, task.budget, 0, spectral=chosen.bands))
    if not chosen.count:
        return first, []
    said = [_windows(task.dataset), settings.digest, task.budget.said, family]
    name = f"search-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]}"

    def report(done: float, trial: Trial | None) -> None:
        task.report("search", done, "" if trial is None else f"{trial.value:.3f}  {describe(trial.spec)}")

    with task.keep.locked(name):
        trials = search(
            family, task.geometry, _held(task), task.budget, config, count=chosen.count, by=chosen.keep,
            rounds=chosen.rounds, spectral=chosen.bands, balanced=task.balanced, keep=task.keep.within(name),
            report=report,
        )  # fmt: skip
    return trials[0].spec, trials


def _held(task: Task) -> Sequence[Fold]:
    """What a search learns from and is judged by: with folds, parts of training and validation windows in turn, each
    with a pool of its own, whose teachers have not seen the held windows either."""
    count = task.settings.search.folds
    if not count:
        return [Fold(pool_of(task), task.parts.validation)]
    found = []
    for i, part in enumerate(folds(task.dataset, count, task.settings.data.split)):
        own = prepare(part)
        pool = ensure_pool(task, part, own.train, {"held": own.validation}, f"teachers of fold {i + 1}")
        found.append(Fold(pool, own.validation))
    return found


def pool_of(task: Task) -> Pool:
    """The pool of the training windows, made if it is not there."""
    return ensure_pool(task, task.dataset, task.parts.train, {"validation": task.parts.validation}, "teachers")


def ensure_pool(task: Task, dataset: Dataset, train: Windows, judged: dict[str, Windows], stage: str) -> Pool:
    """The pool of these windows, made if it is not there."""
    settings = task.settings
    teachers = replace(settings.teachers, batch=batch_for(len(train), settings.teachers.batch))
    config = PoolConfig(settings.views, teachers, task.balanced)
    name = f"pool-{pool_key(_windows(dataset), config)}"
    with task.keep.locked(name):
        return build(
            train, dataset.classes, config, judged=judged, keep=task.keep.within(name),
            progress=lambda done: task.report(stage, done, ""),
        )  # fmt: skip


def _windows(dataset: Dataset) -> str:
    """Names the windows and their split."""
    split = b"" if dataset.split is None else dataset.split.tobytes()
    return hashlib.sha256(dataset.sha256.encode() + split).hexdigest()


def effort_of(task: Task) -> list[tuple[str, float]]:
    """Stages in order and about how long each takes, in multiply-accumulates: for the time that is left."""
    settings, (rows, channels, _) = task.settings, task.geometry
    count = len(task.parts.train)
    width = channels
    teacher = 0.0
    for i, (out, kernel) in enumerate(zip(settings.teachers.widths, settings.teachers.kernels, strict=True)):
        teacher += rows / 2**i * width * out * kernel
        width = out
    teachers = settings.teachers.count * settings.teachers.epochs * count * teacher * 0.4  # large layers run faster
    mean = task.budget.macs or task.budget.instructions or task.budget.worst or 100_000
    epoch = count * (mean + 60_000)  # a step costs something, however small the network
    student = 1.5 * settings.fit.epochs * epoch
    rounds = [max(settings.search.count // settings.search.keep**i, 1) for i in range(len(settings.search.rounds))]
    trial = (settings.search.epochs or settings.fit.epochs) * 1.5 * epoch * max(settings.search.folds, 1)
    searched = sum(n * r for n, r in zip(rounds, settings.search.rounds, strict=True)) * trial
    stages = [("teachers", teachers)]
    if settings.search.count and not settings.network.classifier:
        extra = [(f"teachers of fold {i + 1}", teachers) for i in range(settings.search.folds)]
        stages = [*(extra or stages), ("search", searched), *(stages if extra else [])]
    return [*stages, ("network", student), ("integers", (1 + settings.int8.epochs) * count * 1.5 * (mean + 400_000))]
