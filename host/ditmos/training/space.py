"""The architectures that a search draws from, and the budgets that they must keep.

One generator of trunks serves all methods, so that a rival is searched in the same space: kernels, strides, depth and
a first width that then grows (narrow first and wide last: late layers are cheap after pooling).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.planner import whole_plan
from ditmos.training.fit import answers_itself
from ditmos.training.score import branch_macs, worst_macs

_FULL = 0.85  # a candidate uses at least this share of the MACs it may use
_ATTEMPTS = 5_000
_HEADER_BYTES = 512  # of a model file: header, plan, names, all but weights and requantisation


@dataclass(frozen=True)
class Budget:
    """Per inference: MACs (the mean where the cost varies), arena bytes, bytes of the model file; None: no limit.

    widths: factor on the first width of a trunk, for budgets that the usual widths cannot use up. fill: how much of the
    MACs has to be used, relative to what is usual (`within`); 0: as little as one likes.
    """

    macs: int
    ram: int | None = None
    flash: int | None = None
    widths: float = 1.0
    fill: float = 1.0


def flash_bytes(spec: NetworkSpec) -> int:
    """About the size of the model file: weights, and 8 bytes of requantisation per output channel."""
    selector = sum(s.weights + 8 * s.channels_out for s in spec.selector_layers())
    classifier = sum(s.weights + 8 * s.channels_out for s in spec.classifier_layers())
    return _HEADER_BYTES + selector + spec.classifiers * classifier


def within(spec: NetworkSpec, budget: Budget) -> bool:
    """Whether the network keeps the budget and makes use of it.

    A network with an early exit must be able to keep it on average: the selector alone in three quarters of it, and
    the whole when a third of the windows go on.
    """
    first, second = branch_macs(spec)
    if answers_itself(spec):
        fits = first <= 0.75 * budget.macs and first + second / 3 <= budget.macs
        fits = fits and budget.fill * budget.macs <= 1.15 * (first + second)
    else:
        fits = _FULL * budget.fill * budget.macs <= worst_macs(spec) <= budget.macs
    if not fits or (budget.flash is not None and flash_bytes(spec) > budget.flash):
        return False
    return budget.ram is None or whole_plan(spec).arena_size <= budget.ram


@dataclass(frozen=True)
class Space:
    """spectral: the window's channels are frequency bands, so short kernels in time suffice. widths: see `Budget`."""

    spectral: bool = False
    widths: float = 1.0


def draw_branch(rng: random.Random, depths: tuple[int, ...], space: Space) -> BranchSpec:
    """A trunk."""
    depth = rng.choice(depths)
    width, growth = space.widths * rng.choice((4, 5, 6, 7, 8, 9, 10, 12, 14, 16)), rng.choice((1.2, 1.4, 1.6, 1.8, 2.0))
    convs = []
    for i in range(depth):
        if i == 0:
            kernel, stride = rng.choice((1, 2, 3) if space.spectral else (3, 5, 7, 9)), rng.choice((1, 2))
        else:
            kernel, stride = rng.choice((3, 5, 7) if i == 1 and not space.spectral else (2, 3, 5)), 1
        pool = rng.choice((1, 2)) if i == depth - 1 or (i == 0 and stride == 2) else 2
        convs.append(ConvSpec(round(width * growth**i), kernel, stride, pool))
    return BranchSpec(tuple(convs), rng.choice(((), (), (32,), (48,))))


def _plain(rng: random.Random, base: NetworkSpec, space: Space) -> NetworkSpec:
    return replace(base, classifier=draw_branch(rng, (3, 4, 5), space))


def _ensemble(rng: random.Random, base: NetworkSpec, space: Space) -> NetworkSpec:
    return replace(base, classifiers=2, classifier=draw_branch(rng, (3, 4), space))


