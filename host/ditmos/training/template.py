"""A network without a search: one well-tried shape, made as wide as the budget allows.

Narrow first and wide last: late layers are cheap after pooling. Selector and classifiers share the first layer; every
classifier sees what the selector finds in the next ones.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.planner import price
from ditmos.planner.budget import Budget, nothing_fits
from ditmos.training.space import ESTIMATE, keeps

CLASSIFIERS = 6
_WIDTHS = (0.2, 6.0)
_STEPS = 24  # of the bisection
_ROWS_LEFT = 16  # a deeper network where more rows than this would be left
_DEEPEST = 5  # layers of a branch


class _Template(NamedTuple):
    """Channels at a width of 1 (of the last layer, for those behind it), kernels, stride of the first layer."""

    first: int
    selector: tuple[int, ...]
    classifier: tuple[int, ...]
    hidden: int
    sees: int  # layers behind the first whose maps the classifiers see
    kernels: tuple[tuple[int, ...], ...]  # the first that the windows are long enough for
    strides: tuple[int, ...]  # likewise


_SIGNAL = _Template(10, (8, 12), (20, 40), 48, 99, ((5, 7, 3), (5, 5, 3), (5, 3, 2), (3, 2, 1)), (2, 1))
_BANDS = _Template(6, (12, 12), (16, 24), 0, 1, ((5, 5, 3), (3, 3, 2), (2, 2, 1)), (1,))


def shape(geometry: tuple[int, int, int], width: float, *, bands: bool = False) -> NetworkSpec:
    """``geometry``: window, channels, classes. Raises DitmosError for windows that are too short for any kernels."""
    template, (window, channels, classes) = _BANDS if bands else _SIGNAL, geometry
    if (found := _first(geometry, width, template)) is not None:
        return found
    enough = next(n for n in itertools.count(window) if _first((n, channels, classes), width, template) is not None)
    raise DitmosError(f"windows of {window} samples are too short for a network, expected {enough} or more")


def _first(geometry: tuple[int, int, int], width: float, template: _Template) -> NetworkSpec | None:
    """With the first kernels and stride that the windows are long enough for; maps of short ones are not pooled."""
    for pool, stride, kernels in itertools.product((2, 1), template.strides, template.kernels):
        try:
            return _deep_enough(geometry, width, template, kernels, stride, pool)
        except DitmosError:
            continue
    return None


def _deep_enough(
    geometry: tuple[int, int, int], width: float, template: _Template, kernels: tuple[int, ...], stride: int, pool: int
) -> NetworkSpec:
    """Layers are added behind the last while many rows are left."""
    depth = len(kernels)
    while True:
        spec = _build(geometry, width, template, (*kernels, *[kernels[-1]] * (depth - len(kernels))), stride, pool)
        rows = next(s.rows_out for s in reversed(spec.classifier_layers()) if s.kind == "conv")
        if rows <= _ROWS_LEFT or depth == _DEEPEST:
            return spec
        depth += 1


def _build(
    geometry: tuple[int, int, int], width: float, template: _Template, kernels: tuple[int, ...], stride: int, pool: int
) -> NetworkSpec:
    def convs(channels: tuple[int, ...]) -> tuple[ConvSpec, ...]:
        wide = (*channels, *[channels[-1]] * (len(kernels) - 1 - len(channels)))
        return tuple(ConvSpec(max(round(n * width), 2), k, 1, pool) for n, k in zip(wide, kernels[1:], strict=True))

    hidden = (max(round(template.hidden * min(width, 1.5)), 16),) if template.hidden else ()
    first = ConvSpec(max(round(template.first * width), 2), kernels[0], stride, pool)
    return NetworkSpec(
        *geometry,
        classifiers=CLASSIFIERS,
        classifier=BranchSpec(convs(template.classifier), hidden),
        selector=BranchSpec((first, *convs(template.selector))),
        start=1,
        aggregate=tuple(range(2, 2 + min(template.sees, len(kernels) - 1))),
    )


def usual(geometry: tuple[int, int, int], *, bands: bool = False) -> int:
    """Instructions of the template at a width of 1: the budget where nobody says one."""
    return round(price.estimated(shape(geometry, 1.0, bands=bands)).of(1) * ESTIMATE) + 1


def fitted(geometry: tuple[int, int, int], budget: Budget, *, bands: bool = False) -> NetworkSpec:
    """The widest that keeps the budget.

    Raises:
        DitmosError: not even the narrowest does.
    """
    low, high = _WIDTHS
    if not keeps(shape(geometry, low, bands=bands), budget):
        raise nothing_fits("network of any width", budget, shape(geometry, low, bands=bands))
    if keeps(shape(geometry, high, bands=bands), budget):
        return shape(geometry, high, bands=bands)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(shape(geometry, middle, bands=bands), budget) else (low, middle)
    return shape(geometry, low, bands=bands)
