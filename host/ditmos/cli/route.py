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
        list[str] | None,
        typer.Argument(help="FILE.py, FILE.py:name, FILE.py:make(3), or one of routing.py: fallback(8)."),
    ] = None,
    model: Annotated[Path, typer.Option(help="Model file (.dtm).")] = ...,  # type: ignore[assignment]
    data: Annotated[Path, typer.Option(help="Dataset (.npz).")] = ...,  # type: ignore[assignment]
    part: Annotated[str, typer.Option(help="train, validation, test, or all.")] = "validation",
    slices: Annotated[
        Path | None, typer.Option(help="What `ditmos verify --json` measured: cost of each slice.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Accuracy and cost of routing policies, each beside the model's own."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from ditmos.atomic import write_json
    from ditmos.bench.route import (
        Costs,
        Logits,
        class_numbers,
        decide,
        learned,
        of_strangers,
        part_of,
        quantized_windows,
        report,
        window_rows,
    )
    from ditmos.datasets import load
    from ditmos.model.policy import own_policy, parse_policy
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model

    parsed = [parse_policy(text) for text in policies or ()]
    dataset = load(data)
    quantized, plan = read_model(model)
    reference = Model(quantized)
    for policy in parsed if plan.once else ():
        policy.check_once(reference.classifiers, reference.routes)
    index = part_of(dataset, part)
    windows = quantized_windows(reference, dataset, index)
    logits = Logits.of(reference, windows, window_rows(reference, dataset, index))
    numbers, notes = class_numbers(reference, dataset)
    notes = (*notes, *learned(reference, part))
    if of_strangers(reference, dataset):
        notes = (
            *notes,
            "the model is not calibrated to these people: it is as right as of strangers (docs/training.md)",
        )
    for note in notes:
        typer.echo(note, err=True)
    y = numbers[np.asarray(dataset.y[index])]
    costs = (Costs.of_macs(reference), Costs.planned(reference, plan), *((Costs.measured(slices),) if slices else ()))
    console = Console(stderr=True)
    own = own_policy(reference.model)
    base = decide(own, reference, windows, logits)
    reports = [report(f"{own.text} (its own)", base, base, y, costs)]
    for policy in track(parsed, "policies", console=console, transient=True, disable=not console.is_terminal):
        found = decide(policy, reference, windows, logits)
        if plan.once:
            found.check_once(policy)
        reports.append(report(policy.text, found, base, y, costs))
    _print(reports, part, dataset.name)
    if json_file:
        write_json(
            json_file,
            {"model": str(model), "data": dataset.name, "part": part, "policies": [asdict(r) for r in reports]},
        )


def _print(reports: list[Figures], part: str, name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{reports[0].windows} windows of {name} ({part}); costs are means of a window"
    table = Table(title=title, box=None, pad_edge=False)
    table.add_column("policy", overflow="fold", min_width=max(len(row.policy) for row in reports[1:] or reports))
    abstained = ("abstained",) if any(row.abstained for row in reports) else ()
    for unit in ("accuracy", *abstained, "extra\nruns", *(unit.replace(" (", "\n(") for unit in reports[0].costs)):
        table.add_column(unit, justify="right", no_wrap=True)
    for name in ("gained", "lost"):  # windows, against the model's own policy
        table.add_column(name, justify="right")
    for row in reports:
        (_, lost), (gained, _) = row.confusion
        table.add_row(
            row.policy,
            f"{row.accuracy:.4f}",
            *(str(row.abstained) for _ in abstained),
            f"{row.extra_runs:.3f}",
            *(f"{cost:,.0f}" for cost in row.costs.values()),
            str(gained),
            str(lost),
        )
    Console(markup=False).print(table)
