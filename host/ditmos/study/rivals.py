"""What a user would pick instead: features made by hand, and a forest or a small MLP converted by emlearn.

Features are in int16 and the converted model is C code, compiled and asked here, and run once more on the simulated
board, which must give the same answers; nothing here is a network of this project. Instructions and flash are
those of the model; the features are not there in C, and what they would cost is an estimate of the same kind as MACs:
multiply-adds.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from ditmos.bench.baremetal import missing_tools
from ditmos.bench.emlearn_models import OnBoard, Save, answers, load_emlearn, run
from ditmos.datasets.tensors import Windows
from ditmos.errors import DitmosError
from ditmos.frontends.handmade import Floats, features

T = TypeVar("T")
_TREES, _LEAF = 60, 3
_HIDDEN = 64
_SCALE = 2048  # int16 steps per standard deviation of a feature
_NODE_BYTES = 6  # of a tree's node as code: estimate


@dataclass(frozen=True)
class Handmade:
    """converted, original: answers for the test windows by emlearn's C code and by scikit-learn.

    ram: features and variables. macs: of features and model, feature_macs: of the features alone. board: figures of the
    simulated board, or why it was not asked; without it, flash is an estimate.
    """

    converted: NDArray[np.int64]
    original: NDArray[np.int64]
    macs: int
    feature_macs: int
    ram: int
    flash: int
    shape: str
    board: OnBoard | str


def feature_cost(channels: int, rows: int) -> int:
    """Multiply-adds of `features`, about: some ten passes over the window, and an FFT per channel."""
    lanes = channels + (channels == 3)
    return round(lanes * rows * (10 + 2 * log2(rows)))


def learn(
    kind: Literal["forest", "mlp"], train: Windows, test: Windows, seed: int, *, balanced: bool = False
) -> Handmade:
    """Raises DitmosError where emlearn cannot convert the model (it needs a C++ compiler)."""
    x, y = features(train.x.numpy()), train.y.numpy()
    mean, std = x.mean(0), x.std(0) + np.float32(1e-6)

    def scaled(values: Floats) -> Floats:
        return np.clip(np.rint((values - mean) / std * _SCALE), -32767, 32767).astype(np.float32)

    x, z = scaled(x), scaled(features(test.x.numpy()))
    cost = feature_cost(train.x.shape[1], train.x.shape[2])
    if kind == "forest":
        weight = "balanced" if balanced else None
        model = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, class_weight=weight, random_state=seed, n_jobs=1)
        settings = {"method": "inline", "dtype": "int16_t"}
    else:
        x, z = x / np.float32(_SCALE), z / np.float32(_SCALE)
        if balanced:
            x, y = _evened(x, y, seed)
        model = MLPClassifier((_HIDDEN,), alpha=1e-3, max_iter=60, early_stopping=True, random_state=seed)
        settings = {"method": "inline"}
    model.fit(x, y)
    z = z.astype(np.int16 if kind == "forest" else np.float32)
    try:
        code = load_emlearn().convert(whole_thresholds(model) if kind == "forest" else model, **settings)
    except Exception as error:  # a compiler that is missing comes as many kinds
        raise DitmosError(f"emlearn could not convert the {kind}: {error}") from None

    def save(file: Path) -> None:
        code.save(file=str(file), name="model")

    converted = answers(save, z).astype(np.int64)
    board = on_board(save, z, converted)
    if kind == "forest":
        nodes = sum(tree.tree_.node_count for tree in model.estimators_)
        macs = cost + sum(tree.get_depth() for tree in model.estimators_)
        flash, shape = nodes * _NODE_BYTES, f"{_TREES} trees on {x.shape[1]} features"
    else:
        weights = sum(w.size + w.shape[1] for w in model.coefs_)
        macs = cost + sum(w.size for w in model.coefs_)
        flash, shape = 4 * weights, f"{_HIDDEN} hidden on {x.shape[1]} features, float"
    ram = (2 if kind == "forest" else 4) * x.shape[1]
    if not isinstance(board, str):
        flash, ram = board.flash_bytes, ram + board.ram_bytes
    return Handmade(converted, model.predict(z), macs, cost, ram, flash, shape, board)


def whole_thresholds(model: T) -> T:
    """A copy of a tree, or of a forest, that emlearn converts to what scikit-learn means, for integer features.

    emlearn asks ``x < int(threshold)`` where scikit-learn asks ``x <= threshold``; with the next larger whole number as
    the threshold both are the same.
    """
    model = copy.deepcopy(model)
    for tree in getattr(model, "estimators_", [model]):
        inner = tree.tree_.children_left >= 0
        tree.tree_.threshold[inner] = np.floor(tree.tree_.threshold[inner]) + 1
    return model


def on_board(save: Save, x: NDArray, expected: NDArray) -> OnBoard | str:
    """Raises DitmosError where the board answers differently."""
    if missing := missing_tools():
        return f"not installed: {', '.join(missing)}"
    found = run(save, x, expected)
    if found.differing:
        raise DitmosError(f"emlearn's model answers {found.differing} windows differently on the simulated board")
    return found


def _evened(x: Floats, y: NDArray[np.int64], seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Every class as often as the largest, by repetition."""
    rng = np.random.default_rng(seed)
    largest = np.bincount(y).max()
    rows = np.concatenate([rng.choice(np.flatnonzero(y == c), largest) for c in np.unique(y)])
    return x[rows], y[rows]
