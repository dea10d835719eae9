"""The tables of a report, in Markdown or HTML: results by budget, ablation, classifiers, the gap to the union."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any

from ditmos.study.summary import BASES, OURS, base_of, best_of, best_rival, ours

Entries = Sequence[Mapping[str, Any]]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """``rows`` of text, one cell per column of ``head``; ``marked``: those that are DiTMoS. ``note`` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    note: str = ""

    def markdown(self, level: int) -> str:
        lines = [f"{'#' * level} {self.title}", "", _line(self.head), "|---" * len(self.head) + "|"]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])

    def html(self, level: int) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        lines = [f"<h{level}>{escape(self.title)}</h{level}>", f"<table><tr>{head}</tr>"]
        for i, row in enumerate(self.rows):
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
            lines.append(f"<tr{' class=ours' if i in self.marked else ''}>{cells}</tr>")
        return "\n".join([*lines, "</table>", *([f"<p>{escape(self.note)}</p>"] if self.note else [])])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tables(entries: Entries, rows: Rows, data: str) -> list[Table]:
    """All tables of one data set."""
    budgets = sorted({entry["budget"] for entry in entries if entry["data"] == data})
    found = [results(entries, data, budget) for budget in budgets]
    for table in (ablation(entries, rows, data), classifiers(rows, data), gap(entries, rows, data)):
        found += [table] if table.rows else []
    return found


def _by_method(entries: Entries) -> dict[tuple[int, str, str], dict[str, Mapping[str, Any]]]:
    """Budget, method and shape -> entry by metric, without the kind of accuracy."""
    found: dict[tuple[int, str, str], dict[str, Mapping[str, Any]]] = {}
    for entry in entries:
        metric = entry["metric"].removesuffix(" balanced accuracy").removesuffix(" accuracy")
        found.setdefault((entry["budget"], entry["method"], entry["shape"]), {})[metric] = entry
    return found


