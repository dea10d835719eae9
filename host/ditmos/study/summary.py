"""From rows to entries: mean and spread over seeds and splits, what one method is better by than another on the same
windows, the best rival, the Pareto front."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ditmos.study.pairs import paired, pooled, same_windows
from ditmos.training.predictions import Predictions

Row = Mapping[str, Any]
Entry = Mapping[str, Any]

OURS = "best"
RIVALS = (
    "wide", "ensemble", "separable", "exit", "tiny", "forest", "mlp", "linear", "forest-alone", "forest first, exit",
    "forest first, wide",
)  # fmt: skip
# METHOD's recipe has a rival of its own: the shape of the paper's baseline at the same cost.
BASES = {"paper": "paper baseline"}
NAMES = (*RIVALS, *BASES.values())  # of what does not route
_FIRST = "forest first"  # and behind the comma what it asks
_LIMITS = {"macs": "MACs", "instructions": "instructions", "worst": "instructions at worst"}


def ours(method: str) -> bool:
    """Whether a method routes."""
    return method not in NAMES


def base_of(method: str) -> str | None:
    """Of "paper, no split" or "best, one classifier" what stands before the comma; None of a whole method, as "forest
    first, best" is one."""
    base, comma, rest = method.partition(", ")
    return base if comma and rest and base != _FIRST else None


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


_COSTS: dict[str, Callable[[Sequence[float]], float]] = {
    "instructions": statistics.fmean, "p95_instructions": max, "worst_instructions": max,
}  # fmt: skip
_FIGURES: dict[str, Callable[[Row], float | None]] = {
    "int8": lambda row: row["int8"],
    "float": lambda row: None if "forest" in row else row["float"],  # of a forest: the forest alone
    "union": lambda row: row["test"].get("union"),
    "routed": _routed,
    **{name: _routing(name) for name in ("selector", "target", "overlap")},
}


def _instructions(row: Row, which: str) -> float | None:
    """Counted on the simulated board, or else the planner's estimate."""
    board = row.get("board")
    return board.get(which) if isinstance(board, dict) and "instructions" in board else row.get(which)


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per data, budget, method and shape; of data with several splits, where every one has its own shape, per
    data, budget and method. What `ditmos report --json` writes.

    Of test windows, each as mean and sd over trainings (that of the sample, 0 for one): int8 and float (accuracy, or
    mean recall where ``metric`` is balanced), and for routed networks, in float and without early exits, union, routed
    and the fractions of `training.routing_figures`. macs, instructions: the mean over windows; p95_instructions: what
    95 % of them keep to; those and worst_instructions, worst_macs: the largest of all trainings, a forest's votes at
    their mean. feature_macs: of the MACs, for features made by hand, which instructions leave out. interval: 95 % of
    int8 over all windows together, people drawn anew, if there are enough. against: of a method that routes, what it
    is better by than each other one of the budget, on the trainings that both have on the same windows
    (`ditmos.study.pairs`).
    """
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        shape = "" if "split_seed" in row else row["shape"]
        groups[row["data"], *budget_of(row), row["method"], shape].append(row)
    entries = []
    for (data, limit, budget, method, _), found in sorted(groups.items()):
        first, shapes = found[0], len({row["shape"] for row in found})
        entry = {
            "data": data,
            "split": first["split"],
            "metric": first["metric"],
            "method": method,
            "budget": budget,
            "limit": limit,
            "shape": first["shape"] if shapes == 1 else f"number of shapes: {shapes}",
            "seeds": sorted({row["seed"] for row in found}),
            "trainings": len(found),
            "macs": round(statistics.fmean(row["macs"] for row in found)),
            **{key: max(row[key] for row in found) for key in ("worst_macs", "arena_bytes", "flash_bytes")},
        }
        for key, over in _COSTS.items():
            counted = [n for row in found if (n := _instructions(row, key)) is not None]
            if len(counted) == len(found):
                entry[key] = round(over(counted))
        if "feature_macs" in first:
            entry["feature_macs"] = first["feature_macs"]
        if splits := sorted({row["split_seed"] for row in found if "split_seed" in row}):
            entry["splits"] = splits
        for name, of in _FIGURES.items():
            values = [value for row in found if (value := of(row)) is not None]
            if values:
                sd = statistics.stdev(values) if len(values) > 1 else 0.0
                entry[name] = {"mean": round(statistics.fmean(values), 4), "sd": round(sd, 4)}
        said = [row["predictions"] for row in found if "predictions" in row]
        if said and len(said) == len(found) and (interval := pooled(said, balanced=balanced(first))):
            entry["interval"] = [round(part, 4) for part in interval]
        if against := _against(method, found, groups, (data, limit, budget)):
            entry["against"] = against
        entries.append(entry)
    return entries


def _against(
    method: str, rows: Sequence[Row], groups: Mapping[tuple[Any, ...], Sequence[Row]], where: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """What a method that routes is better by than each other one of the budget, the strongest rivals first."""
    if not ours(method) or base_of(method) is not None:
        return []
    own, found = trainings(rows), []
    for (*at, name, _), others in groups.items():
        other = trainings(others)
        common = [training for training in own if training in other and same_windows(own[training], other[training])]
        if tuple(at) != where or name == method or not common:
            continue
        pair = paired([own[t] for t in common], [other[t] for t in common], balanced=balanced(rows[0]))
        figures = {key: round(value, 2) if isinstance(value, float) else value for key, value in asdict(pair).items()}
        found.append({"method": name, **figures, "trainings": len(common)})
    return sorted(found, key=lambda one: one["points"])


def balanced(row: Row) -> bool:
    return bool(row["metric"] == "balanced")


def training_of(row: Row) -> tuple[int, int]:
    """Seeds of split and training: what two methods are compared on."""
    return row.get("split_seed", 0), row["seed"]


def training_named(row: Row) -> str:
    """The same for people."""
    return f"split {row['split_seed']}, seed {row['seed']}" if "split_seed" in row else f"seed {row['seed']}"


def trainings(rows: Iterable[Row]) -> dict[tuple[int, int], Predictions]:
    """What is known of the answers of each."""
    return {training_of(row): row["predictions"] for row in rows if "predictions" in row}


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
