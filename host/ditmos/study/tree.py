"""A decision tree in the place of the selector's choice: routing by features that cost next to nothing.

The tree learns, on training windows, which classifiers of a finished int8 model are right; its size is chosen on
validation windows. emlearn converts it to C. What the selector computes is still needed wherever classifiers build on
its maps, and a board runs select anyway; so the tree comes on top of the cost, and what it shows is how much of the
choice simple features carry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from ditmos import atomic
from ditmos.atomic import read_json, write_json
from ditmos.bench.emlearn_models import answers, load_emlearn
from ditmos.errors import DitmosError
from ditmos.model.inputs import quantize_input
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reader import read_model
from ditmos.model.spec import NetworkSpec
from ditmos.study.rivals import on_board, whole_thresholds
from ditmos.study.shared import load_parts
from ditmos.study.summary import base_of
from ditmos.study.sweep import result_file
from ditmos.study.sweepfile import SweepFile
from ditmos.training.data import Windows
from ditmos.training.score import Answers, Margins, answer_integer, score, value, worst_macs

METHOD = "tree router"
LEAVES = (2, 4, 8, 16, 32, 64)
_OPERATIONS = 4  # of the features, per sample: add, compare twice, difference
_ROWS = 128  # sums of so many int8 fit an int16


def features(windows: NDArray[np.int8]) -> NDArray[np.int16]:
    """int8 windows (N, time, channels) -> (N, 4 * channels): per channel its sum and its total variation, both divided
    by the number of _ROWS in the window, its least and its largest value."""
    x = windows.astype(np.int32)
    parts = -(-x.shape[1] // _ROWS)
    variation = np.abs(np.diff(x, axis=1)).sum(1)
    found = (x.sum(1) // parts, variation // parts, x.min(1), x.max(1))
    return np.stack(found, axis=2).reshape(len(x), -1).astype(np.int16)


@dataclass(frozen=True)
class Router:
    """A tree, and how well the model answers on validation when it chooses."""

    tree: DecisionTreeClassifier
    validation: float

    def choose(self, x: NDArray[np.int16]) -> NDArray[np.int64]:
        return self.tree.predict(x).astype(np.int64)


def learn(
    x: NDArray[np.int16], right: NDArray[np.bool_], judge: Callable[[DecisionTreeClassifier], float], seed: int = 0
) -> Router:
    """right (N, K): which classifiers answer window n as it should be. judge: the figure to be largest, on validation.

    A window counts once for every classifier that is right on it, so the label of a leaf is the classifier that is
    right most often there. Windows on which all or none are right teach nothing.
    """
    count = right.shape[1]
    rows, label = np.nonzero(right & ~right.all(1, keepdims=True))
    if not len(rows):  # all alike
        rows, label = np.zeros(1, np.int64), np.zeros(1, np.int64)
    trees = []
    for leaves in LEAVES:
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=count, random_state=seed)
        tree.fit(x[rows], label)
        trees.append(Router(tree, judge(tree)))
    return max(trees, key=lambda router: router.validation)  # the smallest of equals


def _windows(model: QuantizedModel, windows: Windows) -> NDArray[np.int16]:
    return features(quantize_input(np.ascontiguousarray(windows.x.numpy().transpose(0, 2, 1)), model.inputs))


def _value(
    answers: Answers, choice: NDArray[np.int64], margin: float | None, balanced: bool
) -> tuple[float, NDArray[np.int64]]:
    """Value and answers (N,) with this choice of classifiers; early exits as they are, no second classifier."""
    spec = answers.spec
    predicted = np.take_along_axis(answers.logits.argmax(2), choice[:, None], 1)[:, 0]
    if margin is not None:
        assert answers.gate is not None
        early = answers.gate[:, -spec.classes :].argmax(1)
        predicted = np.where(answers.margin >= margin, early, predicted)
    return value(predicted == answers.y, answers.y, balanced), predicted


def routed(row: Mapping[str, Any]) -> bool:
    network = row.get("network")
    return bool(network and network["selector"] and network["classifiers"] > 1)


def run(sweep: SweepFile, folder: Path, out: Path, report: Callable[[str], None] = lambda key: None) -> int:
    """A row for every routed model that has none yet (ablations aside), and a policy file beside the model; their
    number."""
    done = 0
    for job in sweep.jobs:
        file = result_file(out, sweep.key(job))
        if not file.exists():
            continue
        row = read_json(file)
        target = result_file(out, f"{row['key']}-tree")
        if not routed(row) or base_of(row["method"]) or target.exists():
            continue
        write_json(target, replace_selector(sweep, row, folder, out))
        report(row["key"])
        done += 1
    return done


def replace_selector(sweep: SweepFile, row: Mapping[str, Any], folder: Path, out: Path) -> dict[str, Any]:
    """Learn the tree for one finished model; writes the policy file, returns the row for the table."""
    source = sweep.data[row["data"]]
    balanced, margin = source.metric == "balanced", row["margins"]["early"]
    _, parts = load_parts(source, folder)
    model, _ = read_model(out / "models" / f"{row['key']}.dtm")
    spec = model.spec
    train, validation, test = (answer_integer(model, part) for part in (parts.train, parts.validation, parts.test))
    x, held = _windows(model, parts.train), _windows(model, parts.validation)

    def judge(tree: DecisionTreeClassifier) -> float:
        return _value(validation, tree.predict(held).astype(np.int64), margin, balanced)[0]

    router = learn(x, train.logits.argmax(2) == train.y[:, None], judge, row["seed"])
    seen = _windows(model, parts.test)
    choice, board = _converted(router, seen)
    found, predicted = _value(test, choice, margin, balanced)
    before = score(test, Margins(margin), balanced=balanced)
    tree = router.tree
    cost = _OPERATIONS * spec.window * spec.channels
    policy = out / "models" / f"{row['key']}-tree.py"
    atomic.write(policy, policy_source(tree, spec, margin).encode())
    confusion = np.zeros((spec.classes, spec.classes), int)
    np.add.at(confusion, (test.y, predicted), 1)
    kept = {k: row[k] for k in ("data", "split", "metric", "budget", "seed", "class_names", "arena_bytes")}
    return kept | {
        "key": f"{row['key']}-tree",
        "method": METHOD if row["method"] == "best" else f"{METHOD} of {row['method']}",
        "shape": f"{row['shape']}, chosen by a tree",
        "validation": {"int8": router.validation, "selector": row["validation"]["int8"]},
        "test": {
            "int8": found,
            "selector": before.value,
            "macs": before.macs + cost + tree.get_depth(),
            "exits": before.exits,
            "runs": before.runs,
            "union": None,
            "usage": (np.bincount(choice, minlength=spec.classifiers) / len(choice)).tolist(),
            "classifier": (),
            "windows": len(choice),
        },
        "margins": {"early": margin, "second": None},
        "feature_macs": cost,
        "worst_macs": worst_macs(spec) + cost + tree.get_depth(),
        "flash_bytes": row["flash_bytes"] + (0 if isinstance(board, str) else board["flash_bytes"]),
        "tree": {"leaves": int(tree.get_n_leaves()), "depth": int(tree.get_depth()), "features": x.shape[1]},
        "tree_board": board,
        "confusion": confusion.tolist(),
    }


def _converted(router: Router, x: NDArray[np.int16]) -> tuple[NDArray[np.int64], dict[str, Any] | str]:
    """The choices of emlearn's C code, and its figures on the simulated board (or why there are none).

    Raises:
        DitmosError: the C code chooses differently from the tree.
    """
    code = load_emlearn().convert(whole_thresholds(router.tree), method="inline", dtype="int16_t")

    def save(file: Path) -> None:
        code.save(file=str(file), name="model")

    label = answers(save, x)
    choice = router.tree.classes_[label].astype(np.int64)
    if not np.array_equal(choice, router.choose(x)):
        raise DitmosError("emlearn's C code chooses other classifiers than the tree")
    board = on_board(save, x, label)
    return choice, board if isinstance(board, str) else asdict(board)


def policy_source(tree: DecisionTreeClassifier, spec: NetworkSpec, margin: float | None) -> str:
    """A policy for `ditmos route` and `ditmos stream --policy`: the same choice in Python that a board understands."""
    t = tree.tree_
    nodes = [
        (int(feature), int(np.floor(limit)), int(left), int(right))
        if left >= 0
        else (-1, int(tree.classes_[np.argmax(counts)]), 0, 0)
        for feature, limit, left, right, counts in zip(
            t.feature, t.threshold, t.children_left, t.children_right, t.value[:, 0], strict=True
        )
    ]
    routes = spec.classifiers if margin is not None else None
    return _POLICY.format(nodes=nodes, channels=spec.channels, rows=_ROWS, margin=margin, routes=routes)


_POLICY = '''"""Routing by a decision tree on the window (made by `ditmos tree`)."""

from ditmos.routing import best, lead

# feature, limit, next node where the feature is not above it, next node; or -1, classifier
NODES = {nodes}
CHANNELS = {channels}
MARGIN = {margin}  # of the selector's own answer, or None
ROUTES = {routes}


def feature(window, index):
    """Number `index`: of each channel its sum, total variation, least and largest value."""
    channel, kind = index // 4, index % 4
    total, last = 0, window[channel]
    least = largest = last
    for i in range(channel, len(window), CHANNELS):  # the board's memoryviews know no steps
        x = window[i]
        total += abs(x - last) if kind else x
        least, largest, last = min(least, x), max(largest, x), x
    if kind > 1:
        return largest if kind == 3 else least
    return total // -(-(len(window) // CHANNELS) // {rows})


def policy(model, window):
    logits = model.select(window)
    if MARGIN is not None:
        own = logits[ROUTES:]
        if lead(own) * model.selector_scale >= MARGIN:
            return best(own), None
    index, limit, low, high = NODES[0]
    while index >= 0:
        index, limit, low, high = NODES[low if feature(window, index) <= limit else high]
    return best(model.classify(limit)), limit
'''
