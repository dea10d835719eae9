"""`ditmos demo`: the whole path, from recordings to labels on the simulated board."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    data: Annotated[
        Path | None, typer.Option(help="Dataset (.npz); else sisfall.npz of DITMOS_DATA, else synthetic.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) for the training.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Train, build, and run a test set on the simulated board; what it made stays in build/demo.

    Without a checkout, in the folder demo of the user's cache (~/.cache/ditmos on Linux). The result is in result.json.
    """
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.demo import FOLDER, rows
    from ditmos.demo import demo as run_demo
    from ditmos.errors import DitmosError
    from ditmos.progress import Stages

    try:
        with ExitStack() as stack:
            stages = Stages()

            def report(what: str, done: int, count: int) -> None:
                if done == 1:  # not before: the steps until then show their own progress
                    stack.enter_context(stages)
                stages.report(what, done, count)

            result = run_demo(data, config, report)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None
    table = Table("", "", box=None, show_header=False)
    for row in rows(result):
        table.add_row(*row)
    Console(markup=False).print(table)
    typer.echo(f"{FOLDER}: rom with model and windows, result.json", err=True)
    if json_file:
        write_json(json_file, result)
    if result["mismatches"]:
        raise DitmosError(f"{result['mismatches']} of {result['windows']} windows differ from the reference")
