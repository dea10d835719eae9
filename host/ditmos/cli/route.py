"""`ditmos route`: compare routing policies over a whole set, on the host."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ditmos.bench.route import Figures


def add(app: typer.Typer) -> None:
    app.command()(route)


def route(
    policies: Annotated[
        list[str], typer.Argument(help="FILE.py, FILE.py:name, FILE.py:make(0.3), or one of routing.py: fallback(0.5)")
    ],
    model: Annotated[Path, typer.Option(help="model file (.dtm)")],
    data: Annotated[Path, typer.Option(help="dataset (.npz)")],
    part: Annotated[str, typer.Option(help="train, validation, test, or all")] = "validation",
    slices: Annotated[
        Path | None, typer.Option(help="what `ditmos verify --json` measured: cost of each slice")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the result to this file")] = None,
) -> None:
    """Accuracy and cost of routing policies, each beside top1."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from ditmos.atomic import write_json
    from ditmos.bench.route import Costs, decide, part_of, quantized_windows, report
    from ditmos.datasets import load
    from ditmos.model.policy import parse_policy
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model

    parsed = [parse_policy(text) for text in policies]
    dataset = load(data)
    reference = Model(read_model(model)[0])
    index = part_of(dataset, part)
    windows = quantized_windows(reference, dataset, index)
    y = np.asarray(dataset.y[index])
    costs = (Costs.of_macs(reference), *((Costs.measured(slices),) if slices else ()))
    console = Console(stderr=True)
    top1 = decide(parse_policy("top1"), reference, windows)
    reports = []
    for policy in track(parsed, "policies", console=console, transient=True, disable=not console.is_terminal):
        decisions = top1 if policy.text == "top1" else decide(policy, reference, windows)
        reports.append(report(policy.text, decisions, top1, y, costs))
    _print(reports, part, dataset.name)
    if json_file:
        write_json(
            json_file,
            {"model": str(model), "data": dataset.name, "part": part, "policies": [asdict(r) for r in reports]},
        )


def _print(reports: list[Figures], part: str, name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{reports[0].windows} windows of {name} ({part})", box=None)
    table.add_column("policy")
    for unit in ("accuracy", "abstained", "extra runs", *(f"{unit} / inference" for unit in reports[0].costs)):
        table.add_column(unit, justify="right")
    for name in ("gained", "lost"):  # windows, against top1
        table.add_column(name, justify="right")
    for row in reports:
        (_, lost), (gained, _) = row.confusion
        table.add_row(
            row.policy,
            f"{row.accuracy:.4f}",
            str(row.abstained),
            f"{row.extra_runs:.3f}",
            *(f"{cost:,.0f}" for cost in row.costs.values()),
            str(gained),
            str(lost),
        )
    Console().print(table)
