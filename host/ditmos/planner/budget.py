"""What a decision may cost: a budget, what a front end takes of it, and what is said where nothing keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.memory import Memory, memory
from ditmos.frontends.section import encode
from ditmos.model.layer_shape import LayerShape
from ditmos.model.packings import LANES, QUADS, pack
from ditmos.model.quantized import QuantizedLayer
from ditmos.model.spec import NetworkSpec
from ditmos.planner import chip, price
from ditmos.planner.cost import layer_options
from ditmos.planner.front import Candidate, front
from ditmos.planner.price import Price

_HEADER_BYTES = 1_536  # of a model file: header, plan, metadata, all but weights and names
_NAME_BYTES = 24  # of a class; a channel has scales, too: twice as many


@dataclass(frozen=True)
class Taken:
    """What a front end takes of a budget: instructions of a row, bytes of the model file, what it works in."""

    instructions: float
    flash: int
    feed: Memory

    @staticmethod
    def by(front_end: FrontEnd | None, window: int) -> Taken | None:
        """Of a network that reads so many rows; None without a front end."""
        if front_end is None:
            return None
        return Taken(price.front_row(front_end, window), len(encode(front_end, 0, 0)), memory(front_end, window))

    def __str__(self) -> str:
        return (
            f"of that the front end {self.instructions:,.0f} instructions a row, {self.feed.kept:,} bytes of RAM, "
            f"{self.flash:,} of flash"
        )


@dataclass(frozen=True)
class Budget:
    """What a decision may cost: multiply-accumulates and instructions, the mean where it varies; ``worst``: the
    instructions of the dearest decision and of the row before it; bytes of arena (ram) and of the model file (flash).
    None: no limit. front: takes its part of the last three."""

    macs: float | None = None
    instructions: float | None = None
    worst: float | None = None
    ram: int | None = None
    flash: int | None = None
    front: Taken | None = None

    @property
    def limits(self) -> dict[str, Any]:
        """By name."""
        return {key: value for key, value in vars(self).items() if key != "front"}

    @property
    def said(self) -> dict[str, Any]:
        """`limits`, and what the front end takes: what makes two budgets the same."""
        return self.limits if self.front is None else {**self.limits, "front": str(self.front)}

    @property
    def dearest(self) -> float | None:
        """Instructions of the dearest decision, without the row before it."""
        return self.worst if self.worst is None or self.front is None else self.worst - self.front.instructions

    @property
    def bounded(self) -> bool:
        """Whether anything says how much may be computed."""
        return any(limit is not None for limit in (self.macs, self.instructions, self.worst))

    def means(self, spec: NetworkSpec, instructions: Callable[[NetworkSpec], Price]) -> Iterator[tuple[Price, float]]:
        """A network's price and its limit, for each limit on the mean; what is soon known first. With a worst case
        alone, that is the limit."""
        if self.macs is not None:
            yield price.macs(spec), self.macs
        if self.instructions is not None:
            yield instructions(spec), self.instructions
        elif self.macs is None and self.dearest is not None:
            yield instructions(spec), self.dearest

    def __str__(self) -> str:
        names = {
            "macs": "MACs", "instructions": "instructions", "worst": "instructions at worst", "ram": "bytes of RAM",
            "flash": "bytes of flash",
        }  # fmt: skip
        if self.worst is not None:
            names["worst"] += f" ({chip.microseconds(self.worst):,.0f} us)"
        limits = [f"{value:,.0f} {names[key]}" for key, value in self.limits.items() if value is not None]
        return ", ".join(limits) or "no limit"


def flash_bytes(spec: NetworkSpec, taken: Taken | None = None) -> int:
    """About the size of the model file: every layer in the packing that runs fastest."""
    sizes = [_packed(choice[0].shape, choice[0].packing) for choice in layer_options(spec)]
    first = len(spec.selector_layers())
    weights = sum(sizes[:first]) + spec.classifiers * sum(sizes[first:])
    return weights + beside_weights(spec.classes, spec.channels, taken)


def beside_weights(classes: int, channels: int, taken: Taken | None) -> int:
    """Bytes of a model file that are no weights, about."""
    return _HEADER_BYTES + _NAME_BYTES * (classes + 2 * channels) + (taken.flash if taken else 0)


@cache
def _packed(shape: LayerShape, packing: int) -> int:
    """Bytes of a layer whose accumulators are small, and room for a few channels in which they are not, which a layer
    packed in lanes holds in quads."""
    zeros = np.zeros(shape.channels_out, np.int32)
    layer = QuantizedLayer(np.zeros(shape.weight_shape, np.int8), zeros, zeros + 1)
    rest = len(pack(QUADS, shape, layer)) // -(-shape.channels_out // 4) if packing == LANES else 0
    return len(pack(packing, shape, layer)) + rest


def plans_of(spec: NetworkSpec, budget: Budget) -> list[Candidate]:
    """With room for the front end."""
    return front(spec, feed=budget.front.feed if budget.front else None)


class NothingFits(DitmosError):
    """Of a budget."""


def nothing_fits(what: str, budget: Budget, least: NetworkSpec) -> NothingFits:
    """The budget that nothing meets, and what the smallest costs."""
    return NothingFits(f"no {what} within {budget}, expected more; the smallest takes {cost_of(least, budget)}")


def cost_of(spec: NetworkSpec, budget: Budget) -> str:
    """In words, of a decision that runs one classifier: by the fastest plan within the RAM, else by the smallest."""
    plans, taken = plans_of(spec, budget), budget.front
    plan = next((plan for plan in reversed(plans) if budget.ram and plan.arena <= budget.ram), plans[0])
    instructions = plan.instructions + (taken.instructions if taken else 0)
    return (
        f"{price.macs(spec).of(1):,.0f} MACs, {instructions:,.0f} instructions "
        f"({chip.microseconds(instructions):,.0f} us), {plan.arena:,} bytes of RAM, "
        f"{flash_bytes(spec, taken):,} bytes of flash{f' ({taken})' if taken else ''}"
    )
