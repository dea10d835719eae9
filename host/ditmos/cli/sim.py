"""`ditmos sim`: a simulated board to talk to."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    @app.command()
    def sim(
        firmware: Annotated[
            Path | None, typer.Option(help="ELF file [default: what `firmware build sim` made]")
        ] = None,
        flash: Annotated[Path | None, typer.Option(help="file that keeps the board's filesystem and ROMFS")] = None,
        romfs: Annotated[Path | None, typer.Option(help="folder or image to mount at /rom")] = None,
        socket: Annotated[bool, typer.Option("--socket", help="a local socket instead of a pty")] = False,
        icount: Annotated[bool, typer.Option("--icount", help="time.ticks_cpu() counts instructions")] = False,
    ) -> None:
        """Start the simulated board and print the port to hand to mpremote; Ctrl-C stops it."""
        from ditmos.simulator import Simulator

        for name in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.default_int_handler)
        serial = "socket" if socket else "pty"
        try:
            with Simulator(firmware, serial=serial, icount=icount, flash=flash, romfs=romfs) as board:
                print(board.port, flush=True)
                typer.echo(f"SIM_F767 runs: mpremote connect {board.port}    Ctrl-C stops it", err=True)
                board.wait()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
