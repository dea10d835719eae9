"""`ditmos study`: a group; its commands are in modules of their own (`GROUPS`)."""

from __future__ import annotations

import typer


def add(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Who is better at a budget: sweeps, reports.")
    app.add_typer(group, name="study")
