"""The tables of a report, in Markdown or HTML: results by budget, ablation, classifiers, the gap to the union; and of
one training what it scores on each class."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from statistics import fmean
from typing import Any

from ditmos.study.summary import (
    BASES,
    OURS,
    Entry,
    Row,
    base_of,
    best_of,
    best_rival,
    budget_of,
    ours,
    training_named,
    training_of,
)


@dataclass(frozen=True)
class Table:
    """``rows`` of text, one cell per column of ``head``; ``marked``: those that are DiTMoS. ``note`` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()
    note: str = ""

    def full(self) -> Table:
        """Without columns that say nothing."""
        return self.only([name for i, name in enumerate(self.head) if any(row[i] for row in self.rows)])

    def only(self, names: Collection[str]) -> Table:
        """With the columns of these names alone."""
        kept = [i for i, name in enumerate(self.head) if name in names]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, head=tuple(self.head[i] for i in kept), rows=rows)

    def markdown(self, level: int) -> str:
        lines = [f"{'#' * level} {self.title}", "", _line(self.head), "|---" * len(self.head) + "|"]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])

    def html(self, level: int) -> str:
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.head)
        lines = [f"<h{level}>{escape(self.title)}</h{level}>", f"<div class=scroll><table><tr>{head}</tr>"]
        for i, row in enumerate(self.rows):
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in row)
            lines.append(f"<tr{' class=ours' if i in self.marked else ''}>{cells}</tr>")
        return "\n".join([*lines, "</table></div>", *([f"<p>{escape(self.note)}</p>"] if self.note else [])])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def tables(entries: Sequence[Entry], rows: Sequence[Row], data: str) -> list[Table]:
    """All tables of one data set that have something to say."""
    here = [e for e in entries if e["data"] == data]
    own = [row for row in rows if row["data"] == data]
    found = [*overview(here), ablation(here, own), classifiers(own), gap(here, own)]
    return [table.full() for table in found if table.rows]


def overview(entries: Sequence[Entry]) -> list[Table]:
    """Of one data set: results and pairs of every budget."""
    budgets = dict.fromkeys(e["budget"] for e in entries)
    found = [made(entries, budget) for budget in budgets for made in (results, pairs)]
    return [table.full() for table in found if table.rows]


def results(entries: Sequence[Entry], budget: str) -> Table:
    """The best method first, and the lead over the best rival."""
    here = sorted((e for e in entries if e["budget"] == budget), key=lambda e: -e["int8"]["mean"])
    rows = tuple(
        (
            e["method"], _spread(e.get("int8")), _interval(e.get("interval")), _mean(e.get("float")),
            _mean(e.get("union")), f"{e['macs']:,}", _instructions(e), _count(e.get("p95_instructions")),
            _count(e.get("worst_instructions")), _count(e["arena_bytes"]), _count(e["flash_bytes"]),
            f"{len(e['splits'])}" if "splits" in e else "", f"{len(e['seeds'])}", e["shape"],
        )
        for e in here
    )  # fmt: skip
    head = (
        "method", "int8", "95 %", "float", "union", "MACs (mean)", "instructions", "95 % below", "worst", "arena B",
        "flash B", "splits", "seeds", "network",
    )  # fmt: skip
    kind = _kind(here[0])
    marked = frozenset(i for i, e in enumerate(here) if ours(e["method"]))
    return Table(f"{here[0]['data']}, {budget} ({kind})", head, rows, marked, _leads(here, budget))


def pairs(entries: Sequence[Entry], budget: str) -> Table:
    """What every method that routes is better by than each other one, on the same windows."""
    here = [e for e in entries if e["budget"] == budget and "against" in e]
    rows = tuple(
        (
            e["method"], other["method"], _points(other),
            f"{other['people']}", f"{other['better']}, {other['worse']}", f"{other['trainings']}",
        )
        for e in here
        for other in e["against"]
    )  # fmt: skip
    head = ("method", "against", "points [95 %]", "people", "better, worse for", "trainings of each")
    title = f"{here[0]['data']}, {budget}: pairs on the same windows ({_kind(here[0])})" if here else ""
    return Table(title, head, rows, note=_PAIRS)


_PAIRS = (
    "points: over all windows of these trainings together; in brackets 95 %, people drawn anew with all their windows "
    "(none of one or two people): where that holds 0, other people might say otherwise. better, worse for: people."
)


def _points(pair: Mapping[str, Any]) -> str:
    interval = "" if pair["low"] is None else f" [{pair['low']:.1f}, {pair['high']:.1f}]"
    return f"{pair['points']:+.1f}{interval}"


def _kind(entry: Entry) -> str:
    return "balanced accuracy" if entry["metric"] == "balanced" else "accuracy"


def _leads(entries: Sequence[Entry], budget: str) -> str:
    notes = []
    leads = [(best_of(entries, (OURS,)), best_rival(entries, entries[0]["data"], budget))]
    leads += [(best_of(entries, (method,)), best_of(entries, (base,))) for method, base in BASES.items()]
    for one, other in leads:
        if one and other:
            points = 100 * (one["int8"]["mean"] - other["int8"]["mean"])
            which = "the best rival, " if one["method"] == OURS else ""
            notes.append(f"{one['method']} against {which}{other['method']}: {points:+.2f} points.")
    if any(entry.get("feature_macs") for entry in entries):
        notes.append("+ F: features by hand are not counted in instructions; their multiply-adds are in the MACs.")
    return " ".join(notes)


