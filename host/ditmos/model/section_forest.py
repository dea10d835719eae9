"""FRST of a `.dtm`: the forest that votes on a window (docs/format.md)."""

from __future__ import annotations

from dataclasses import replace
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from ditmos.model.clusters import MOST_BIAS, MOST_WEIGHT, Clusters
from ditmos.model.container import Span, need
from ditmos.model.forest import DISTANCES, LEAF, MAX_TREES, VOTES, Forest
from ditmos.model.parts import Reading, Writing
from ditmos.model.use import Rule

HEADER = Struct("<HBBIHH")  # trees, form, reserved, words, features, clusters
_NARROW_LEAF = 63


def write_forest(writing: Writing) -> bytes:
    return pack_forest(writing.model.forest) if writing.model.forest else b""


def pack_forest(forest: Forest) -> bytes:
    """The section, of a forest that `check_forest` has nothing against."""
    words = _wide(forest) if forest.wide else _narrow(forest)
    roots = forest.roots * (len(words) // forest.nodes)
    clusters = forest.clusters.count if forest.clusters else 0
    data = HEADER.pack(forest.trees, forest.wide, 0, len(words), forest.features, clusters)
    if forest.opinion is not None:
        data += forest.opinion.astype("<u2").tobytes()
    if forest.clusters:
        data += _pack_clusters(forest.clusters)
    return data + roots.astype("<u4").tobytes() + words.astype("<u4").tobytes()


def _pack_clusters(clusters: Clusters) -> bytes:
    """Biases, then the weights of each cluster, an even number."""
    weight = np.pad(clusters.weight, ((0, 0), (0, clusters.weight.shape[1] % 2)))
    return clusters.bias.astype("<i4").tobytes() + weight.astype("<i2").tobytes()


def _narrow(forest: Forest) -> NDArray[np.uint32]:
    classes, votes = forest.classes.astype(np.int64), forest.votes.astype(np.int64)
    threshold = forest.threshold.view(np.uint16).astype(np.int64)
    inner = forest.feature | forest.right << 6 | threshold << 16
    leaf = _NARROW_LEAF | classes[:, 0] << 6 | classes[:, 1] << 12 | classes[:, 2] << 18
    leaf |= votes[:, 0] << 24 | votes[:, 1] << 28
    return np.where(forest.feature == LEAF, leaf, inner).astype(np.uint32)


def _wide(forest: Forest) -> NDArray[np.uint32]:
    leaf = forest.feature == LEAF
    marked = forest.classes.astype(np.int64)
    marked[:, :2] |= forest.votes[:, :2].astype(np.int64) << 12
    threshold = forest.threshold.view(np.uint16).astype(np.int64)
    first = forest.feature | np.where(leaf, marked[:, 0], threshold) << 16
    second = np.where(leaf, marked[:, 1] | marked[:, 2] << 16, 2 * forest.right)
    return np.stack([first, second], 1).reshape(-1).astype(np.uint32)


def read_forest(reading: Reading, span: Span) -> None:
    """After FRNT, whose summary the trees read."""
    data, (begin, size) = reading.data, span
    need(size >= HEADER.size, "FRST", begin, f"has {size} bytes, expected at least {HEADER.size}")
    trees, wide, zero, words, features, named = HEADER.unpack_from(data, begin)
    need(1 <= trees <= MAX_TREES, "FRST trees", begin, f"is {trees}, expected 1 to {MAX_TREES}")
    need(wide <= 1, "FRST form", begin + 2, f"is {wide}, expected 0 or 1")
    need(zero == 0, "FRST reserved", begin + 3, "is not 0")
    _check_rule(reading, named, begin + 10)
    front = reading.fields.get("front_end")
    summary = front.summary if front else None
    need(summary is not None, "FRST", begin, "the front end has no Summary for it to read")
    assert front and summary
    expected = summary.count(front.row_channels)
    need(features == expected, "FRST features", begin + 8, f"is {features}, the front end makes {expected}")
    network = reading.spec.classifiers > 0
    clusters_at = begin + HEADER.size + (2 * DISTANCES if network else 0)
    row = 2 * (reading.spec.classes + reading.spec.classes % 2)
    roots_at = clusters_at + named * (4 + row)
    nodes_at = roots_at + 4 * trees
    need(nodes_at + 4 * words == span.end, "FRST words", begin + 4, f"is {words}, the section has {size} bytes")
    opinion = np.frombuffer(data, "<u2", DISTANCES, begin + HEADER.size).astype(np.uint16) if network else None
    if opinion is not None:
        _check_opinion(opinion, begin + HEADER.size)
    clusters = _clusters(data, clusters_at, named, reading.spec.classes) if named else None
    roots = np.frombuffer(data, "<u4", trees, roots_at).astype(np.int64)
    raw = np.frombuffer(data, "<u4", words, nodes_at).astype(np.int64)
    step = 2 if wide else 1
    ends = np.append(roots[1:], words)
    need(roots[0] == 0, "FRST roots", roots_at, f"starts with {roots[0]}, expected 0")
    for i in np.flatnonzero((roots >= ends) | (ends > words) | ((ends - roots) % step != 0)):
        need(False, "FRST roots", roots_at + 4 * int(i), f"tree {i} has words {roots[i]} to {ends[i]} of {words}")
    forest = _unpack_wide(raw, roots, features) if wide else _unpack_narrow(raw, roots, features)
    _check_nodes(forest, ends // step, reading.spec.classes, nodes_at, 4 * step)
    if wide:
        odd = (forest.feature == LEAF) & (raw[1::2] >> 28 > 0)
        odd |= (forest.feature != LEAF) & (raw[1::2] % 2 > 0)
        for i in np.flatnonzero(odd):
            need(False, f"FRST node {i}", nodes_at + 8 * int(i), "has bits that mean nothing")
    reading.fields["forest"] = replace(forest, opinion=opinion, clusters=clusters)


def _check_rule(reading: Reading, named: int, at: int) -> None:
    """Clusters name the classifiers where the rule says so, and only there."""
    expected = reading.spec.classifiers if reading.fields["use"].rule == Rule.VOTES else 0
    need(named == expected, "FRST clusters", at, f"is {named}, the rule of ROUT needs {expected}")


def _clusters(data: bytes, at: int, count: int, classes: int) -> Clusters:
    bias = np.frombuffer(data, "<i4", count, at).astype(np.int32)
    wide = classes + classes % 2
    weights_at = at + 4 * count
    weight = np.frombuffer(data, "<i2", count * wide, weights_at).reshape(count, wide).astype(np.int16)
    for i in np.flatnonzero(np.abs(bias.astype(np.int64)) > MOST_BIAS):
        need(False, "FRST clusters", at + 4 * int(i), f"a bias is {bias[i]}, expected within {MOST_BIAS}")
    for i in np.flatnonzero(weight < -MOST_WEIGHT):
        need(False, "FRST clusters", weights_at + 2 * int(i), f"a weight is below {-MOST_WEIGHT}")
    for i in np.flatnonzero(weight[:, classes:].any(1)):
        at = weights_at + 2 * (wide * int(i) + classes)
        need(False, "FRST clusters", at, "what fills up the last word must be 0")
    return Clusters(weight[:, :classes].copy(), bias)


def _check_opinion(values: NDArray[np.uint16], at: int) -> None:
    need(values[0] == 65535, "FRST opinion", at, f"starts with {values[0]}, expected 65535")
    for i in np.flatnonzero(np.diff(values.astype(np.int64)) > 0):
        need(False, "FRST opinion", at + 2 * int(i) + 2, f"rises from {values[i]} to {values[i + 1]}")


def _unpack_narrow(words: NDArray[np.int64], roots: NDArray[np.int64], features: int) -> Forest:
    leaf = words & 63 == _NARROW_LEAF
    classes = np.stack([words >> shift & 63 for shift in (6, 12, 18)], 1)
    votes = np.stack([words >> 24 & 15, words >> 28 & 15], 1)
    return _forest(features, roots, leaf, words & 63, words >> 16, words >> 6 & 1023, classes, votes)


def _unpack_wide(words: NDArray[np.int64], roots: NDArray[np.int64], features: int) -> Forest:
    first, second = words[::2], words[1::2]
    leaf = first & 0xFFFF == LEAF
    marked = np.stack([first >> 16, second & 0xFFFF, second >> 16], 1)
    return _forest(
        features, roots // 2, leaf, first & 0xFFFF, first >> 16, second // 2, marked & 0xFFF, marked[:, :2] >> 12
    )


def _forest(
    features: int, roots: NDArray[np.int64], leaf: NDArray[np.bool_], feature: NDArray[np.int64],
    threshold: NDArray[np.int64], right: NDArray[np.int64], classes: NDArray[np.int64], votes: NDArray[np.int64],
) -> Forest:  # fmt: skip
    """The third class has what the votes of the other two leave of 15; more than 15 wraps around, and is refused."""
    rest = VOTES - votes.sum(1, keepdims=True)
    many = leaf[:, None]
    return Forest(
        features,
        roots,
        np.where(leaf, LEAF, feature).astype(np.uint16),
        np.where(leaf, 0, threshold).astype(np.uint16).view(np.int16),
        np.where(leaf, 0, right),
        np.where(many, classes, 0).astype(np.uint16),
        np.where(many, np.concatenate([votes, rest], 1), 0).astype(np.uint8),
    )


def _check_nodes(forest: Forest, ends: NDArray[np.int64], classes: int, at: int, size: int) -> None:
    """No walk leaves its tree or lasts for ever; leaves vote for classes that are there."""
    leaf = forest.feature == LEAF
    last = np.repeat(ends, np.diff(np.append(forest.roots, forest.nodes)))
    for wrong, message in (
        (~leaf & (forest.feature >= forest.features), "reads a feature that is not there"),
        (
            ~leaf & ((forest.right < 2) | (np.arange(forest.nodes) + forest.right >= last)),
            "right child outside the tree",
        ),
        (leaf & (forest.classes >= classes).any(1), "votes for a class that is not there"),
        (leaf & (forest.votes[:, 2] > VOTES), "has more than 15 votes"),
    ):
        for i in np.flatnonzero(wrong):
            need(False, f"FRST node {i}", at + size * int(i), message)
