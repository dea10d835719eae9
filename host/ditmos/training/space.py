"""The architectures that a search draws from, and the budgets that they must keep.

One generator of trunks serves all methods, so that a rival is searched in the same space: kernels, strides, depth and
a first width that then grows (narrow first and wide last: late layers are cheap after pooling).
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average, depthwise, same
from ditmos.planner import front, price
from ditmos.planner.budget import Budget, flash_bytes, nothing_fits, plans_of
from ditmos.planner.price import Price
from ditmos.training.score import answers_itself, worst_runs

_FULL = 0.85  # a candidate uses at least this share of what it may use
_ATTEMPTS = 5_000
_WIDER = (1.0, 2.0, 4.0, 8.0)  # factors on the first width, for budgets that narrower networks cannot use up
_TOO_LARGE = 30  # candidates that need too much RAM, of which each takes a while
_FEW = 40
_SHORT = 200  # candidates that are drawn for windows of a length, to see whether it would do
ESTIMATE = 1.03  # a plan may take that much more than `price.estimated` says


def least_arena(spec: NetworkSpec) -> int:
    """Bytes of the smallest plan."""
    return front(spec)[0].arena


def _rows_at_once(spec: NetworkSpec) -> int:
    """Bytes of the rows that one output of each convolution reads: networks by it are about in order of `least_arena`,
    which takes a thousand times as long."""
    layers = [*spec.selector_layers(), *spec.classifier_layers()]
    return sum(layer.kernel * layer.channels_in for layer in layers if layer.kind != "fc")


def fits_ram(spec: NetworkSpec, budget: Budget) -> bool:
    """Whether there is a plan within the RAM, and one that is not too slow for it. Every arena holds a window, which is
    soon found out."""
    if budget.ram is None:
        return True
    if spec.window * spec.channels + (budget.front.feed.kept if budget.front else 0) > budget.ram:
        return False
    plans = [plan for plan in plans_of(spec, budget) if plan.arena <= budget.ram]
    limits = [budget.dearest] if answers_itself(spec) else [budget.dearest, budget.instructions]
    most = min((limit for limit in limits if limit is not None), default=math.inf)
    return bool(plans) and ESTIMATE * plans[-1].instructions <= most


def keeps_but_ram(spec: NetworkSpec, budget: Budget) -> bool:
    """Whether the network keeps what the budget says of computing and flash.

    A network with an early exit must be able to keep it on average: the selector alone in three quarters of it, and
    the whole when a third of the windows go on.
    """
    means = budget.means(spec, _at_most)
    if answers_itself(spec):
        fits = all(p.select <= 0.75 * limit and p.of(1 / 3) <= limit for p, limit in means)
    else:
        fits = all(p.of(worst_runs(spec)) <= limit for p, limit in means)
    fits = fits and (budget.dearest is None or _at_most(spec).of(worst_runs(spec)) <= budget.dearest)
    return fits and (budget.flash is None or flash_bytes(spec, budget.front) <= budget.flash)


def _at_most(spec: NetworkSpec) -> Price:
    """Instructions that a plan will not be above."""
    cost = price.estimated(spec)
    return Price(ESTIMATE * cost.select, ESTIMATE * cost.classify)


def keeps(spec: NetworkSpec, budget: Budget) -> bool:
    """Whether the network keeps all of the budget, RAM too, which takes a while to find out."""
    return keeps_but_ram(spec, budget) and fits_ram(spec, budget)


def uses(spec: NetworkSpec, budget: Budget) -> bool:
    """Whether the network makes use of the budget."""
    means = list(budget.means(spec, price.estimated))
    if answers_itself(spec):
        return any(limit <= 1.15 * p.of(1) for p, limit in means) or not means
    return any(_FULL * limit <= p.of(worst_runs(spec)) for p, limit in means) or not means


@dataclass(frozen=True)
class Space:
    """What shapes are drawn from.

    spectral: the window's channels are frequency bands, so short kernels in time suffice. widths: factor on the first
    width of a trunk.
    """

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


def draw_separable(rng: random.Random, space: Space) -> BranchSpec:
    """A trunk of depthwise and pointwise convolutions, then the average of all rows (DS-CNN: Zhang et al., "Hello Edge:
    Keyword Spotting on Microcontrollers", 2017)."""
    width, growth = space.widths * rng.choice((8, 12, 16, 20, 24, 32, 48, 64)), rng.choice((1.0, 1.25, 1.5))
    kernel = rng.choice((3, 4, 5) if space.spectral else (5, 7, 9))
    convs = [ConvSpec(round(width), kernel, 2, 1, pad=same(kernel))]
    for i in range(1, rng.choice((2, 3, 4)) + 1):
        convs += [depthwise(rng.choice((3, 5, 9)), rng.choice((1, 1, 2))), ConvSpec(round(width * growth**i), 1, 1, 1)]
    return BranchSpec((*convs, average()), rng.choice(((), (), (32,))))


def _separable(rng: random.Random, base: NetworkSpec, space: Space) -> NetworkSpec:
    return replace(base, classifier=draw_separable(rng, space))


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
    "separable": _separable,
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
    """Different networks within the budget, without end. They make use of it, if any of the shapes does.

    The nth attempt draws the same trunk for ``exit`` and for ``routed-exit``: they are searched over the same shapes.

    Raises:
        DitmosError: unknown family, or none found in many attempts; it names what the cheapest one costs.
    """
    known_family(family)
    window, channels, classes = geometry
    base = NetworkSpec(window, channels, classes, 1, BranchSpec((ConvSpec(1, 1, 1, 1),)))
    seen: set[NetworkSpec] = set()
    attempts = itertools.count()
    drawn: list[NetworkSpec] = []
    too_large: list[NetworkSpec] = []  # for the RAM alone
    within = False  # whether any was
    ways = [*((widths, True) for widths in _WIDER), (1.0, False)]  # widths, and whether the budget has to be used
    while True:
        widths, whole = ways[0]
        small = False  # whether one was within the budget, but made no use of it
        for attempt in itertools.islice(attempts, _ATTEMPTS):
            rng = random.Random(f"{seed}, {attempt}")
            try:
                spec = FAMILIES[family](rng, base, Space(spectral, widths))
            except DitmosError:  # too few rows for these kernels
                continue
            drawn.append(spec)
            if spec in seen or not keeps_but_ram(spec, budget):
                continue
            if whole and not uses(spec, budget):
                small = True
                continue
            if fits_ram(spec, budget):
                seen.add(spec)
                yield spec
                break
            too_large.append(spec)
            if len(too_large) == _TOO_LARGE:
                smallest = min([*sorted(too_large, key=_rows_at_once)[:3], _cheapest(drawn)], key=least_arena)
                raise nothing_fits(f"{family} network for {window} x {channels} windows", budget, smallest)
        else:
            if not drawn:
                raise _too_short(family, base, spectral)
            within |= small
            if not within or len(ways) == 1:
                raise nothing_fits(f"{family} network for {window} x {channels} windows", budget, _cheapest(drawn))
            ways = ways[1:] if small else ways[-1:]  # wider ones, unless those are too large


def _too_short(family: str, base: NetworkSpec, spectral: bool) -> DitmosError:
    """Of a window for which no network of a family could be drawn."""
    for window in itertools.count(base.window + 1):
        for attempt in range(_SHORT):
            with suppress(DitmosError):
                FAMILIES[family](random.Random(attempt), replace(base, window=window), Space(spectral))
                return DitmosError(
                    f"windows of {base.window} samples are too short for a {family} network, expected {window} or "
                    "more; --method best --effort quick takes 4"
                )
    raise AssertionError  # some window is long enough


def _cheapest(drawn: list[NetworkSpec]) -> NetworkSpec:
    """The one that takes the fewest instructions, of those with the fewest MACs."""
    few = heapq.nsmallest(_FEW, drawn, key=lambda spec: price.macs(spec).of(1))
    return min(few, key=lambda spec: price.estimated(spec).of(1))
