"""The picture of `ditmos bench kernels`: instructions of the reference network against arena bytes, and the bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ditmos import atomic
from ditmos.bench.kernels import BALANCED, CONVENTIONAL, SMALLEST


def draw(result: dict[str, Any], path: Path) -> None:
    """Raises DitmosError where it cannot be written."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for front_name, label in (("front", "sliced"), ("front_once", "sliced, one classify a window")):
        points = result["reference"][front_name]
        axes.step(
            [p["arena_bytes"] for p in points], [p["instructions"] / 1000 for p in points], where="post", label=label
        )
    whole = result["reference"]["unsliced"]
    axes.plot(whole["arena_bytes"], whole["instructions"] / 1000, "s", label="unsliced")
    for ram, bar in ((BALANCED, 190), (SMALLEST, 260)):
        axes.plot(ram, bar, "x", color="black", label="bar" if ram == BALANCED else None)
    axes.axvline(CONVENTIONAL, color="grey", linestyle=":", label="conventional network without aggregation")
    axes.set(xlabel="arena, bytes", ylabel="thousand instructions, one inference", xscale="log", ylim=(0, None))
    axes.legend()
    atomic.write_figure(path, figure)
