"""Which windows train, which choose the model, and which give the final figure."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset
from ditmos.errors import DitmosError

SplitKind = Literal["file", "subject", "group", "random"]


def split(
    dataset: Dataset, kind: SplitKind = "file", *, test: float = 0.2, validation: float = 0.15, seed: int = 0
) -> Dataset:
    """The data set with a split.

    kind:
        file: the set's own ``split``; a validation part is cut from training if it has none, by subject, or by
            recording where training has one person.
        subject: whole people on one side.
        group: whole recordings on one side, the classes in proportion.
        random: windows at random, the classes in proportion (the paper's 80/20; windows of one recording may lie on
            both sides, so such a result says nothing about new people).
    test: fraction of the windows. validation: fraction of the windows that are not test; always cut from training.

    Raises:
        DitmosError: unknown kind, a fraction outside (0, 1), no split in the file, or too few subjects.
    """
    if kind not in get_args(SplitKind):
        raise DitmosError(f"split is {kind!r}, expected one of {', '.join(get_args(SplitKind))}")
    for name, fraction in (("test", test), ("validation", validation)):
        if not 0 < fraction < 1:
            raise DitmosError(f"split: {name} is {fraction}, expected a fraction between 0 and 1")
    rng = np.random.default_rng(seed)
    if kind == "file":
        if dataset.split is None:
            raise DitmosError(f"{dataset.name}: no split in the file, expected one; or choose subject, group or random")
        if not (dataset.split == TEST).any():
            raise DitmosError(f"{dataset.name}: split in the file has no test window (2)")
        if (dataset.split == VALIDATION).any():
            return dataset
        assignment, training = dataset.split.copy(), dataset.subject[dataset.part(TRAIN)]
        units = dataset.subject if len(np.unique(training)) > 1 else dataset.group
    else:
        units = _units(dataset, kind)
        if (count := len(np.unique(units))) < 3:
            what = {"subject": "number of people", "group": "number of recordings"}.get(kind, "number of windows")
            raise DitmosError(f"{dataset.name}: {what}: {count}, expected 3 or more, to train, choose and test")
        assignment = np.full(len(dataset), TRAIN, np.int8)
        assignment[_draw(dataset, np.arange(len(dataset)), units, test, rng)] = TEST
    rest = np.flatnonzero(assignment == TRAIN)
    assignment[_draw(dataset, rest, units, validation, rng)] = VALIDATION
    return dataset.with_split(assignment)


def folds(dataset: Dataset, count: int, kind: SplitKind = "file") -> list[Dataset]:
    """The training and validation windows of a split set, cut anew ``count`` times, for cross-validation.

    Every one of them is a validation window exactly once; what ``kind`` keeps together (by ``file``: whole people)
    stays together. Test windows stay test windows.

    Raises:
        DitmosError: no split, or fewer units than folds.
    """
    if dataset.split is None:
        raise DitmosError(f"{dataset.name}: no split, expected one before it is cut into folds")
    known = np.flatnonzero(dataset.split != TEST)
    units = len(np.unique(_units(dataset, kind)[known]))
    if not 2 <= count <= units:
        raise DitmosError(f"{dataset.name}: {count} folds, expected 2 to {units}: one subject or group each")
    fold, parts = fold_of(dataset, known, count, kind), []
    for held in range(count):
        assignment = dataset.split.copy()
        assignment[known] = np.where(fold == held, VALIDATION, TRAIN)
        parts.append(dataset.with_split(assignment))
    return parts


def fold_of(dataset: Dataset, rows: NDArray[np.integer], count: int, kind: SplitKind = "file") -> NDArray[np.int64]:
    """Which of ``count`` folds, from 0, each of these windows is in; what ``kind`` keeps together (by ``file``: whole
    people) lies in one. Fewer folds where there is less to keep together."""
    names, unit, sizes = np.unique(_units(dataset, kind)[rows], return_inverse=True, return_counts=True)
    fold, filled = np.zeros(len(names), np.int64), np.zeros(min(count, len(names)), np.int64)
    for i in np.argsort(-sizes, kind="stable"):  # the largest first, each to the emptiest fold
        fold[i] = filled.argmin()
        filled[fold[i]] += sizes[i]
    return fold[unit]


def _units(dataset: Dataset, kind: SplitKind) -> NDArray:
    """(N,) which windows stay on one side of a split."""
    if kind == "random":
        return np.arange(len(dataset))
    return dataset.group if kind == "group" else dataset.subject


def _draw(
    dataset: Dataset, index: NDArray[np.int64], units: NDArray, fraction: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """About ``fraction`` of the windows in ``index``, in whole units, every class as near to its share as can be.

    Units come in random order; one is taken where that brings the class counts nearer to their targets.
    """
    labels = dataset.y[index]
    names, unit = np.unique(units[index], return_inverse=True)
    if len(names) < 2:
        raise DitmosError(f"{dataset.name}: {len(names)} subject or group to split, expected at least 2")
    if len(names) == len(index):  # single windows: exact, class by class
        drawn = [rng.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
        return np.sort(np.concatenate([index[d[: round(fraction * len(d))]] for d in drawn]))
    counts = np.zeros((len(names), dataset.classes))
    np.add.at(counts, (unit, labels), 1)
    target = fraction * counts.sum(0)
    weight = 1 / np.maximum(target, 1)
    held, taken = np.zeros(dataset.classes), np.zeros(len(names), bool)
    for i in rng.permutation(len(names)):
        if (weight * (held + counts[i] - target) ** 2).sum() < (weight * (held - target) ** 2).sum():
            held += counts[i]
            taken[i] = True
    if not taken.any():  # every unit is larger than the target
        taken[np.argmin((weight * (counts - target) ** 2).sum(1))] = True
    return index[taken[unit]]
