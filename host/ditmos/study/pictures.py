"""The pictures of a report, each an SVG that fits a phone and stands on any background."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ditmos.study.summary import NAMES, Entry, Row, base_of, budget_of, ours, pareto, training_named

_INK = "#808080"  # readable on white and on black
_OURS = "#d9534f"
_MARKERS = "osD^vPX*<>"
_ROUTED = {"best": "o", "paper": "s"}
_COLOURS = ("#3a8fd6", "#3cb371", "#a07ad0", "#b5816a", "#29b6c6", "#b8b82a", "#ff9f40", "#9a9a9a")
WIDTH = 4.6  # inches: a phone shows its letters at their size


def svg(figure: Figure) -> str:
    """The picture as text to put into a page; transparent, its width that of its place."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ditmos"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _picture(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    colours = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor")
    style: dict[Any, Any] = {colour: _INK for colour in colours}
    style |= {"font.size": 9}
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(figsize=(width, height))
    axes.grid(alpha=0.25, color=_INK)
    axes.set_axisbelow(True)
    return figure, axes


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set(xlabel=x, ylabel=y)


def _style(method: str) -> dict[str, Any]:
    """Marker and colour: red where it routes, and a rival's own colour everywhere."""
    if ours(method):
        return {"color": _OURS, "fmt": _ROUTED.get(method, _MARKERS[sum(map(ord, method)) % len(_MARKERS)])}
    at = NAMES.index(method)
    return {"color": _COLOURS[at % len(_COLOURS)], "fmt": _MARKERS[at % len(_MARKERS)]}


def _legend(axes: Axes, below: float = 0.22, columns: int = 3) -> None:
    axes.legend(
        fontsize=8, labelcolor=_INK, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -below), ncols=columns
    )  # fmt: skip


def cost(entries: Sequence[Entry], title: str, axis: str, label: str) -> Figure:
    """int8 value against a cost, with the Pareto front; a bar: one standard deviation over trainings. No ablations."""
    found = [e for e in entries if base_of(e["method"]) is None and e.get(axis)]
    figure, axes = _picture(3.2)
    for method in sorted({e["method"] for e in found}):
        points = [e for e in found if e["method"] == method]
        axes.errorbar(
            [e[axis] for e in points], [e["int8"]["mean"] for e in points], [e["int8"]["sd"] for e in points],
            capsize=3, label=method, markersize=6, **_style(method),
        )  # fmt: skip
    front = pareto(found, axis)
    axes.step([e[axis] for e in front], [e["int8"]["mean"] for e in front], where="post", color=_INK, lw=1, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g} k" if value >= 1000 else f"{value:g}")
    _label(axes, title, label, "balanced accuracy" if found[0]["metric"] == "balanced" else "accuracy")
    _legend(axes)
    return figure


def routing(rows: Sequence[Row], title: str) -> Figure:
    """Share of the test windows that each classifier is chosen for, one group of bars a training."""
    figure, axes = _picture(2.4)
    count = len(rows[0]["test"]["usage"])
    width = 0.8 / len(rows)
    for i, row in enumerate(rows):
        axes.bar(np.arange(count) + i * width, row["test"]["usage"], width, label=training_named(row))
    axes.axhline(1 / count, color=_INK, lw=1, ls="--")
    axes.set_xticks(range(count))
    _label(axes, title, "classifier", "share of windows")
    if len(rows) > 1:
        _legend(axes)
    return figure


def confusion(row: Row, title: str) -> Figure:
    """Rows are true classes; colour is the share of the true class, written out for small sets."""
    table = np.array(row["confusion"], float)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    count = len(table)
    side = min(2.6 + 0.16 * count, 9)
    figure, axes = _picture(side, side)
    axes.grid(visible=False)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in row["class_names"]]
    axes.set_xticks(range(count), names, rotation=90, fontsize=7)
    axes.set_yticks(range(count), names, fontsize=7)
    _label(axes, title, "predicted", "true")
    if count <= 12:
        for i, j in np.ndindex(count, count):
            axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=7,
                      color="white" if share[i, j] > 0.6 else "black")  # fmt: skip
    return figure


def curves(rows: Sequence[Row], title: str) -> Figure:
    """Loss over epochs, a line per training, the ends of stages dotted. Every method has a loss of its own."""
    figure, axes = _picture(2.8)
    methods = sorted({row["method"] for row in rows})
    for method, dashes in zip(methods, itertools.cycle(("-", "--", "-.", ":")), strict=False):
        own = [row for row in rows if row["method"] == method and row.get("curve")]
        for j, row in enumerate(own):
            epochs, losses = zip(*row["curve"], strict=True)
            axes.plot(epochs, losses, color=_style(method)["color"], lw=1, ls=dashes, label=None if j else method)
        for name, end in own[0].get("stages", ())[:-1]:
            axes.axvline(end, color=_style(method)["color"], lw=0.8, ls=":")
            axes.annotate(f"{name} ends", (end, 1), xycoords=("data", "axes fraction"), fontsize=7, color=_INK,
                          rotation=90, ha="right", va="top")  # fmt: skip
    _label(axes, title, "epoch", "training loss, each method's own")
    axes.set_xlim(left=0)
    _legend(axes)
    return figure


def union(entries: Sequence[Entry], title: str) -> Figure:
    """Routed against union (float, early exits left aside): how much of what classifiers know the selector finds."""
    found = [e for e in entries if "routed" in e]
    figure, axes = _picture(0.4 * len(found) + 1.0)
    at = np.arange(len(found))
    axes.barh(at - 0.2, [e["routed"]["mean"] for e in found], 0.4, label="routed", color=_OURS)
    axes.barh(at + 0.2, [e["union"]["mean"] for e in found], 0.4, label="union", color=_COLOURS[0])
    axes.set_yticks(at, [f"{e['method']}, {e['budget']}" for e in found], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    _label(axes, f"{title}: routed against union", "accuracy (float)", "")
    _legend(axes, 0.6 / (0.4 * len(found) + 0.6), 2)
    return figure


def of_budget(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows that say how they learned, by budget."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("curve"):
            found.setdefault(budget_of(row)[1], []).append(row)
    return found