def ablation(entries: Sequence[Entry], rows: Sequence[Row]) -> Table:
    """Each method with a part switched off ("paper, no split") below the method itself; ``points``: the difference on
    the trainings that both have."""
    found = {(budget_of(row)[1], row["method"], training_of(row)): row["int8"] for row in rows}

    def points(entry: Entry, base: str) -> str:
        budget, method = entry["budget"], entry["method"]
        common = [t for b, m, t in found if (b, m) == (budget, method) and (budget, base, t) in found]
        apart = [found[budget, method, training] - found[budget, base, training] for training in common]
        return f"{100 * fmean(apart):+.2f}" if apart else ""

    lines = []
    for whole in sorted(entries, key=lambda e: (e["limit"], e["method"])):
        same = [e for e in entries if e["budget"] == whole["budget"] and base_of(e["method"]) == whole["method"]]
        for entry in (whole, *sorted(same, key=lambda e: e["method"])) if same else ():
            lines.append(
                (
                    entry["method"], _spread(entry["int8"]), "" if entry is whole else points(entry, whole["method"]),
                    *(_mean(entry.get(name)) for name in ("union", "selector", "target", "overlap")),
                    f"{entry['macs']:,}", f"{entry['trainings']}",
                )
            )  # fmt: skip
    head = ("method", "int8", "points", "union", "selector", "target", "overlap", "MACs (mean)", "trainings")
    return Table("What each part is worth", head, tuple(lines), note=_ROUTING)


_ROUTING = (
    "points: on the trainings that both have. selector: how often it chooses a right classifier where there is one; "
    "target: how often the one with METHOD's highest score; overlap: share of the other classifiers that are right "
    "too, where at least one is."
)


def classifiers(rows: Sequence[Row]) -> Table:
    """Load and accuracy of every classifier of the first training of the routed methods."""
    lines: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in sorted(rows, key=lambda r: (r["method"], budget_of(r), *training_of(r))):
        known, which = row["test"].get("routing"), (row["method"], budget_of(row)[1])
        if not known or which in lines:
            continue
        order = sorted(range(len(known["load"])), key=lambda k: -known["load"][k])
        routed = known["routed_accuracy"]
        lines[which] = (
            *which, training_named(row),
            " ".join(f"{100 * known['load'][k]:.0f}" for k in order),
            " ".join(f"{100 * known['accuracy'][k]:.0f}" for k in order),
            " ".join("-" if routed[k] is None else f"{100 * routed[k]:.0f}" for k in order),
        )  # fmt: skip
    head = ("method", "budget", "training", "load", "accuracy, all windows", "accuracy, own windows")
    return Table("Classifiers, in %, the most used first", head, tuple(lines.values()))


def gap(entries: Sequence[Entry], rows: Sequence[Row]) -> Table:
    """What the selector leaves of the union. Below, the other ceiling: the teachers."""
    lines = tuple(
        (
            e["method"], e["budget"], _mean(e["routed"]), _mean(e["union"]),
            f"{100 * (e['union']['mean'] - e['routed']['mean']):.2f}",
        )
        for e in sorted(entries, key=lambda e: (e["limit"], e["method"]))
        if "routed" in e and base_of(e["method"]) is None
    )  # fmt: skip
    head = ("method", "budget", "routed", "union", "gap, points")
    teachers = sorted({row["teachers"]["validation"] for row in rows if "validation" in row.get("teachers", {})})
    strong = ", ".join(f"{value:.4f}" for value in teachers)
    note = "Accuracy in float, early exits left aside."
    note += f" The teachers, strong networks without a budget, on validation (float): {strong}." if strong else ""
    return Table("Routed against union", head, lines, note=note)


def classes(row: Row) -> Table:
    """What one training scores on every class, and what that is taken for most often."""
    lines = []
    for i, entry in enumerate(row.get("per_class", ())):
        others = [(count, name) for j, (count, name) in enumerate(
            zip(row["confusion"][i], row["class_names"], strict=True)) if j != i]  # fmt: skip
        count, name = max(others, default=(0, ""))
        lines.append(
            (entry["name"], f"{entry['windows']}", _share(entry["recall"]), _share(entry["precision"]),
             f"{name} ({count})" if count else "")
        )  # fmt: skip
    head = ("class", "windows", "recall", "precision", "most often taken for")
    return Table(f"Classes: {row['method']}, {budget_of(row)[1]}, {training_named(row)}", head, tuple(lines)).full()


def answerers(row: Row) -> Table:
    """Who answers windows of which class: of each, the classes that it answers most."""
    total = max(sum(sum(counts) for _, counts in row.get("answered_by", ())), 1)
    lines = []
    for who, counts in row.get("answered_by", ()):
        order = sorted(range(len(counts)), key=lambda c: -counts[c])[:4]
        named = ", ".join(f"{row['class_names'][c]} ({counts[c]})" for c in order if counts[c])
        lines.append((who, f"{100 * sum(counts) / total:.1f} %", named))
    return Table("Who answers what", ("who", "windows", "classes, the most first"), tuple(lines)).full()


def _mean(figure: Mapping[str, Any] | None) -> str:
    return f"{figure['mean']:.4f}" if figure else ""


def _spread(figure: Mapping[str, Any] | None) -> str:
    spread = f" ± {figure['sd']:.4f}" if figure and figure["sd"] else ""  # of one training there is none
    return _mean(figure) + spread


def _interval(found: Sequence[float] | None) -> str:
    return f"{found[0]:.3f} to {found[1]:.3f}" if found else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _count(value: float | None) -> str:
    return "" if not value else f"{value:,}"


def _instructions(entry: Entry) -> str:
    return _count(entry.get("instructions")) + (" + F" if entry.get("feature_macs") and "instructions" in entry else "")


def markdown(entries: Sequence[Entry], rows: Sequence[Row]) -> str:
    """All tables of all data sets."""
    names = sorted({entry["data"] for entry in entries})
    return "\n".join(
        f"## {data}\n\n" + "\n".join(table.markdown(3) for table in tables(entries, rows, data)) for data in names
    )
