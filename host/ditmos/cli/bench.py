"""`ditmos bench`: how fast things are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    bench = typer.Typer(no_args_is_help=True, help="How fast things are on this machine.")
    app.add_typer(bench, name="bench")
    bench.command()(training)


def training(
    classes: Annotated[int, typer.Option(min=2)] = 34,
    classifiers: Annotated[int, typer.Option(min=2, max=64)] = 6,
    batch: Annotated[int, typer.Option(min=16)] = 512,
    repetitions: Annotated[int, typer.Option(min=1)] = 15,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """One step of the reference network (METHOD's widths, 151 x 3 windows): grouped, and looped as the authors do."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.jsonfile import write_json
    from ditmos.spec import reference_spec
    from ditmos.study.speed import measure

    rows = measure(reference_spec(classes, classifiers), batch=batch, repetitions=repetitions, threads=threads)
    table = Table("", "batch", "steps/s", "windows/s", "times", box=None)
    for row in rows:
        figures = (f"{row['batch']}", f"{row['steps_per_s']:.1f}", f"{row['windows_per_s']:.0f}")
        table.add_row(row["name"], *figures, f"{row['speedup']:.1f}")
    Console().print(table)
    if json_file:
        write_json(json_file, {"classifiers": classifiers, "threads": threads, "rows": rows})
