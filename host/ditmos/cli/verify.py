"""`ditmos verify`: a board against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ditmos.link.verify import Verification


def add(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    model: Annotated[Path, typer.Argument(help="Model file (.dtm).")],
    port: Annotated[
        str | None, typer.Option(help="Serial device or socket://HOST:PORT.", show_default="the one board")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Windows of this dataset (.npz).", show_default="random ones")
    ] = None,
    part: Annotated[str, typer.Option(help="Of the dataset: train, validation, test or all.")] = "validation",
    count: Annotated[int, typer.Option(min=1, help="Windows at most.")] = 100,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Run windows on a board slice by slice and end to end; every byte must be the reference's."""
    from ditmos.atomic import write_json
    from ditmos.bench.route import some_windows
    from ditmos.datasets import load
    from ditmos.link.board import Board
    from ditmos.link.verify import verify as compare
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model
    from ditmos.progress import Stages

    reference = Model(read_model(model)[0])
    windows, samples = some_windows(reference, load(data) if data else None, part, count)
    with Board(port, soft_reset=False) as board, Stages(transient=True) as stages:
        report = compare(board, model, windows, samples=samples, progress=stages.report)
    _print(report)
    if json_file:
        write_json(json_file, report.to_dict())
    if not report.equal:
        raise typer.Exit(1)


def _print(report: Verification) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("slice", box=None)
    for name in ("bytes compared", "different", report.unit):
        table.add_column(name, justify="right")
    for row in [*([report.rows] if report.rows else []), *report.forest, *report.slices]:
        table.add_row(row.name, f"{row.bytes:,}", f"{row.differences:,}", f"{row.ticks:,}")
    console = Console(markup=False)
    console.print(table)
    console.print(
        f"end to end, {report.policy}: {report.windows} windows, {report.wrong_labels} other labels, "
        f"{report.wrong_logits} other logits"
    )
    console.print(f"first difference: {report.first}" if report.first else "equal, byte for byte", highlight=False)