def _first(kinds: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return kinds.get("int8") or kinds["float"]


def results(entries: Entries, data: str, budget: int) -> Table:
    """The best method first, and the lead over the best rival."""
    here = [e for e in entries if (e["data"], e["budget"]) == (data, budget)]
    by_method = sorted(_by_method(here).values(), key=lambda kinds: -_first(kinds)["mean"])
    kind = "balanced accuracy" if "balanced" in here[0]["metric"] else "accuracy"
    rows = tuple(
        (
            entry["method"], _spread(kinds.get("int8")), _mean(kinds.get("float")), _mean(kinds.get("float union")),
            f"{entry['macs']:,}", _instructions(entry), f"{entry['arena_bytes']:,}", f"{entry['flash_bytes']:,}",
            f"{len(entry['seeds'])}", entry["shape"],
        )
        for kinds in by_method
        for entry in [_first(kinds)]
    )  # fmt: skip
    head = ("method", "int8", "float", "union", "MACs (mean)", "instructions", "arena B", "flash B", "seeds", "network")
    marked = frozenset(i for i, kinds in enumerate(by_method) if ours(_first(kinds)["method"]))
    return Table(f"{data}, {budget // 1000} k MACs ({kind})", head, rows, marked, _leads(here, data, budget))


def _leads(entries: Entries, data: str, budget: int) -> str:
    notes = []
    pairs = [(best_of(entries, (OURS,)), best_rival(entries, data, budget))]
    pairs += [(best_of(entries, (method,)), best_of(entries, (base,))) for method, base in BASES.items()]
    for one, other in pairs:
        if one and other:
            points = 100 * (one["mean"] - other["mean"])
            which = "the best rival, " if one["method"] == OURS else ""
            notes.append(f"{one['method']} against {which}{other['method']}: {points:+.2f} points.")
    if any(entry.get("instructions") and entry.get("feature_macs") for entry in entries):
        notes.append("+ F: features by hand are not counted in instructions; their multiply-adds are in the MACs.")
    return " ".join(notes)


def ablation(entries: Entries, rows: Rows, data: str) -> Table:
    """Each method with a part switched off ("paper, no split") below the method itself; ``points``: the difference on
    the seeds that both have."""
    by_seed = {
        (row["budget"], row["method"], row["seed"]): row["test"].get("int8", row["test"].get("float"))
        for row in rows
        if row["data"] == data
    }

    def points(budget: int, method: str, base: str) -> str:
        seeds = [s for b, m, s in by_seed if (b, m) == (budget, method) and (budget, base, s) in by_seed]
        apart = [by_seed[budget, method, seed] - by_seed[budget, base, seed] for seed in seeds]
        return f"{100 * fmean(apart):+.2f}" if apart else ""

    lines = []
    by_method = _by_method([e for e in entries if e["data"] == data])
    for (budget, base, _), whole in sorted(by_method.items(), key=lambda item: item[0]):
        parts = [
            kinds
            for (other, method, _), kinds in sorted(by_method.items(), key=lambda item: item[0])
            if other == budget and base_of(method) == base
        ]
        if not parts:
            continue
        for kinds in (whole, *parts):
            entry = _first(kinds)
            lines.append(
                (
                    entry["method"], _spread(entry), "" if kinds is whole else points(budget, entry["method"], base),
                    *(_mean(kinds.get(f"float {name}")) for name in ("union", "selector", "target", "overlap")),
                    f"{entry['macs']:,}", f"{len(entry['seeds'])}",
                )
            )  # fmt: skip
    head = ("method", "int8", "points", "union", "selector", "target", "overlap", "MACs (mean)", "seeds")
    return Table(f"{data}: what each part is worth", head, tuple(lines), note=_ROUTING if lines else "")


_ROUTING = (
    "points: on the seeds that both have. selector: how often it chooses a right classifier where there is one; "
    "target: how often the one with METHOD's highest score; overlap: share of the other classifiers that are right "
    "too, where at least one is."
)


def classifiers(rows: Rows, data: str) -> Table:
    """Load and accuracy of every classifier of the first seed of the routed methods."""
    lines = []
    seen = set()
    for row in sorted((r for r in rows if r["data"] == data), key=lambda r: (r["method"], r["budget"], r["seed"])):
        known = row["test"].get("routing")
        if not known or (row["method"], row["budget"]) in seen:
            continue
        seen.add((row["method"], row["budget"]))
        order = sorted(range(len(known["load"])), key=lambda k: -known["load"][k])
        routed = known["routed_accuracy"]
        lines.append(
            (
                row["method"], f"{row['budget'] // 1000} k", f"{row['seed']}",
                " ".join(f"{100 * known['load'][k]:.0f}" for k in order),
                " ".join(f"{100 * known['accuracy'][k]:.0f}" for k in order),
                " ".join("-" if routed[k] is None else f"{100 * routed[k]:.0f}" for k in order),
            )
        )  # fmt: skip
    head = ("method", "MACs", "seed", "load", "accuracy, all windows", "accuracy, own windows")
    return Table(f"{data}: classifiers, in %, the most used first", head, tuple(lines))


def gap(entries: Entries, rows: Rows, data: str) -> Table:
    """What the selector leaves of the union, against what METHOD's recipe leaves on the same data. Below, the other
    ceiling: the teachers."""
    by_method = _by_method([e for e in entries if e["data"] == data])
    gaps = {
        key: kinds["float union"]["mean"] - kinds["float routed"]["mean"]
        for key, kinds in by_method.items()
        if "float routed" in kinds and base_of(key[1]) is None
    }
    paper = next((gaps[key] for key in sorted(gaps) if key[1] == "paper"), None)
    lines = tuple(
        (
            key[1], f"{key[0] // 1000} k", _mean(by_method[key]["float routed"]), _mean(by_method[key]["float union"]),
            f"{100 * left:.2f}", "" if not paper or key[1] == "paper" else f"{100 * (1 - left / paper):.0f} %",
        )
        for key, left in sorted(gaps.items())
    )  # fmt: skip
    head = ("method", "MACs", "routed (float)", "union", "gap, points", "of the gap of paper, closed")
    teachers = {r["teacher"]["test"] for r in rows if r["data"] == data and "test" in r.get("teacher", {})}
    strong = ", ".join(f"{value:.4f}" for value in sorted(teachers))
    note = f"The teachers, strong networks without a budget (float): {strong}." if strong else ""
    return Table(f"{data}: routed against union", head, lines, note=note)


def _mean(entry: Mapping[str, Any] | None) -> str:
    return f"{entry['mean']:.4f}" if entry else ""


def _spread(entry: Mapping[str, Any] | None) -> str:
    return f"{entry['mean']:.4f} ± {entry['sd']:.4f}" if entry else ""


def _instructions(entry: Mapping[str, Any]) -> str:
    if not entry.get("instructions"):
        return ""
    return f"{entry['instructions']:,}" + (" + F" if entry.get("feature_macs") else "")


def markdown(entries: Entries, rows: Rows) -> str:
    """All tables of all data sets."""
    names = sorted({entry["data"] for entry in entries})
    return "\n".join(table.markdown(3) for data in names for table in tables(entries, rows, data))
