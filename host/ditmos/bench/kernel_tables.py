"""Benchmark figures as tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_kernels(console: Console, figures: dict[str, Any]) -> None:
    """What `ditmos bench kernels` has measured."""
    reference = figures["reference"]
    fastest = reference["fastest"]
    console.print(slices_table(f"reference network, fastest plan, {fastest['arena_bytes']} bytes", fastest["slices"]))
    for model in figures["models"]:
        title = f"{model['model']}, plan {model['plan']}, {model['arena_bytes']} bytes"
        console.print(slices_table(title, model["slices"]))
    networks = Table(
        "network", "MACs", "arena bytes", "instructions", "est. cycles", "CMSIS-NN", "est. cycles",
        title="networks, selector and one classifier, fastest plan", box=None, title_style="bold",
    )  # fmt: skip
    for row in figures["networks"]:
        keys = ("macs", "arena_bytes", "instructions", "cycles", "peer_instructions", "peer_cycles")
        networks.add_row(row["name"], *(_number(row[key]) for key in keys))
    console.print(networks)
    shapes = Table(
        "convolution", "MACs", "instructions", "per MAC", "CMSIS-NN", "times", "est. cycles",
        title="single convolutions, with the engine", box=None, title_style="bold",
    )  # fmt: skip
    for row in figures["shapes"]:
        keys = ("macs", "instructions", "instructions_per_mac", "peer", "times", "cycles")
        shapes.add_row(row["name"], *(_number(row[key]) for key in keys))
    console.print(shapes)
    console.print(figures["peers"], style="dim", highlight=False)
    front = Table(
        "plan",
        "arena bytes",
        "instructions",
        "est. cycles",
        title="reference network, plans",
        box=None,
        title_style="bold",
    )
    for point in [*reference["front"], reference["unsliced"] | {"name": "unsliced"}]:
        front.add_row(point["name"], *(_number(point[key]) for key in ("arena_bytes", "instructions", "cycles")))
    console.print(front)
    cores = ", ".join(f"{core} {count:,}" for core, count in reference["other_cores"].items())
    console.print(f"the fastest plan on other cores, instructions: {cores}", highlight=False)
    python = figures["python"]
    parts = ", ".join(f"{name} {python[name]:,}" for name in ("select", "classify", "top1"))
    console.print(f"MicroPython, instructions: {parts}; C work of them {python['c_work']:,}", highlight=False)
    bars = Table("", "value", "bar", "", title="bars", box=None, title_style="bold")
    for row in figures["rows"]:
        value = "not measured" if row["value"] is None else f"{row['value']:,}"
        met = row["value"] is not None and row["value"] <= row["bar"]
        bars.add_row(row["name"], value, f"{row['bar']:,}", "[green]met[/]" if met else "[bold red]NOT MET[/]")
    console.print(bars)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def slices_table(title: str, slices: list[dict[str, Any]]) -> Table:
    """One line per slice, and their sum."""
    names = {
        "macs": "MACs",
        "instructions": "instructions",
        "instructions_per_mac": "per MAC",
        "portable_instructions": "portable C",
        "loads": "loads",
        "bytes_loaded": "bytes",
        "cycles": "est. cycles",
    }
    columns = [key for key in names if key in slices[-1]]
    table = Table("slice", *(names[key] for key in columns), title=title, box=None, title_style="bold")
    for row in slices:
        table.add_row(row["slice"], *("" if row[key] is None else f"{row[key]:,}" for key in columns))
    total = {key: sum(row[key] or 0 for row in slices) for key in columns}
    if total.get("macs"):
        total["instructions_per_mac"] = round(total["instructions"] / total["macs"], 3)
    table.add_row("total", *(f"{total[key]:,}" for key in columns), style="bold")
    return table
