"""Tables from the results of sweeps: mean and spread over seeds, the difference to the best rival, the Pareto front."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

OURS = "best"
RIVALS = ("wide", "ensemble", "exit", "tiny", "forest", "mlp")


def summarise(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One entry per data, budget, method and metric; what docs/results/summary.json holds.

    Metrics: int8 and float (accuracy, or mean recall where the data ask for it), union (float; at least one classifier
    is right). sd is that of the sample, 0 for a single seed. macs: mean over test windows and seeds.
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
        for metric, name in (("int8", f"int8 {kind}"), ("float", f"float {kind}"), ("union", "float union")):
            values = [row["test"][metric] for row in found if row["test"].get(metric) is not None]
            if values:
                entries.append(
                    {**common, "metric": name, "mean": round(statistics.fmean(values), 4), "sd": _sd(values)}
                )
    return entries


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


def markdown(entries: Sequence[Mapping[str, Any]]) -> str:
    """A table per data set and budget, the best method first, with the lead over the best rival."""
    lines: list[str] = []
    unions = {_id(e): e for e in entries if e["metric"] == "float union"}
    floats = {_id(e): e for e in entries if e["metric"].startswith("float ") and e["metric"] != "float union"}
    for data, budget in sorted({(e["data"], e["budget"]) for e in entries}):
        found = [e for e in integers(entries) if (e["data"], e["budget"]) == (data, budget)]
        rival = best_rival(entries, data, budget)
        metric = found[0]["metric"].removeprefix("int8 ")
        lines += [
            f"### {data}, {budget // 1000} k MACs ({metric})",
            "",
            "| method | int8 | float | union | MACs (mean) | arena B | flash B | seeds | network |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for entry in sorted(found, key=lambda e: -e["mean"]):
            real, union = floats.get(_id(entry)), unions.get(_id(entry))
            lines.append(
                f"| {entry['method']} | {entry['mean']:.4f} ± {entry['sd']:.4f} | "
                f"{_mean(real)} | {_mean(union)} | "
                f"{entry['macs']:,} | {entry['arena_bytes']:,} | {entry['flash_bytes']:,} | {len(entry['seeds'])} | "
                f"`{entry['shape']}` |"
            )
        ours = best_of(found, (OURS,))
        if ours and rival:
            points = 100 * (ours["mean"] - rival["mean"])
            lines += ["", f"{ours['method']} against the best rival ({rival['method']}): {points:+.2f} points."]
        lines.append("")
    return "\n".join(lines)


def _id(entry: Mapping[str, Any]) -> tuple[str, int, str, str]:
    return entry["data"], entry["budget"], entry["method"], entry["shape"]


def _mean(entry: Mapping[str, Any] | None) -> str:
    return f"{entry['mean']:.4f}" if entry else ""
