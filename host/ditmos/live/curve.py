"""The picture of a live table: missed against false accepts an hour (a DET curve), a line for each way to smooth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ditmos import atomic
from ditmos.live.choosing import Row

_LEAST = 0.1  # false accepts an hour: what a logarithmic axis begins with, 0 included


def draw(path: Path, rows: Sequence[Row], chosen: str, title: str) -> None:
    """Settings that differ in ``on`` alone are one line. Raises DitmosError: the file cannot be written."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(re.sub(r"\bo(n|ff)=[0-9.]+,? ?|,? ?silent=\([^)]*\)", "", row.setting), []).append(row)
    figure = Figure(figsize=(6.4, 4.4))
    axes = figure.subplots()
    for name, points in lines.items():
        x = [max(point.judged.per_hour, _LEAST) for point in points]
        axes.plot(x, [point.judged.missed for point in points], marker=".", label=name)
    for row in rows:
        if row.setting == chosen:
            axes.plot(max(row.judged.per_hour, _LEAST), row.judged.missed, "o", ms=10, mfc="none", mec="black")
            axes.annotate(
                "chosen", (max(row.judged.per_hour, _LEAST), row.judged.missed), (8, 8), textcoords="offset points"
            )
    axes.set(xscale="log", xlabel=f"false accepts an hour (0 is drawn at {_LEAST})", ylabel="missed", title=title)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper right")
    atomic.write_figure(path, figure, bbox_inches="tight", dpi=120)
