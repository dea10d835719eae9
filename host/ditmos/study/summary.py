"""From rows to entries: mean and spread over seeds, the best rival, the Pareto front."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Entry = Mapping[str, Any]

OURS = "best"
RIVALS = ("wide", "ensemble", "exit", "tiny", "forest", "mlp", "linear", "forest-alone")
# METHOD's recipe has a rival of its own: the shape of the paper's baseline at the same cost.
BASES = {"paper": "paper baseline"}
NAMES = (*RIVALS, *BASES.values())  # of what does not route
_LIMITS = {"macs": "MACs", "instructions": "instructions", "worst": "instructions at worst"}


def ours(method: str) -> bool:
    """Whether a method routes."""
    return method not in NAMES


def base_of(method: str) -> str | None:
    """Of "paper, no split" or "best, one classifier" what stands before the comma; None of a whole method."""
    base, comma, rest = method.partition(", ")
    return base if comma and rest else None


def budget_of(row: Row) -> tuple[float, str]:
    """The budget of a row, to sort by and in words."""
    limits = [(float(row["budget"][key]), name) for key, name in _LIMITS.items() if row["budget"].get(key)]
    if not limits:
        return 0.0, "no limit"
    return limits[0][0], ", ".join(f"{limit / 1000:,.0f} k {name}" for limit, name in limits)


def _routing(name: str) -> Callable[[Row], float | None]:
    return lambda row: (row["test"].get("routing") or {}).get(name)


def _routed(row: Row) -> float | None:
    known = row["test"].get("routing")
    return known["union"] * known["selector"] if known else None


_FIGURES: dict[str, Callable[[Row], float | None]] = {
    "int8": lambda row: row["int8"],
    "float": lambda row: None if "forest" in row else row["float"],  # of a forest: the forest alone
    "union": lambda row: row["test"].get("union"),
    "routed": _routed,
    **{name: _routing(name) for name in ("selector", "target", "overlap")},
}


def _instructions(row: Row) -> float | None:
    """Counted on the simulated board, or else the planner's estimate."""
    board = row.get("board")
    return board["instructions"] if isinstance(board, dict) else row.get("instructions")


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per data, budget, method and shape; what `ditmos report --json` writes.

    Of test windows, each as mean and sd over seeds (that of the sample, 0 for one): int8 and float (accuracy, or mean
    recall where ``metric`` is balanced), and for routed networks, in float and without early exits, union, routed and
    the fractions of `training.routing_figures`. macs, instructions: the mean. feature_macs: of them, for features made
    by hand, which instructions leave out.
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["data"], *budget_of(row), row["method"], row["shape"]].append(row)
    entries = []
    for (data, limit, budget, method, shape), found in sorted(groups.items()):
        first = found[0]
        entry = {
            "data": data,
            "split": first["split"],
            "metric": first["metric"],
            "method": method,
            "budget": budget,
            "limit": limit,
            "shape": shape,
            "seeds": sorted(row["seed"] for row in found),
            "macs": round(statistics.fmean(row["macs"] for row in found)),
            "worst_macs": first["worst_macs"],
            "arena_bytes": first["arena_bytes"],
            "flash_bytes": first["flash_bytes"],
        }
        counted = [n for row in found if (n := _instructions(row)) is not None]
        if len(counted) == len(found):
            entry["instructions"] = round(statistics.fmean(counted))
        for key in ("worst_instructions", "feature_macs"):
            if key in first:
                entry[key] = first[key]
        for name, of in _FIGURES.items():
            values = [value for row in found if (value := of(row)) is not None]
            if values:
                sd = statistics.stdev(values) if len(values) > 1 else 0.0
                entry[name] = {"mean": round(statistics.fmean(values), 4), "sd": round(sd, 4)}
        entries.append(entry)
    return entries


def best_rival(entries: Iterable[Entry], data: str, budget: str) -> Entry | None:
    """The rival with the highest int8 mean on this data and budget."""
    return best_of([e for e in entries if (e["data"], e["budget"]) == (data, budget)], RIVALS)


def best_of(entries: Iterable[Entry], methods: Sequence[str]) -> Entry | None:
    """The entry of one of these methods with the highest int8 mean."""
    return max((e for e in entries if e["method"] in methods), key=lambda e: e["int8"]["mean"], default=None)


def pareto(entries: Iterable[Entry], cost: str) -> list[Entry]:
    """Entries that no other one beats in int8 at the same or a lower ``cost``, cheapest first."""
    front: list[Entry] = []
    for entry in sorted(entries, key=lambda e: (e[cost], -e["int8"]["mean"])):
        if not front or entry["int8"]["mean"] > front[-1]["int8"]["mean"]:
            front.append(entry)
    return front
