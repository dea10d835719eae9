"""One self-contained HTML page of results: tables and plots, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ditmos.atomic import read_json
from ditmos.errors import DitmosError
from ditmos.study import figures
from ditmos.study.onboard import merged
from ditmos.study.summary import OURS, integers, ours, summarise
from ditmos.study.sweep import results
from ditmos.study.tables import tables

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #1b1b1b }
table { border-collapse: collapse; margin: 0.8em 0 1.4em; font-size: 13px }
td, th { padding: 3px 10px; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
tr.ours td { background: #fdf0ee } code { font-size: 12px } img { max-width: 100%; margin: 4px 8px 12px 0 }
"""


def gather(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Rows of sweeps (``results/``) and of training runs (``metrics.json``).

    Raises:
        DitmosError: a folder that is neither.
    """
    rows: list[dict[str, Any]] = []
    for folder in folders:
        if (folder / "results").is_dir():
            rows += merged(folder, results(folder))
        elif (folder / "metrics.json").is_file():
            rows.append(_run_row(folder))
        else:
            raise DitmosError(f"{folder}: neither a sweep (results/) nor a training run (metrics.json)")
    return rows


def _run_row(folder: Path) -> dict[str, Any]:
    """A training run in the form of a sweep's row; it has no integer figures before `ditmos export`."""
    metrics = read_json(folder / "metrics.json")
    history = read_json(folder / "history.json")
    try:
        test, origin = metrics["test"], metrics["origin"]
        row = {
            "key": folder.name,
            "data": origin["data"],
            "split": f"seed {origin['split_seed']}",
            "metric": "accuracy",
            "method": origin["recipe"],
            "budget": metrics["macs"],
            "seed": origin["seed"],
            "shape": f"{len(test['usage'])} x {origin['task']}",
            "test": {
                "float": test["accuracy"], "union": test["union"], "usage": test["usage"],
                "classifier": test["classifier"], "macs": metrics["macs"],
            },
            "worst_macs": metrics["macs"],
            "arena_bytes": 0,
            "flash_bytes": 0,
            "curve": [(i + 1, h["loss"]) for i, h in enumerate(history) if "loss" in h],
        }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise DitmosError(f"{folder}/metrics.json: {error} missing, expected what ditmos train writes") from None
    exported = folder / "model.json"
    if exported.is_file():
        figures_ = read_json(exported)
        row["test"]["int8"] = figures_["test"]["integer"]["accuracy"]
        row["arena_bytes"], row["flash_bytes"] = figures_["arena_bytes"], figures_["model_bytes"]
    return row


def page(rows: Sequence[Mapping[str, Any]], title: str = "DiTMoS results") -> str:
    """The whole page."""
    entries = summarise(rows)
    parts = [f"<h1>{escape(title)}</h1>", _introduction(rows)]
    for data in sorted({row["data"] for row in rows}):
        here = [row for row in rows if row["data"] == data]
        parts.append(f"<h2>{escape(data)}</h2>")
        parts += [table.html(3) for table in tables(entries, rows, data)]
        parts += [_image(figure, name) for name, figure in _plots(entries, here, data)]
    body = "\n".join(parts)
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _introduction(rows: Sequence[Mapping[str, Any]]) -> str:
    seeds = sorted({row["seed"] for row in rows})
    return (
        f"<p>{len(rows)} trainings, seeds {', '.join(map(str, seeds))}. Mean and standard deviation over seeds on test "
        "windows; int8 is what the reference integers give, which is what the device gives, byte for byte. MACs are "
        "the mean per inference, where an early exit makes it vary. Shaded: DiTMoS.</p>"
    )


def _plots(
    entries: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], data: str
) -> Iterable[tuple[str, Figure]]:
    if integers(e for e in entries if e["data"] == data):
        yield "value against MACs", figures.cost(entries, data, "macs", "MACs per inference (mean)")
        yield "value against RAM", figures.cost(entries, data, "arena_bytes", "arena (bytes)")
    measured = [e for e in entries if e["data"] == data and "instructions" in e and "feature_macs" not in e]
    if measured:
        yield "value against instructions", figures.cost(measured, data, "instructions", "instructions (mean)")
    routed = [row for row in rows if len(row["test"]["usage"]) > 1 and ours(row["method"])]
    if routed:
        yield "routed against union", figures.union([e for e in entries if ours(e["method"])], data)
        best = max(routed, key=lambda row: (row["method"] == OURS, row.get("validation", {}).get("int8", 0)))
        keys = ("method", "budget", "shape")
        same = [row for row in routed if all(row[key] == best[key] for key in keys)]
        yield "routing", figures.routing(same, f"{data}: {best['method']}, {best['budget']:,} MACs")
        if "confusion" in best:
            yield "confusion", figures.confusion(best, f"{data}: {best['method']}, seed {best['seed']}")
    for budget in sorted({row["budget"] for row in rows}):
        learned = [row for row in rows if row["budget"] == budget and row.get("curve")]
        if learned:
            yield "curves", figures.curves(learned, f"{data}, {budget:,} MACs")


def _image(figure: Figure, name: str) -> str:
    return f"<img alt='{escape(name)}' src='data:image/png;base64,{base64.b64encode(figures.png(figure)).decode()}'>"
