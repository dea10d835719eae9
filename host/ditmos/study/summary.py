"""Tables from the results of sweeps: mean and spread over seeds, the difference to the best rival, the Pareto front."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

OURS = "best"
RIVALS = ("wide", "ensemble", "exit", "tiny", "forest", "mlp")
# METHOD's recipe has a rival of its own: the shape of the paper's baseline at the same cost.
BASES = {"paper": "paper baseline"}

NAMES = (*RIVALS, *BASES.values(), "single", "single-distilled", "plain")  # of what does not route


def ours(method: str) -> bool:
    """Whether a method routes."""
    return method not in NAMES


def base_of(method: str) -> str | None:
    """Of "paper, no split" or "best, one classifier" what stands before the comma; None of a whole method."""
    base, comma, rest = method.partition(", ")
    return base if comma and rest else None


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per data, budget, method, shape and metric; what docs/results/summary.json holds.

    Metrics: int8 and float (accuracy, or mean recall where the data ask for it); for routed networks, float and
    without early exits: union, routed, and the fractions of `ditmos.study.routed.figures`. sd is that of the sample, 0
    for a single seed. macs, instructions: mean over test windows and seeds. feature_macs: of them, for features made by
    hand, which instructions leave out.
    """
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["data"], row["budget"], row["method"], row["shape"]].append(row)
    entries = []
    for (data, budget, method, shape), found in sorted(groups.items()):
        kind = "balanced accuracy" if found[0]["metric"] == "balanced" else "accuracy"
        common = {
            "data": data,
            "split": found[0]["split"],
            "method": method,
            "budget": budget,
            "shape": shape,
            "seeds": sorted(row["seed"] for row in found),
            "macs": round(statistics.fmean(row["test"]["macs"] for row in found)),
            "worst_macs": found[0]["worst_macs"],
            "arena_bytes": found[0]["arena_bytes"],
            "flash_bytes": found[0]["flash_bytes"],
        }
        boards = [row["board"]["instructions"] for row in found if isinstance(row.get("board"), dict)]
        if len(boards) == len(found):
            common["instructions"] = round(statistics.fmean(boards))
        if "feature_macs" in found[0]:
            common["feature_macs"] = found[0]["feature_macs"]
        for name, of in _metrics(kind).items():
            values = [value for row in found if (value := of(row["test"])) is not None]
            if values:
                entries.append(
                    {**common, "metric": name, "mean": round(statistics.fmean(values), 4), "sd": _sd(values)}
                )
    return entries


def _metrics(kind: str) -> dict[str, Callable[[Row], float | None]]:
    """How each metric is read from what a row says of the test windows."""

    def routing(name: str) -> Callable[[Row], float | None]:
        return lambda test: (test.get("routing") or {}).get(name)

    def routed(test: Row) -> float | None:
        known = test.get("routing")
        return known["union"] * known["selector"] if known else None

    return {
        f"int8 {kind}": lambda test: test.get("int8"),
        f"float {kind}": lambda test: test.get("float"),
        "float union": lambda test: test.get("union"),
        "float routed": routed,
        **{f"float {name}": routing(name) for name in ("selector", "target", "overlap")},
    }


def _sd(values: Sequence[float]) -> float:
    return round(statistics.stdev(values), 4) if len(values) > 1 else 0.0


def integers(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries with what the device would reach."""
    return [dict(entry) for entry in entries if entry["metric"].startswith("int8")]


def best_rival(entries: Iterable[Mapping[str, Any]], data: str, budget: int) -> dict[str, Any] | None:
    """The rival with the highest int8 mean on this data and budget."""
    return best_of([e for e in entries if e["data"] == data and e["budget"] == budget], RIVALS)


def best_of(entries: Iterable[Mapping[str, Any]], methods: Sequence[str]) -> dict[str, Any] | None:
    """The entry of one of these methods with the highest int8 mean."""
    return max((e for e in integers(entries) if e["method"] in methods), key=lambda e: e["mean"], default=None)


def pareto(entries: Iterable[Mapping[str, Any]], cost: str) -> list[dict[str, Any]]:
    """Entries that no other one beats in ``mean`` at the same or a lower ``cost``, cheapest first."""
    front: list[dict[str, Any]] = []
    for entry in sorted(entries, key=lambda e: (e[cost], -e["mean"])):
        if not front or entry["mean"] > front[-1]["mean"]:
            front.append(dict(entry))
    return front
