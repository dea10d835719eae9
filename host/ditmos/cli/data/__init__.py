"""`ditmos data`: import recordings, look at a dataset, split one, make a synthetic one, put windows on a board."""

from __future__ import annotations

import typer

from ditmos.cli.data.importing import import_
from ditmos.cli.data.info import info
from ditmos.cli.data.make import split, synth
from ditmos.cli.data.windows import windows


def add(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Import, look at, split or make datasets (.npz).")
    group.command("import")(import_)
    group.command()(info)
    group.command()(split)
    group.command()(synth)
    group.command()(windows)
    app.add_typer(group, name="data")
