"""Network shapes as short text: ``"10k5s2 20k7 40k3p1 h48"``.

Each word is a convolution: channels, k kernel, s stride (1 if left out), p pool (2 if left out); ``h`` is the hidden
fully connected layer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec

_CONV = re.compile(r"(\d+)k(\d+)(?:s(\d+))?(?:p(\d+))?")
_HIDDEN = re.compile(r"h(\d+)")


def parse(text: str) -> BranchSpec:
    """Raises DitmosError for a word that is neither a convolution nor, at the end, a hidden layer."""
    convs: list[ConvSpec] = []
    hidden: tuple[int, ...] = ()
    for word in text.split():
        conv, wide = _CONV.fullmatch(word), _HIDDEN.fullmatch(word)
        if hidden or not (conv or wide):
            raise DitmosError(f"shape {text!r}: {word!r}, expected words like 10k5s2p2, and h48 at the end")
        if wide:
            hidden = (int(wide[1]),)
        elif conv:
            convs.append(ConvSpec(int(conv[1]), int(conv[2]), int(conv[3] or 1), int(conv[4] or 2)))
    return BranchSpec(tuple(convs), hidden)


def render(branch: BranchSpec) -> str:
    """Inverse of `parse`."""
    words = [
        f"{c.channels}k{c.kernel}{f's{c.stride}' if c.stride != 1 else ''}{f'p{c.pool}' if c.pool != 2 else ''}"
        for c in branch.convs
    ]
    return " ".join([*words, *(f"h{width}" for width in branch.hidden)])


def describe(spec: NetworkSpec) -> str:
    """One line for tables: selector; K x classifier, start level, aggregation."""
    if spec.selector is None:
        return f"{f'{spec.classifiers} x ' if spec.classifiers > 1 else ''}{render(spec.classifier)}"
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
