"""What suits the data: looked up in the windows (rate, units, channels, people, size, balance), never in names.

The numbers were chosen on validation data, or by cross-validation over training and validation subjects, of the sets
that docs/results.md names. Every one of them can be set in a TOML file (`ditmos.training.settings`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from ditmos.datasets import TEST, TRAIN, VALIDATION, Dataset
from ditmos.datasets.kinds import Kind, front_end_of, kind_of
from ditmos.datasets.splits import SplitKind
from ditmos.errors import DitmosError
from ditmos.frontends import log_bands, log_mel, vitals
from ditmos.frontends.frontend import MOST_CHANNELS, FrontEnd
from ditmos.frontends.window_summary import FEWEST_BLOCKS, summary_for
from ditmos.quantize.quantize import BATCH as TUNING_BATCH
from ditmos.training.data import DataConfig
from ditmos.training.fit import FitConfig
from ditmos.training.settings import Int8Config, Method, SearchConfig, Settings
from ditmos.training.teachers import TeacherConfig, batch_for
from ditmos.training.template import shape
from ditmos.training.views import ViewConfig

Effort = Literal["quick", "normal", "full"]

_MAJORITY = 0.6  # share of the largest class, from which on a constant answer would look good
_FEW_PEOPLE = 4  # that validate: fewer, and shapes are judged by folds
_PEOPLE = 100  # whose signals a linear model is for: of 35 and 36 it was the best, of hundreds nobody knows
_SMALL = 4000  # training windows: below, few classifiers and more views
_STEPS = {
    "quick": 1_000,
    "normal": 1_500,
    "full": 3_000,
}  # of the network, at least: schedules in epochs starve small sets
_TEACHING = 600  # steps of a teacher, at least
_TUNING = {"quick": 150, "normal": 300, "full": 600}  # steps of fine-tuning on the int8 grid, at least


class Choice(NamedTuple):
    """A choice, and why; keys: what it is about, so that it is no choice where a TOML file sets one of them."""

    what: str
    why: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    settings: Settings
    kind: Kind
    reasons: tuple[Choice, ...]


def _front_end(kind: Kind, dataset: Dataset) -> FrontEnd | None:
    """Of its rows: real ones know the scale, too. None: that kind has none, or there is none for this rate."""
    fs, names, name = dataset.fs, dataset.channels, front_end_of(kind, dataset)
    with suppress(DitmosError):  # said where it is made
        if name == "log-mel":
            return log_mel.front_end(fs, 1.0, "", names[0])
        if name == "log-bands":
            return log_bands.front_end(fs, 1.0, "", names)
        if name == "vitals":
            return vitals.front_end(fs, 1.0, "", names, None)
    return None


def too_short(kind: Kind, dataset: Dataset) -> str | None:
    """Why windows are too short for the front end of that kind, if they are: a network needs some of its rows."""
    front = _front_end(kind, dataset)
    if front is None:
        return None
    rows = front.rows(dataset.window)
    try:
        shape((rows, front.channels_out, dataset.classes), 1.0, bands=True)
    except DitmosError:
        return f"{rows} rows of one are in a window of {dataset.window} samples, too few for a network"
    return None


def choose_split(dataset: Dataset) -> tuple[SplitKind, str]:
    """Raises DitmosError where nothing can be kept apart."""
    if dataset.split is not None and (dataset.split == TEST).any():
        return "file", "the file has one"
    own = "" if dataset.split is None else "; that of the file is not used, it has no test window (2)"
    if (people := len(np.unique(dataset.subject))) >= 3:
        return "subject", f"{people} people: test people are new ones{own}"
    if (groups := len(np.unique(dataset.group))) >= 3:
        return "group", f"people: {people}, recordings: {groups}; test recordings are new ones of known people{own}"
    raise DitmosError(
        f"{dataset.name}: number of people: {people}, of recordings: {groups}, expected 3 or more of either, to train, "
        "choose and test on different ones; record more, or take --split random, which says nothing of new recordings"
    )


def choose_data(dataset: Dataset, split: SplitKind | None) -> tuple[DataConfig, Kind, list[Choice]]:
    """How windows are made and kept apart, from a set as it lies in its file."""
    kind, by = kind_of(dataset)
    reasons = [Choice(f"kind {kind}", by)]
    if why := too_short(kind, dataset):
        kind = "other"
        reasons.append(Choice("no front end", why, ("data.front_end",)))
    if split is None:
        split, why = choose_split(dataset)
        reasons.append(Choice(f"split {split}", why))
    config = DataConfig(split=split, front_end=front_end_of(kind, dataset))
    if kind == "sound":
        config = replace(config, surroundings=True)
        reasons.append(Choice("front end log-mel", "sound", ("data.front_end",)))
        reasons.append(
            Choice(
                "words at any level, in noise, in pieces; silence", "what a microphone hears", ("data.surroundings",)
            )
        )
    several = len(np.unique(dataset.subject)) > 1  # of one person all is on one scale anyway
    own = ", each person on a scale of their own" if several else ""
    if config.front_end == "log-bands":
        config = replace(config, standardise="subject" if several else "none")
        reasons.append(Choice(f"front end log-bands{own}", f"electrodes at {dataset.fs:g} Hz"))
    if kind == "wrist":
        config = replace(config, standardise="subject" if several else "none")
        reasons.append(Choice(f"front end vitals{own}", "a wristband"))
    largest = np.bincount(dataset.y, minlength=dataset.classes).max() / len(dataset)
    if largest >= _MAJORITY:
        config = replace(config, metric="balanced")
        reasons.append(
            Choice(
                "judged by the mean recall of the classes",
                f"{largest:.0%} of the windows are one class",
                ("data.metric",),
            )
        )
    return config, kind, reasons


def usual_method(dataset: Dataset, data: DataConfig, kind: Kind) -> tuple[Method, str]:
    """Where nobody names a method, and why: of some thirty people a network learns the people, as a forest does."""
    few = data.standardise == "subject" and len(np.unique(dataset.subject)) <= _PEOPLE
    front = _front_end(kind, dataset) if few and kind in ("electrodes", "wrist") else None
    rows = front.rows(dataset.window) if front else 0
    if front and rows >= FEWEST_BLOCKS and summary_for(rows).count(front.channels_out) <= MOST_CHANNELS:
        return (
            "linear",
            "of few people it is right more often than networks and forests; --method best trains a network",
        )
    return "best", ""


def choose(
    dataset: Dataset, data: DataConfig, kind: Kind, effort: Effort, method: Method, used: Sequence[bool] = ()
) -> Chosen:
    """Everything else, from a set with its front end and split. used: which channels of the file it has; none: all."""
    train, validating = dataset.part(TRAIN), dataset.part(VALIDATION)
    people = len(np.unique(dataset.subject[validating]))
    new_people = not np.isin(dataset.subject[dataset.part(TEST)], dataset.subject[train]).any()
    views, reasons = _views(kind, new_people)
    if views.rotate and any(sum(used[i : i + 3]) in (1, 2) for i in range(0, len(used), 3)):
        views = replace(views, rotate=0.0)
        reasons = [Choice("no rotations", "one of three axes is left out")]
    if data.surroundings:  # made before the front end: the windows differ enough
        views = replace(views, count=8, shift=2)
    small = len(train) < _SMALL
    if small:
        views = replace(views, count=2 * views.count)
        reasons.append(
            Choice(f"{views.count} views of every window", f"{len(train):,} training windows", ("views.count",))
        )
    batch = 512 if not small else 256 if len(train) >= _SMALL // 2 else 128
    batch = min(batch, max(len(train) // 8, 8))  # small sets: enough steps for the schedule to mean something
    bands = kind in ("sound", "bands", "electrodes", "wrist")
    base = {"quick": 100, "normal": 80, "full": 160}[effort]
    if kind in ("sound", "bands") and effort != "quick" and not data.surroundings:
        base *= 4
    if data.surroundings and effort == "quick":
        base = 40
    epochs = max(base, round(_STEPS[effort] * batch / max(len(train), 1)))
    fit = FitConfig(epochs=epochs, batch=batch)
    if effort == "quick":
        fit = replace(fit, dropout=0.2)
    reasons.append(
        Choice(
            f"{epochs} epochs in batches of {batch}",
            f"{len(train):,} training windows, effort {effort}",
            ("fit.epochs", "fit.batch"),
        )
    )
    search = SearchConfig(count=0, bands=bands) if effort == "quick" else SearchConfig(bands=bands)
    if effort != "quick":
        search = replace(search, count=12 if effort == "normal" else 24, epochs=min(epochs, 120))
        if small and method == "best":
            search = replace(search, family="routed-few")
            reasons.append(
                Choice(
                    "2 or 4 classifiers", f"{len(train):,} training windows", ("search.family", "network.classifier")
                )
            )
        known = len(np.unique(dataset.subject[np.concatenate([train, validating])]))
        if people < _FEW_PEOPLE and known > 1 and data.split in ("file", "subject"):
            search = replace(search, folds=min(_FEW_PEOPLE, known))
            what = f"shapes judged by {search.folds} folds"
            reasons.append(Choice(what, f"{people} people validate", ("search.folds", "network.classifier")))
    tuning = math.ceil(_TUNING[effort] / max(math.ceil(len(train) / TUNING_BATCH), 1))
    int8 = Int8Config(epochs=max(1 if effort == "quick" else 4, tuning))
    teachers = _teachers(data, kind, effort)
    if kind not in ("electrodes", "wrist"):
        steps = max(len(train) // batch_for(len(train), teachers.batch), 1)  # an epoch
        teachers = replace(teachers, epochs=max(teachers.epochs, math.ceil(_TEACHING / steps)))
    settings = Settings(data, views, teachers, search, fit=fit, int8=int8)
    return Chosen(settings, kind, tuple(reasons))


def _views(kind: Kind, new_people: bool) -> tuple[ViewConfig, list[Choice]]:
    if kind in ("sound", "bands"):
        return ViewConfig(shift=5, noise=0.1, mask=5, stretch=0.12, warp=0.1, offset=0.15), []
    if kind in ("electrodes", "wrist"):
        return ViewConfig(noise=0.2, offset=0.3, drop=0.1), []
    if kind == "motion" and new_people:
        views = ViewConfig(rotate=40.0, scale=0.15, shift=8, noise=0.1, stretch=0.1)
        return views, [
            Choice(
                "strong views: rotations up to 40 degrees",
                "new people wear the sensor in another way",
                ("views.rotate",),
            )
        ]
    if kind == "motion":
        return ViewConfig(rotate=12.0, scale=0.08, shift=4, noise=0.03, stretch=0.12), []
    return ViewConfig(scale=0.1, shift=8, noise=0.1, stretch=0.1), []


def _teachers(data: DataConfig, kind: Kind, effort: Effort) -> TeacherConfig:
    """Two that are soon done for a first look, as good as they get else."""
    physiological = kind in ("electrodes", "wrist")
    if effort == "quick":
        return TeacherConfig(epochs=16, planar=int(data.surroundings), handmade=physiological)
    if physiological:
        return TeacherConfig(epochs=20, dropout=0.5, handmade=True)
    if kind in ("sound", "bands"):
        return TeacherConfig(count=3, planar=1, epochs=30 if data.surroundings else 80)
    return TeacherConfig(epochs=40)
