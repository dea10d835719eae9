"""What goes on inside of a window: rows, maps between slices, logits of everybody, who would have been right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ditmos.bench.route import class_numbers, part_of, quantized_windows
from ditmos.datasets import Dataset
from ditmos.model.reference import Model


@dataclass(frozen=True)
class Insight:
    """One window by the reference. rows: int8 (time, channels), as the network reads them. selector: probability of
    each classifier, of no length without a choice. logits: int8 (K, classes); labels, sure: what each classifier says,
    and how sure it is. maps: of the selector and of classifier ``k``, (name, int8 (channels, rows)). truth: None where
    it is not known."""

    rows: NDArray[np.int8]
    selector: NDArray[np.float64]
    logits: NDArray[np.int8]
    labels: NDArray[np.int64]
    sure: NDArray[np.float64]
    k: int
    maps: tuple[tuple[str, NDArray[np.int8]], ...]
    truth: int | None

    @property
    def right(self) -> list[int]:
        """Classifiers whose answer is the truth."""
        return [] if self.truth is None else [int(k) for k in np.flatnonzero(self.labels == self.truth)]


def look_inside(model: Model, rows: NDArray[np.int8], k: int | None, truth: int | None) -> Insight:
    """``rows``: int8 (time, channels); ``k``: whose maps, None for the selector's choice."""
    batch = np.ascontiguousarray(rows[None])
    selector = model.select_batch(batch)[0][: model.routes]
    logits = model.classify_batch(batch)[0]
    chosen = k if k is not None else (int(selector.argmax()) if len(selector) else 0)
    sure = odds(logits, model.logit_scale)
    labels = logits.argmax(1)
    maps = tuple((name, _flat(values[0])) for name, values in model.layer_outputs(batch, chosen).items())
    return Insight(
        rows=rows,
        selector=odds(selector[None], model.selector_scale)[0] if len(selector) else np.zeros(0),
        logits=logits,
        labels=labels,
        sure=sure[np.arange(len(labels)), labels],
        k=chosen,
        maps=maps,
        truth=truth,
    )


def odds(logits: NDArray[np.int8], scale: float) -> NDArray[np.float64]:
    """Probabilities (n, classes) of int8 logits, ``scale`` real units a step."""
    weights = np.exp((logits.astype(np.float64) - logits.max(1, keepdims=True)) * scale)
    return weights / weights.sum(1, keepdims=True)


def _flat(values: NDArray[np.int8]) -> NDArray[np.int8]:
    return values if values.ndim == 2 else values[:, None]


@dataclass(frozen=True)
class Mistakes:
    """Of a policy on a data set: ``pairs``: (class, taken for, windows) by falling number; taken for -1: no answer."""

    pairs: tuple[tuple[int, int, tuple[int, ...]], ...]
    matrix: NDArray[np.int64]


class Examples:
    """Windows of a data set as a model takes them."""

    def __init__(self, model: Model, dataset: Dataset, part: str) -> None:
        self._model = model
        self._dataset = dataset
        self.index = part_of(dataset, part if dataset.split is not None else "all")
        self.y = class_numbers(model, dataset)[0][np.asarray(dataset.y[self.index])]

    def rows(self, i: int) -> NDArray[np.int8]:
        """Window ``i`` of the part."""
        return quantized_windows(self._model, self._dataset, self.index[i : i + 1])[0]

    def mistakes(self, label: NDArray[np.int64]) -> Mistakes:
        """Where labels, -1 for no answer, are not the classes."""
        classes = self._model.classes
        matrix = np.zeros((classes, classes + 1), np.int64)
        np.add.at(matrix, (self.y, label), 1)  # column -1 is the last one
        wrong = [(c, t) for c in range(classes) for t in [*range(classes), -1] if c != t and matrix[c, t]]
        wrong.sort(key=lambda pair: -matrix[pair])
        where = [(c, t, tuple(map(int, np.flatnonzero((self.y == c) & (label == t))))) for c, t in wrong]
        return Mistakes(tuple(where), matrix)
