"""`ditmos ui`: the board in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.errors import DitmosError

if TYPE_CHECKING:
    from ditmos.ui.desk import Watched
    from ditmos.ui.openers import Opener
    from ditmos.ui.player import Supply
    from ditmos.ui.sensed import Sensed


def add(app: typer.Typer) -> None:
    app.command()(ui)


def ui(
    port: Annotated[
        list[str] | None,
        typer.Option(help="Serial device or socket://HOST:PORT, once a board.", show_default="the one board"),
    ] = None,
    sim: Annotated[bool, typer.Option("--sim", help="Start a simulated board.")] = False,
    boards: Annotated[int, typer.Option(min=1, max=8, help="So many simulated boards.")] = 1,
    replay: Annotated[Path | None, typer.Option(help="Show a tape, without a board.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model file (.dtm) that the board runs.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Dataset (.npz): its windows go to the board, policies are tried on it.")
    ] = None,
    part: Annotated[str, typer.Option(help="Of the dataset: train, validation, test or all.")] = "validation",
    source: Annotated[
        str | None,
        typer.Option(help="In place of data: as of stream --source; sensor: on the board."),
    ] = None,
    sensor: Annotated[
        str, typer.Option(help="Of --source sensor: FILE.py:Name, or a driver in device/.")
    ] = "Simulated",
    folder: Annotated[Path, typer.Option(help="All that the page reads and writes lies in it.")] = Path(),
    hop: Annotated[
        int | None, typer.Option(min=1, help="Rows from window to window.", show_default="5 windows a second")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Rows a second.", show_default="the data's own")] = None,
    listen: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Watch a board in the browser, change its policy, record, train, deploy; Ctrl-C ends it.

    The page is for this machine alone: its address has a token that is good for one browser.
    """
    import sys
    import threading
    import webbrowser

    from ditmos.cli import terminate_as_interrupt
    from ditmos.link.tape import Tape
    from ditmos.ui.desk import Desk, Replayed
    from ditmos.ui.folder import Folder
    from ditmos.ui.live_board import LiveBoard
    from ditmos.ui.serving import serve

    if bool(port) + sim + (replay is not None) > 1:
        raise DitmosError("--port, --sim and --replay exclude each other")
    if rate is not None and not 0 < rate < float("inf"):
        raise DitmosError(f"rate is {rate}, expected rows a second")
    terminate_as_interrupt()
    out = sys.stdout  # boards' threads silence it for moments, and would swallow the address
    work = Folder(folder)
    watched: list[Watched] = [Replayed(replay.name, Tape.load(replay))] if replay else []
    if source and (replay or (source != "sensor" and boards > 1)):
        raise DitmosError(f"--source {source}: expected one board, and no --replay")
    desk = Desk(work, watched, model, data, part, _given(source, sensor) if source else None)
    if not replay:
        for title, opener in _openers(port, boards if sim else 0, model):
            watched.append(LiveBoard(title, opener, desk.first_supply(), hop=hop, rate=rate).start())

    threading.Thread(target=desk.warm, daemon=True).start()

    def ready(address: str) -> None:
        print(address, file=out, flush=True)
        typer.echo("Ctrl-C ends it", err=True)
        if browser:
            webbrowser.open(address)

    try:
        serve(desk, listen, ready)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
    finally:
        desk.close()


def _given(source: str, sensor: str) -> Supply | Sensed:
    """What --source names."""
    from ditmos.link.record import driver_file
    from ditmos.link.sources import open_source
    from ditmos.ui.player import supply_of_source
    from ditmos.ui.sensed import Sensed

    if source == "sensor":
        driver_file(sensor)
        return Sensed(sensor, f"sensor {sensor}")
    return supply_of_source(open_source(source), source)


def _openers(ports: list[str] | None, simulated: int, model: Path | None) -> list[tuple[str, Opener]]:
    """Each board's title, and the way to it."""
    from ditmos.ui.openers import Plugged, Simulated

    if simulated:
        names = ["simulated board"] if simulated == 1 else [f"simulated board {i + 1}" for i in range(simulated)]
        return [(name, Simulated(model)) for name in names]
    return [(name, Plugged(name)) for name in ports] if ports else [("board", Plugged(None))]
