"""`ditmos firmware build TARGET`, `ditmos firmware flash nucleo`, `ditmos firmware release`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.cli.release import release
from ditmos.errors import DitmosError

if TYPE_CHECKING:
    from ditmos.firmware.nucleo import Image


def add(app: typer.Typer) -> None:
    firmware = typer.Typer(no_args_is_help=True, help="Build MicroPython with the _ditmos module, flash it.")
    firmware.command()(build)
    firmware.command()(flash)
    firmware.command()(release)
    app.add_typer(firmware, name="firmware")


def build(
    target: Annotated[
        str,
        typer.Argument(
            help="unix (this machine), sim (simulated Cortex-M7 board), nucleo, natmod (modules for any firmware)."
        ),
    ],
    arch: Annotated[
        list[str] | None,
        typer.Option(help="Of natmod: x64, armv6m, armv7m, armv7emsp ...", show_default="all with a compiler"),
    ] = None,
    micropython: Annotated[Path | None, typer.Option(help="MicroPython source tree to use.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Parallel compilations.", show_default="one per core")] = None,
) -> None:
    """Build one firmware, or bring it up to date."""
    from ditmos.firmware import natmod, nucleo
    from ditmos.firmware.build import build as build_firmware
    from ditmos.progress import Stages

    if arch and target != "natmod":
        raise DitmosError(f"--arch goes with natmod, not with {target}")
    with Stages(transient=True) as stages:
        if target == "nucleo":
            image = nucleo.build(micropython, jobs, stages.report)
        elif target == "natmod":
            modules = natmod.build(arch or (), micropython, jobs, stages.report)
        else:
            built = build_firmware(target, micropython, jobs, stages.report)
    if target == "nucleo":
        _print_usage(image)
    elif target == "natmod":
        for module in modules:
            print(f"{module.path}: {module.bytes} bytes")
        print(f"Install it: mpremote mip install {modules[-1].folder}/package.json")
    else:
        print(f"{built.path}: {built.bytes} bytes of code and data")


def flash(
    target: Annotated[str, typer.Argument(help="nucleo.")],
    method: Annotated[
        str | None, typer.Option(help="stlink, st-flash, openocd or dfu-util.", show_default="any")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Flash what `firmware build nucleo` made, after showing how."""
    from ditmos.firmware import flashing
    from ditmos.firmware.targets import nucleo_image

    if target != "nucleo":
        raise DitmosError(f"target {target!r} cannot be flashed, expected nucleo")

    def confirm(plan: flashing.Plan) -> bool:
        print(f"{plan.method}: {plan.remark}")
        for command in plan.commands:
            print("   ", shlex.join(command))
        return yes or typer.confirm("Go ahead?")

    done = flashing.flash(nucleo_image("dfu").parent, method, confirm)
    print(f"flashed by {done.method}" if done else "nothing was done")


def _print_usage(image: Image) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("memory", "bytes", "of", "")
    for name, used, total, remark in image.usage.rows():
        table.add_row(name, f"{used:,}", f"{total:,}", remark)
    Console().print(table)
    print(f"{image.folder}: firmware.elf .bin .hex .dfu, arm-none-eabi-gcc {image.compiler}")
    print(f"firmware.dfu sha256 {image.sha256['firmware.dfu']}")
