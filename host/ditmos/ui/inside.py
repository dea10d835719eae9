"""What goes on inside of a window: rows, maps between slices, logits and votes of everybody, who would have been
right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.route import class_numbers, part_of, quantized_windows, window_samples
from ditmos.datasets import Dataset
from ditmos.model.forest import VOTES
from ditmos.model.reference import Model


@dataclass(frozen=True)
class Seen:
    """A window. rows: int8 (time, channels), as the network reads them. samples: int16 (time, channels) of the front
    end, where the model has one and they are known. truth: class, None where it is not known."""

    rows: NDArray[np.int8]
    samples: NDArray[np.int16] | None = None
    truth: int | None = None


@dataclass(frozen=True)
class Insight:
    """One window by the reference. selector: probability of each classifier, of no length without a choice. logits:
    int8 (K, classes); labels, sure: what each classifier says, and how sure it is. k: whose maps these are, None
    without a network. maps: of the selector and of classifier ``k``, (name, int8 (channels, rows)). votes: the
    forest's, as shares of the classes, and features: what it reads, by name; of no length without one."""

    seen: Seen
    selector: NDArray[np.float64]
    logits: NDArray[np.int8]
    labels: NDArray[np.int64]
    sure: NDArray[np.float64]
    k: int | None
    maps: tuple[tuple[str, NDArray[np.int8]], ...]
    votes: NDArray[np.float64]
    features: tuple[tuple[str, int], ...]

    @property
    def right(self) -> list[int]:
        """Classifiers whose answer is the truth."""
        truth = self.seen.truth
        return [] if truth is None else [int(k) for k in np.flatnonzero(self.labels == truth)]

    @property
    def forest_right(self) -> bool:
        """Whether the forest's is."""
        return len(self.votes) > 0 and int(self.votes.argmax()) == self.seen.truth


def look_inside(model: Model, seen: Seen, k: int | None) -> Insight:
    """``k``: whose maps, None for the selector's choice."""
    batch = np.ascontiguousarray(seen.rows[None])
    selector = model.select_batch(batch)[0][: model.routes]
    logits = model.classify_batch(batch)[0]
    chosen = k if k is not None else (int(selector.argmax()) if len(selector) else 0)
    sure = odds(logits, model.logit_scale)
    labels = logits.argmax(1)
    outputs = model.layer_outputs(batch, chosen) if model.classifiers else {}
    votes, features = _votes(model, seen)
    return Insight(
        seen=seen,
        selector=odds(selector[None], model.selector_scale)[0] if len(selector) else np.zeros(0),
        logits=logits,
        labels=labels,
        sure=sure[np.arange(len(labels)), labels],
        k=chosen if model.classifiers else None,
        maps=tuple((name, _flat(values[0])) for name, values in outputs.items()),
        votes=votes,
        features=features,
    )


def _votes(model: Model, seen: Seen) -> tuple[NDArray[np.float64], tuple[tuple[str, int], ...]]:
    front = model.model.front_end
    if seen.samples is None or front is None or front.summary is None or not model.trees:
        return np.zeros(0), ()
    rows = front(np.ascontiguousarray(seen.samples))
    votes = model.votes_batch(rows[None])[0] / (VOTES * model.trees)
    names = front.summary.names([channel.name for channel in model.inputs])
    return votes, tuple(zip(names, map(int, front.summary.features(rows)), strict=True))


def odds(logits: NDArray[np.int8], scale: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) of int8 logits, ``scale`` real units a step."""
    weights = np.exp((logits.astype(np.float64) - logits.max(1, keepdims=True)) * scale)
    return weights / weights.sum(1, keepdims=True)


def _flat(values: NDArray[np.int8]) -> NDArray[np.int8]:
    return values if values.ndim == 2 else values[:, None]


def seen_of(model: Model, window: NDArray, truth: int | None) -> Seen:
    """A window as it was streamed, (time, channels)."""
    rows = np.ascontiguousarray(model.quantize(window))
    raw = model.model.front_end is not None and window.dtype == np.int16
    return Seen(rows, window if raw else None, truth)


class Examples:
    """Windows of a part of a data set as a model takes them, and what a policy makes of them. ``label``: -1 for no
    answer."""

    def __init__(self, model: Model, dataset: Dataset, part: str, label: NDArray[np.int64]) -> None:
        self._model = model
        self._dataset = dataset
        self.index = part_of(dataset, part if dataset.split is not None else "all")
        self.y = class_numbers(model, dataset)[0][np.asarray(dataset.y[self.index])]
        self.label = label
        self.counts = np.zeros((model.classes, model.classes + 1), np.int64)
        np.add.at(self.counts, (self.y, label), 1)  # column -1 is the last one

    def seen(self, i: int) -> Seen:
        """Window ``i`` of the part."""
        index = self.index[i : i + 1]
        rows = quantized_windows(self._model, self._dataset, index)[0]
        samples = window_samples(self._model, self._dataset, index)
        return Seen(rows, None if samples is None else samples[0], int(self.y[i]))

    def windows(self, true: int, taken: int) -> list[int]:
        """Those of a class that are taken for another, or the same; the number of classes stands for no answer."""
        answer = -1 if taken == self._model.classes else taken
        return [int(i) for i in np.flatnonzero((self.y == true) & (self.label == answer))]

    @property
    def wrong(self) -> int:
        """How many are."""
        return int((self.y != self.label).sum())