def _narrowed(rng: random.Random, trunk: BranchSpec, start: int) -> BranchSpec:
    """A selector that shares the trunk's first ``start`` layers and is narrow from there on."""
    share = rng.choice((0.25, 0.35, 0.5, 0.7))
    later = [replace(c, channels=max(4, round(share * c.channels))) for c in trunk.convs[start:]]
    return BranchSpec((*trunk.convs[:start], *later))


def _joined(
    rng: random.Random, base: NetworkSpec, space: Space, *, counts: tuple[int, int], exit: bool | None,
    late: bool = False,
) -> NetworkSpec:  # fmt: skip
    """Selector and classifiers of one trunk. The number of classifiers is drawn last: rivals get the same trunks.

    counts: of classifiers, to draw from; 1, 1: an early-exit network. exit: whether the selector can answer by itself;
    None: drawn. late: classifiers start from the second map at the earliest, so that most is learned by all windows.
    """
    trunk = draw_branch(rng, (3, 4), space)
    start = max(2, len(trunk.convs) - rng.choice((1, 2))) if late else rng.choice((1, 1, 2))
    selector = _narrowed(rng, trunk, start)
    aggregate = rng.choice(((), tuple(range(start + 1, len(selector.convs) + 1))))
    classifiers = rng.choice(counts)
    exit = rng.choice((False, True)) if exit is None else exit
    outputs = (classifiers if classifiers > 1 else 0) + (base.classes if exit else 0)
    classifier = BranchSpec(trunk.convs[start:], trunk.hidden)
    return NetworkSpec(
        base.window, base.channels, base.classes, classifiers, classifier, selector, start, aggregate, outputs
    )  # fmt: skip


Draw = Callable[[random.Random, NetworkSpec, Space], NetworkSpec]
FAMILIES: dict[str, Draw] = {
    "wide": _plain,
    "ensemble": _ensemble,
    "exit": partial(_joined, counts=(1, 1), exit=True),
    "routed": partial(_joined, counts=(8, 16), exit=False),
    "routed-exit": partial(_joined, counts=(8, 16), exit=True),
    "routed-any": partial(_joined, counts=(8, 16), exit=None),
    "routed-few": partial(_joined, counts=(2, 4), exit=None),  # where there is little to learn from
    "routed-late": partial(_joined, counts=(2, 4), exit=None, late=True),
    "exit-late": partial(_joined, counts=(1, 1), exit=True, late=True),  # the rival of routed-late
}


def known_family(family: str, where: str = "search") -> None:
    """Raises DitmosError for a family that is none of `FAMILIES`."""
    if family not in FAMILIES:
        raise DitmosError(f"{where}: family is {family!r}, expected one of {', '.join(FAMILIES)}")


def candidates(
    family: str, geometry: tuple[int, int, int], budget: Budget, seed: int, *, spectral: bool = False
) -> Iterator[NetworkSpec]:
    """Different networks within the budget, without end.

    The nth attempt draws the same trunk for ``exit`` and for ``routed-exit``: they are searched over the same shapes.

    Raises:
        DitmosError: unknown family, or none found in many attempts.
    """
    known_family(family)
    window, channels, classes = geometry
    base = NetworkSpec(window, channels, classes, 1, BranchSpec((ConvSpec(1, 1, 1, 1),)))
    seen: set[NetworkSpec] = set()
    attempts = itertools.count()
    while True:
        for attempt in itertools.islice(attempts, _ATTEMPTS):
            rng = random.Random(f"{seed}, {attempt}")
            try:
                spec = FAMILIES[family](rng, base, Space(spectral, budget.widths))
            except DitmosError:  # too few rows for these kernels
                continue
            if spec not in seen and within(spec, budget):
                break
        else:
            raise DitmosError(
                f"search: no {family} network for {window} x {channels} windows within {budget.macs} MACs, "
                f"{budget.ram or 'any'} bytes of RAM, {budget.flash or 'any'} bytes of flash; allow more"
            )
        seen.add(spec)
        yield spec
