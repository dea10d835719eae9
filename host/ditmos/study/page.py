"""One self-contained HTML page of results: tables and pictures, nothing loaded from anywhere; for a phone and in the
dark, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from ditmos.errors import DitmosError
from ditmos.study import pictures
from ditmos.study.counted import merged
from ditmos.study.summary import OURS, Entry, Row, budget_of, ours, summarise, training_named
from ditmos.study.sweep import results, with_predictions
from ditmos.study.tables import answerers, classes, tables
from ditmos.training.run import ROW, read_row

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --ours: #d9534f22 }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 1em auto; padding: 0 1em }
.scroll { overflow-x: auto; margin: 0.6em 0 1.2em } table { border-collapse: collapse; font-size: 13px }
td, th { padding: 3px 10px; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
white-space: nowrap } td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
tr.ours td { background: var(--ours) } .pictures { display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0; max-width: 100%; overflow-x: auto } .pictures svg { max-width: 100%; height: auto }
.pictures .large svg { max-width: none } summary { cursor: pointer; margin: 0.4em 0 }
"""


def gather(folders: Iterable[Path]) -> list[Row]:
    """Rows of trainings and of folders of them.

    Raises:
        DitmosError: a folder that is neither.
    """
    rows: list[Row] = []
    for folder in folders:
        if (folder / ROW).is_file():
            rows.append({"key": folder.name} | with_predictions(read_row(folder), folder))
        elif any(folder.glob(f"*/{ROW}")):
            rows += merged(folder, results(folder))
        else:
            raise DitmosError(f"{folder}: no {ROW} in it or in its folders, expected the folder of a training or sweep")
    return rows


def page(rows: Sequence[Row], title: str = "DiTMoS results") -> str:
    """The whole page."""
    entries = summarise(rows)
    parts = [f"<h1>{escape(title)}</h1>", _introduction(rows)]
    for data in sorted({row["data"] for row in rows}):
        here = [row for row in rows if row["data"] == data]
        parts.append(f"<h2>{escape(data)}</h2>")
        parts += [table.html(3) for table in tables(entries, rows, data)]
        best = _shown(here)
        parts += [table.html(3) for table in (classes(best), answerers(best)) if table.rows]
        parts.append(_drawn(_pictures([e for e in entries if e["data"] == data], here, data)))
        parts += [_folded(row) for row in _others(here, best)]
    body = "\n".join(parts)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _drawn(named: Iterable[tuple[str, Figure]]) -> str:
    """Pictures side by side. What does not fit a phone keeps its size there, and is moved to and fro."""
    figures = []
    for name, figure in named:
        size = " class='large' tabindex='0'" if figure.get_figwidth() > pictures.WIDTH else ""
        figures.append(f"<figure{size} role='img' aria-label='{escape(name)}'>{pictures.svg(figure)}</figure>")
    return f"<div class=pictures>{''.join(figures)}</div>"


def _folded(row: Row) -> str:
    """One training more, to be unfolded: its classes, who answers, its confusion."""
    shown = [table.html(3) for table in (classes(row), answerers(row)) if table.rows]
    if "confusion" in row:
        shown.append(_drawn([("confusion", pictures.confusion(row, f"{row['method']}, {training_named(row)}"))]))
    summary = f"Classes of {row['method']}, {budget_of(row)[1]}, {training_named(row)}"
    return f"<details><summary>{escape(summary)}</summary>{''.join(shown)}</details>"


def _introduction(rows: Sequence[Row]) -> str:
    seeds = sorted({row["seed"] for row in rows})
    splits = sorted({row["split_seed"] for row in rows if "split_seed" in row})
    drawn = f", splits {', '.join(map(str, splits))}" if splits else ""
    return (
        f"<p>{len(rows)} trainings, seeds {', '.join(map(str, seeds))}{drawn}. Mean and standard deviation over them "
        "on test windows; int8 is what the reference integers give, which is what the device gives, byte for byte. "
        "MACs and instructions are the mean per decision; instructions are counted on the simulated board where the "
        "sweep was taken there, else the planner's estimate. Shaded: DiTMoS.</p>"
    )


def _others(rows: Sequence[Row], best: Row) -> list[Row]:
    """Of every other method and budget the training that validation likes best, of those that tell their classes."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if "per_class" in row:
            groups.setdefault((row["method"], *budget_of(row)), []).append(row)
    found = [_shown(group) for _, group in sorted(groups.items())]
    return [row for row in found if row is not best]


def _shown(rows: Sequence[Row]) -> Row:
    """The training that is shown in detail: ours, by what validation says."""

    def key(row: Row) -> tuple[bool, bool, float]:
        return row["method"] == OURS, "per_class" in row, row.get("validation", {}).get("int8", 0)

    return max(rows, key=key)


_AXES = {
    "instructions": "instructions per decision (mean)",
    "macs": "MACs per decision (mean)",
    "flash_bytes": "model file (bytes of flash)",
    "arena_bytes": "arena (bytes)",
}


def against(entries: Sequence[Entry], data: str, axis: str) -> Figure | None:
    """What the methods score on that data against what they cost; None where one point would be no picture."""
    here = [entry for entry in entries if entry["data"] == data]
    if sum(bool(entry.get(axis)) for entry in here) < 2:
        return None
    return pictures.cost(here, data, axis, _AXES[axis])


def _pictures(entries: Sequence[Entry], rows: Sequence[Row], data: str) -> Iterator[tuple[str, Figure]]:
    for axis in _AXES:
        if (figure := against(entries, data, axis)) is not None:
            yield f"accuracy against {axis}", figure
    if any("routed" in entry for entry in entries):
        yield "routed against union", pictures.union(entries, data)
    best = _shown(rows)
    routed = [row for row in rows if len(row["test"].get("usage", ())) > 1 and ours(row["method"])]
    same = [row for row in routed if all(row[key] == best[key] for key in ("method", "budget", "shape"))]
    if same:
        yield "routing", pictures.routing(same, f"{data}: {best['method']}, {budget_of(best)[1]}")
    if "confusion" in best:
        yield "confusion", pictures.confusion(best, f"{data}: {best['method']}, {training_named(best)}")
    for budget, learned in pictures.of_budget(rows).items():
        yield "learning curves", pictures.curves(learned, f"{data}, {budget}")
