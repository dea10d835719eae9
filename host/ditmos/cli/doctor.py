"""`ditmos doctor`: what is missing or old between a person and a running board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    port: Annotated[
        str | None, typer.Option(help="Serial device or socket://HOST:PORT.", show_default="the one board")
    ] = None,
    ask: Annotated[bool, typer.Option(help="Ask the board what it runs, which interrupts its program.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Say what is missing or old between you and a running board, and what to do about each.

    Ends with exit code 1 where something is there and of no use as it is; what is merely absent is only said.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.doctor import State, examine

    with Console(stderr=True).status("looking"):
        findings = list(examine(port, ask=ask))
    signs = {State.ok: "[green]ok[/]", State.absent: "[yellow]absent[/]", State.wrong: "[bold red]wrong[/]"}
    table = Table("", "", "found", "to do", box=None)
    for item in findings:
        table.add_row(signs[item.state], *map(escape, (item.what, item.found, item.do)))
    Console().print(table)
    if json_file:
        write_json(json_file, [item.to_dict() for item in findings])
    if any(item.state is State.wrong for item in findings):
        raise typer.Exit(1)
