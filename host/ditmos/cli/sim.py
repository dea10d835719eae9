"""`ditmos sim`: a simulated board to talk to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ditmos.errors import DitmosError


def add(app: typer.Typer) -> None:
    @app.command()
    def sim(
        board: Annotated[
            str, typer.Option(help="sim (qemu) or nucleo (the image of the real board, in a CPU emulator).")
        ] = "sim",
        firmware: Annotated[
            Path | None, typer.Option(help="sim: ELF; nucleo: .dfu or .bin.", show_default="what `firmware build` made")
        ] = None,
        flash: Annotated[Path | None, typer.Option(help="File that keeps the board's filesystem and ROMFS.")] = None,
        romfs: Annotated[Path | None, typer.Option(help="Folder or image to mount at /rom.")] = None,
        socket: Annotated[bool, typer.Option("--socket", help="A local socket instead of a pty.")] = False,
        sound: Annotated[
            Path | None, typer.Option(help="nucleo: .wav file that a microphone at I2S2 hears, over and over.")
        ] = None,
        icount: Annotated[bool, typer.Option("--icount", help="time.ticks_cpu() counts instructions.")] = False,
    ) -> None:
        """Start a simulated board and print the port to hand to mpremote; Ctrl-C stops it."""
        if board == "nucleo":
            if socket or icount:
                raise DitmosError("--socket and --icount are for --board sim")
            _nucleo(firmware, flash, romfs, sound)
            return
        if sound:
            raise DitmosError("--sound is for --board nucleo; here the program plays it: WavFile in device/sensors.py")
        if board != "sim":
            raise DitmosError(f"board {board!r}, expected sim or nucleo")
        from ditmos.cli import terminate_as_interrupt
        from ditmos.simulated.qemu import Simulator

        terminate_as_interrupt()
        simulator = Simulator(firmware, serial="socket" if socket else "pty", icount=icount, flash=flash, romfs=romfs)
        try:
            with simulator as simulated:
                print(simulated.port, flush=True)
                typer.echo(f"SIM_F767 runs: mpremote connect {simulated.port}    Ctrl-C stops it", err=True)
                simulated.wait()
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)


def _nucleo(firmware: Path | None, flash: Path | None, romfs: Path | None, sound: Path | None) -> None:
    from ditmos.emulator.__main__ import run
    from ditmos.firmware.memorymap import ROMFS
    from ditmos.firmware.targets import nucleo_image
    from ditmos.link.romfs import romfs_image

    def ready(port: str) -> None:
        print(port, flush=True)
        typer.echo(f"NUCLEO-F767ZI runs: mpremote connect {port}    Ctrl-C stops it", err=True)

    run(
        firmware or nucleo_image("dfu"),
        flash,
        romfs_image(romfs, ROMFS.size) if romfs else None,
        None,
        0,
        ready,
        lambda line: typer.echo(line, err=True),
        sound=sound,
    )
