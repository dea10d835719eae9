"""The loop that every network of ours learns in: AdamW, one cycle of the learning rate, a moving average as the result.

A loop that was stopped goes on from its last save as if it had not been.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ditmos.errors import DitmosError
from ditmos.keep import Keep
from ditmos.training.data import batches

_POINTS = 40  # of a learning curve
Curve = list[tuple[float, float]]
M = TypeVar("M", bound=nn.Module)


def rounded(curve: Curve) -> Curve:
    """As a row has it."""
    return [(round(epoch, 2), round(loss, 4)) for epoch, loss in curve]


@dataclass(frozen=True)
class Cycle:
    """``steps`` of ``batch`` out of ``count`` windows. groups: parameters of the optimiser with their rates (a group's
    ``lr`` is the peak). rise: share of the steps that the rate rises in. decay: of the moving average, early and later;
    ``early``: steps until then. generators: whatever draws random numbers in a step."""

    steps: int
    batch: int
    count: int
    groups: Sequence[dict[str, Any]]
    rise: float
    decay: tuple[float, float]
    early: int
    rng: torch.Generator
    others: Sequence[torch.Generator] = ()
    fused: bool = False
    curve: Curve = field(default_factory=list)


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move ``average`` towards ``network``, running statistics included."""
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.is_floating_point():
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


def learn(
    network: M, cycle: Cycle, loss: Callable[[Tensor, float], Tensor], keep: Keep, name: str,
    progress: Callable[[float], None],
) -> M:  # fmt: skip
    """Returns the moving average in evaluation mode. ``loss(rows, done)``: of these windows, ``done`` (0 to 1) of the
    way. ``cycle.curve`` receives (step, mean loss since the last entry).

    Raises:
        DitmosError: the loss is no longer a number.
    """
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(cycle.groups, fused=cycle.fused)
    peaks = [group["lr"] for group in cycle.groups]
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, cycle.steps, pct_start=cycle.rise)
    generators = [cycle.rng, *cycle.others]
    order, at, first, losses = torch.empty(0, 0, dtype=torch.long), 0, 0, []
    if state := keep.load(name):
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["torch"])
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(saved)
        order, at, first, losses = state["order"], state["at"], state["step"], state["losses"]
        cycle.curve[:] = [tuple(point) for point in state["curve"]]

    def pieces(step: int) -> dict[str, Any]:
        return {
            "network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(), "torch": torch.get_rng_state(),
            "generators": [generator.get_state() for generator in generators],
            "order": order, "at": at, "step": step, "losses": losses, "curve": cycle.curve,
        }  # fmt: skip

    network.train()
    for step in range(first, cycle.steps):
        if at >= len(order):
            order, at = batches(cycle.count, cycle.batch, cycle.rng), 0
        value = loss(order[at], step / cycle.steps)
        at += 1
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        scheduler.step()
        follow(average, network, cycle.decay[step > cycle.early])
        losses.append(value.item())
        if losses[-1] != losses[-1]:
            raise DitmosError(f"{name}, step {step + 1}: the loss is no longer a number; lower the learning rate (lr)")
        if len(losses) >= max(cycle.steps // _POINTS, 1):
            cycle.curve.append((step + 1, sum(losses) / len(losses)))
            losses = []
        progress((step + 1) / cycle.steps)
        if keep.due():
            keep.save(name, pieces(step + 1))
    if first < cycle.steps:
        keep.save(name, pieces(cycle.steps))
    return average.eval()
