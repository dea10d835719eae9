"""`ditmos firmware build TARGET`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    firmware = typer.Typer(no_args_is_help=True, help="Build MicroPython with the _ditmos module.")
    app.add_typer(firmware, name="firmware")

    @firmware.callback()
    def group() -> None:
        pass

    @firmware.command()
    def build(
        target: Annotated[str, typer.Argument(help="unix (this machine), sim (simulated Cortex-M7 board)")],
        micropython: Annotated[Path | None, typer.Option(help="MicroPython source tree to use")] = None,
        jobs: Annotated[int | None, typer.Option(help="parallel compilations [default: one per core]")] = None,
    ) -> None:
        """Build one firmware, or bring it up to date."""
        from rich.console import Console

        from ditmos.firmware import build as build_firmware

        console = Console(stderr=True)
        with console.status("firmware") as status:
            built = build_firmware(target, micropython, jobs, lambda doing: status.update(f"firmware: {doing}"))
        print(f"{built.path}: {built.bytes} bytes of code and data")
