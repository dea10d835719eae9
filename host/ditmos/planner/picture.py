"""Memory over the run: which buffer lives where in the arena, and when."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from ditmos import atomic
from ditmos.model.dryrun import features_last
from ditmos.model.plan import BufferKind, Plan
from ditmos.model.spec import NetworkSpec
from ditmos.planner.calls import LayerCost
from ditmos.planner.describe import buffer_names, slice_costs
from ditmos.planner.schedule import lives

_COLOURS = {
    "window": "#9aa5b1",
    "selector": "#3f7cac",
    "classifier": "#d1793b",
    "carry": "#b8c75a",
    "scratch": "#d9d2c5",
}


def _colour(name: str, kind: BufferKind) -> str:
    if kind != BufferKind.MAP:
        return _COLOURS[BufferKind(kind).name.lower()]
    return _COLOURS[name.partition(".")[0]]


def draw(path: Path, panels: Sequence[tuple[str, NetworkSpec, Plan, Sequence[LayerCost]]]) -> None:
    """One panel per (title, network, plan, costs): instructions to the right, arena offset upwards.

    Raises:
        DitmosError: the file cannot be written.
    """
    figure = Figure(figsize=(5.2 * len(panels), 4.6))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    top = max(plan.arena_size for _, _, plan, _ in panels)
    for axis, (title, spec, plan, costs) in zip(axes[0], panels, strict=True):
        times = [0.0, *accumulate(slice_costs(spec, plan, costs))]
        lead = 0.03 * times[-1]  # the arrival of the window
        names = buffer_names(spec, plan)
        periods = lives(plan, durable=features_last(spec, plan))
        for buffer, name, (first, last) in zip(plan.buffers, names, periods, strict=True):
            left = times[first - 1] if first else -lead
            width = times[last] - left
            axis.add_patch(
                Rectangle(
                    (left, buffer.offset),
                    width,
                    buffer.size,
                    facecolor=_colour(name, buffer.kind),
                    edgecolor="white",
                    linewidth=0.6,
                    hatch="//" if buffer.kept and name != "window" else None,
                )
            )
            if buffer.size > 0.03 * top and width > 0.12 * times[-1]:
                axis.text(left + width / 2, buffer.offset + buffer.size / 2, name, ha="center", va="center", fontsize=7)
        for time in times[1:-1]:
            axis.axvline(time, color="black", linewidth=0.3, linestyle=":")
        axis.set_xlim(-lead, times[-1])
        axis.set_ylim(0, 1.04 * top)
        axis.axhline(plan.arena_size, color="black", linewidth=0.8)
        axis.set_title(f"{title}: {plan.arena_size} bytes, {times[-1] / 1000:.0f} k instructions", fontsize=9)
        axis.set_xlabel("instructions (estimated)")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f} k")
    axes[0][0].set_ylabel("byte of the arena")
    figure.legend(
        handles=[Patch(facecolor=colour, label=name) for name, colour in _COLOURS.items()]
        + [Patch(facecolor="white", edgecolor="grey", hatch="//", label="kept for classify")],
        loc="lower center",
        ncols=6,
        fontsize=8,
        frameon=False,
    )
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    atomic.write_figure(path, figure, dpi=150)
