"""The plots of a report, each a PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ditmos.study.summary import NAMES, base_of, integers, ours, pareto

Entries = Sequence[Mapping[str, Any]]
Rows = Sequence[Mapping[str, Any]]

_OURS, _OTHERS = "#c0392b", "#2c3e50"
_MARKERS = "osD^vPX*<>"
_ROUTED = {"best": "o", "paper": "s", "tree router": "*", "tree router of paper": "P"}
_COLOURS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#bcbd22", "#ff7f0e", "#7f7f7f")


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()


def _style(method: str) -> dict[str, Any]:
    """Marker and colour: red where it routes, and a rival's own colour everywhere."""
    if ours(method):
        return {"color": _OURS, "fmt": _ROUTED.get(method, _MARKERS[sum(map(ord, method)) % len(_MARKERS)])}
    at = NAMES.index(method)
    return {"color": _COLOURS[at % len(_COLOURS)], "fmt": _MARKERS[at % len(_MARKERS)]}


def cost(entries: Entries, data: str, axis: str, label: str) -> Figure:
    """int8 value against a cost, with the Pareto front; a bar is one standard deviation over seeds. No ablations."""
    found = [e for e in integers(entries) if e["data"] == data and base_of(e["method"]) is None]
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for method in sorted({e["method"] for e in found}):
        points = [e for e in found if e["method"] == method]
        axes.errorbar(
            [e[axis] for e in points], [e["mean"] for e in points], [e["sd"] for e in points],
            capsize=3, label=method, markersize=7, **_style(method),
        )  # fmt: skip
    front = pareto(found, axis)
    axes.step([e[axis] for e in front], [e["mean"] for e in front], where="post", color="0.6", lw=1, zorder=0)
    axes.set(xlabel=label, ylabel=found[0]["metric"], title=data, xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g} k" if value >= 1000 else f"{value:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def routing(rows: Rows, title: str) -> Figure:
    """Share of the test windows that each classifier is chosen for, one group of bars per seed."""
    figure, axes = plt.subplots(figsize=(6.4, 2.8))
    count = len(rows[0]["test"]["usage"])
    width = 0.8 / len(rows)
    for i, row in enumerate(rows):
        axes.bar(np.arange(count) + i * width, row["test"]["usage"], width, label=f"seed {row['seed']}")
    axes.axhline(1 / count, color="0.5", lw=1, ls="--")
    axes.set(xlabel="classifier", ylabel="share of windows", title=title, xticks=range(count))
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def confusion(row: Mapping[str, Any], title: str) -> Figure:
    """Rows are true classes; colour is the share of the true class, written out for small sets."""
    table = np.array(row["confusion"], float)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    count = len(table)
    side = min(3 + 0.22 * count, 10)
    figure, axes = plt.subplots(figsize=(side + 0.8, side))
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [name if len(name) <= 32 else f"{name[:31]}…" for name in row["class_names"]]
    axes.set_xticks(range(count), names, rotation=90, fontsize=7)
    axes.set_yticks(range(count), names, fontsize=7)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if count <= 12:
        for i, j in np.ndindex(count, count):
            axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=7,
                      color="white" if share[i, j] > 0.6 else "black")  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def curves(rows: Rows, title: str) -> Figure:
    """Loss over epochs, a line per method and seed; ablations left out. Every method has a loss of its own."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    methods = sorted({row["method"] for row in rows if base_of(row["method"]) is None})
    for method in methods:
        colour = _style(method)["color"]
        for j, row in enumerate(r for r in rows if r["method"] == method):
            epochs, losses = zip(*row["curve"], strict=True)
            axes.plot(epochs, losses, color=colour, lw=1, label=None if j else method)
    axes.set(xlabel="epoch", ylabel="training loss, each method's own", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def union(entries: Entries, data: str) -> Figure:
    """Routed against union (float, early exits left aside): how much of what the classifiers know the selector finds.

    Where a row does not say what is routed, its accuracy stands for it.
    """
    here = [e for e in entries if e["data"] == data]
    unions = [e for e in here if e["metric"] == "float union"]
    kinds = ("float balanced accuracy", "float accuracy", "float routed")  # the last one counts
    routed = {_which(e): e["mean"] for kind in kinds for e in here if e["metric"] == kind}
    values = [routed[_which(e)] for e in unions]
    figure, axes = plt.subplots(figsize=(6.4, 0.5 * len(unions) + 1.2))
    at = np.arange(len(unions))
    axes.barh(at - 0.2, values, 0.4, label="routed", color=_OURS)
    axes.barh(at + 0.2, [e["mean"] for e in unions], 0.4, label="union", color=_OTHERS, alpha=0.6)
    axes.set_yticks(at, [f"{e['method']}, {e['budget'] // 1000} k" for e in unions], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(max(min(values) - 0.1, 0), 1), title=data, xlabel="accuracy (float)")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.6 / (0.5 * len(unions) + 0.6)), ncols=2)
    return figure


def _which(entry: Mapping[str, Any]) -> tuple[int, str, str]:
    return entry["budget"], entry["method"], entry["shape"]
