"""`ditmos firmware release`: the archive that is given away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def release(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder.")] = Path("build/release"),
    micropython: Annotated[Path | None, typer.Option(help="MicroPython source tree to use.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Parallel compilations.", show_default="one per core")] = None,
) -> None:
    """Build the NUCLEO firmware and pack it with the device files, checksums and licences."""
    from ditmos.firmware import micropython as sources
    from ditmos.firmware import nucleo
    from ditmos.firmware.release import release as pack
    from ditmos.firmware.targets import NUCLEO
    from ditmos.progress import Stages

    with Stages(transient=True) as stages:
        tree = sources.source(micropython, NUCLEO)
        nucleo.build(tree, jobs, stages.report)
        stages.report("packing")
        archive = pack(tree, output)
    print(f"{archive}: {os.path.getsize(archive):,} bytes")
