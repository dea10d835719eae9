"""Network shapes as short text: ``"10k5s2 20k7 40k3p1 h48"``.

Each word is a convolution: channels, k kernel, s stride (1 if left out), p pool (2 if left out), ``=`` with padding;
``d3`` is a depthwise convolution of kernel 3 (s, p and ``=`` as before, but p is 1 if left out); ``a4`` the mean of
every 4 rows, ``a`` of all; ``h`` the hidden fully connected layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ditmos.errors import DitmosError
from ditmos.model.layer_shape import Kind
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average, same

_CONV = re.compile(r"(?:(\d+)k|d)(\d+)(?:s(\d+))?(?:p(\d+))?(=)?")
_AVERAGE = re.compile(r"a(\d+)?")
_HIDDEN = re.compile(r"h(\d+)")


def parse(text: str) -> BranchSpec:
    """Raises DitmosError for a word that is neither a layer in time nor, at the end, a hidden layer."""
    convs: list[ConvSpec] = []
    hidden: tuple[int, ...] = ()
    for word in text.split():
        conv, mean, wide = _CONV.fullmatch(word), _AVERAGE.fullmatch(word), _HIDDEN.fullmatch(word)
        if hidden or not (conv or mean or wide):
            raise DitmosError(f"shape {text!r}: {word!r}, expected words like 10k5s2p2, d3= or a4, and h48 at the end")
        if wide:
            hidden = (int(wide[1]),)
        elif mean:
            convs.append(average(int(mean[1] or 0)))
        elif conv:
            kernel = int(conv[2])
            kind: Kind = "conv" if conv[1] else "depthwise"
            pool = int(conv[4] or (2 if conv[1] else 1))
            pad = same(kernel) if conv[5] else (0, 0)
            convs.append(ConvSpec(int(conv[1] or 0), kernel, int(conv[3] or 1), pool, kind, pad))
    return BranchSpec(tuple(convs), hidden)


def render(branch: BranchSpec) -> str:
    """Inverse of `parse`, for the padding and the averages that it knows."""
    return " ".join([*map(_word, branch.convs), *(f"h{width}" for width in branch.hidden)])


def _word(c: ConvSpec) -> str:
    if c.kind == "average":
        return f"a{c.kernel}"
    usual = 1 if c.kind == "depthwise" else 2
    width = "d" if c.kind == "depthwise" else f"{c.channels}k"
    stride, pool = f"s{c.stride}" if c.stride != 1 else "", f"p{c.pool}" if c.pool != usual else ""
    return f"{width}{c.kernel}{stride}{pool}{'=' if any(c.pad) else ''}"


def describe(spec: NetworkSpec) -> str:
    """One line for tables: selector; K x classifier, start level, aggregation."""
    if spec.selector is None:
        return f"{f'{spec.classifiers} x ' if spec.classifiers > 1 else ''}{render(spec.classifier) or 'linear'}"
    joined = f"from {spec.start}" + (f", sees {'+'.join(map(str, spec.aggregate))}" if spec.aggregate else "")
    return f"{render(spec.selector)}; {spec.classifiers} x {render(spec.classifier)} ({joined})"


def build(
    geometry: tuple[int, int, int], classifier: str, *, selector: str = "", classifiers: int = 1, start: int = 0,
    aggregate: Sequence[int] = (), exit: bool = False,
) -> NetworkSpec:  # fmt: skip
    """geometry: window, channels, classes. exit: the selector also answers with class logits.

    Raises DitmosError for shapes that cannot be parsed or do not fit the window.
    """
    window, channels, classes = geometry
    own = parse(selector) if selector else None
    outputs = -1
    if own is not None:
        outputs = (classifiers if classifiers > 1 else 0) + (classes if exit else 0)
        if not outputs:
            raise DitmosError("a selector of one classifier has nothing to say, expected exit, or more classifiers")
    return NetworkSpec(
        window, channels, classes, classifiers, parse(classifier), own, start, tuple(aggregate), outputs
    )  # fmt: skip
