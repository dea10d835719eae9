"""`ditmos deploy`: a model onto a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ditmos.errors import DitmosError
from ditmos.link.deploy import Place


def add(app: typer.Typer) -> None:
    app.command()(deploy)


def deploy(
    model: Annotated[Path, typer.Argument(help="Model file (.dtm).")],
    port: Annotated[
        str | None, typer.Option(help="Serial device or socket://HOST:PORT.", show_default="the one board")
    ] = None,
    to: Annotated[
        Place | None,
        typer.Option(help="rom, flash or ram.", show_default="flash if it fits in RAM when loaded, else rom"),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Where ROM has no room for both: erase files there, and the old model; with --run, another main.py.",
        ),
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(
            help="FILE.py, FILE.py:name, or one of routing.py, to answer from now on.",
            show_default="the one that the model's file names",
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Also put a main.py there that listens to a sensor without a host; start it.")
    ] = False,
    sensor: Annotated[str, typer.Option(help="Of --run: FILE.py:Name, or a driver in device/.")] = "Simulated",
    hop: Annotated[
        int | None,
        typer.Option(min=1, help="Of --run: rows of the model between windows.", show_default="4 of sound, else half"),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="Of --run: events(on=0.9, windows=4) and others of ditmos.events.")
    ] = None,
    gate: Annotated[int, typer.Option(min=0, help="Of --run: loudness below which nothing is decided; 0: none.")] = 0,
    calibrate: Annotated[
        float, typer.Option(min=0, help="Of --run: seconds after the start that put it on the wearer's scale.")
    ] = 0,
    led: Annotated[str | None, typer.Option(help="Of --run: LED or pin that shows an event: LED2, D7.")] = None,
) -> None:
    """Put MODEL on a board; the old model works until the new one is whole. With --run it works alone from then on."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from ditmos.link import alone
    from ditmos.link.board import Board
    from ditmos.link.deploy import ROM
    from ditmos.link.deploy import deploy as deploy_model
    from ditmos.model.policy import parse_policy
    from ditmos.model.reader import read_model

    if run and to == Place.ram:
        raise DitmosError("a model in ram is gone at the next start: --run needs --to flash or rom")
    settings = alone.Settings(sensor, hop, events, gate, calibrate, led)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
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
        if where == ROM:
            where = f"ROM ({ROM} after `import ditmos`)"
        print(f"{model}: {done.bytes} bytes in {where}, CRC {done.crc:08x} as the board computed it")
        if run:
            bar.stop()
            alone.install(board, read_model(model)[0], settings, replace=replace)
            alone.start(board, print)
            print(f"it works alone now. To watch: mpremote connect {board.port} resume repl. Ctrl-C there ends it")
