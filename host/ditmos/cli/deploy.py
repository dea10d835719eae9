"""`ditmos deploy`: a model onto a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ditmos.link.deploy import Place


def add(app: typer.Typer) -> None:
    app.command()(deploy)


def deploy(
    model: Annotated[Path, typer.Argument(help="model file (.dtm)")],
    port: Annotated[
        str | None, typer.Option(help="serial device or socket://HOST:PORT", show_default="the one board")
    ] = None,
    to: Annotated[
        Place | None,
        typer.Option(help="rom, flash or ram", show_default="flash if it fits in RAM when loaded, else rom"),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="where ROM has no room for both: erase files there, and the old model")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            help="FILE.py, FILE.py:name, or one of routing.py, to answer from now on",
            show_default="the one that the model's file names",
        ),
    ] = None,
) -> None:
    """Put MODEL on a board; the old model works until the new one is whole."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from ditmos.link.board import Board
    from ditmos.link.deploy import deploy as deploy_model
    from ditmos.model.policy import parse_policy

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        Board(port) as board,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task(model.name, total=None)
        done = deploy_model(
            board,
            model,
            to,
            replace=replace,
            policy=parse_policy(policy) if policy else None,
            progress=lambda sent, total: bar.update(task, completed=sent, total=total),
        )
    where = done.path or "RAM, until the next reset"
    print(f"{model}: {done.bytes} bytes in {where}, CRC {done.crc:08x} as the board computed it")
