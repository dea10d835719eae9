"""One self-contained HTML page of results: tables and plots, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ditmos.errors import DitmosError
from ditmos.jsonfile import read_json
from ditmos.study import figures
from ditmos.study.summary import OURS, RIVALS, best_of, best_rival, integers, summarise
from ditmos.study.sweep import results

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
            rows += results(folder)
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
        for budget in sorted({row["budget"] for row in here}):
            parts += [f"<h3>{budget:,} MACs</h3>", _table(entries, data, budget)]
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


def _table(entries: Sequence[Mapping[str, Any]], data: str, budget: int) -> str:
    found = [e for e in entries if (e["data"], e["budget"]) == (data, budget)]
    by_id: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for entry in found:
        by_id.setdefault((entry["method"], entry["shape"]), {})[entry["metric"].split()[0]] = entry
        if entry["metric"] == "float union":
            by_id[entry["method"], entry["shape"]]["union"] = entry
        elif entry["metric"].startswith("float"):
            by_id[entry["method"], entry["shape"]]["float"] = entry
    head = ("method", "int8", "float", "union", "MACs", "arena", "flash", "seeds", "network")
    lines = ["<table><tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>"]

    def value(entry: Mapping[str, Any] | None) -> str:
        return f"{entry['mean']:.4f} ± {entry['sd']:.4f}" if entry else ""

    for (method, shape), kinds in sorted(by_id.items(), key=lambda i: -next(iter(i[1].values()))["mean"]):
        some = next(iter(kinds.values()))
        cells = (
            method, value(kinds.get("int8")), value(kinds.get("float")), value(kinds.get("union")),
            f"{some['macs']:,}", f"{some['arena_bytes']:,}", f"{some['flash_bytes']:,}", f"{len(some['seeds'])}",
        )  # fmt: skip
        ours = "" if method in RIVALS else " class='ours'"
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr{ours}>{row}<td><code>{escape(shape)}</code></td></tr>")
    lines.append("</table>")
    rival = best_rival(entries, data, budget)
    ours = best_of(found, (OURS,))
    if rival and ours:
        points = 100 * (ours["mean"] - rival["mean"])
        lines.append(
            f"<p>{escape(ours['method'])} against the best rival, {escape(rival['method'])}: {points:+.2f} points.</p>"
        )
    return "\n".join(lines)


def _plots(
    entries: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], data: str
) -> Iterable[tuple[str, Figure]]:
    if integers(e for e in entries if e["data"] == data):
        yield "value against MACs", figures.cost(entries, data, "macs", "MACs per inference (mean)")
        yield "value against RAM", figures.cost(entries, data, "arena_bytes", "arena (bytes)")
    routed = [row for row in rows if len(row["test"]["usage"]) > 1 and row["method"] not in RIVALS]
    if routed:
        yield "routed against union", figures.union([e for e in entries if e["method"] not in RIVALS], data)
        best = max(routed, key=lambda row: row["test"].get("int8", row["test"]["float"]))
        same = [row for row in routed if (row["method"], row["shape"]) == (best["method"], best["shape"])]
        yield "routing", figures.routing(same, f"{data}: {best['method']}, {best['budget']:,} MACs")
        if "confusion" in best:
            yield "confusion", figures.confusion(best, f"{data}: {best['method']}, seed {best['seed']}")
    if any(row.get("curve") for row in rows):
        smallest = min(row["budget"] for row in rows)
        yield "curves", figures.curves([r for r in rows if r.get("curve") and r["budget"] == smallest], data)


def _image(figure: Figure, name: str) -> str:
    return f"<img alt='{escape(name)}' src='data:image/png;base64,{base64.b64encode(figures.png(figure)).decode()}'>"
