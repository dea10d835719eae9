"""`ditmos device`: the scripts that `mpremote run` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ditmos.errors import DitmosError

_NOT_SCRIPTS = ("__pycache__", "*.c", "*.mk", "*.cmake", "manifest.py")


def add(app: typer.Typer) -> None:
    app.command()(device)


def device(
    file: Annotated[
        str, typer.Argument(help="One of them: infer.py, listen.py, stream.py, bench.py, sensors.py, motion.py.")
    ] = "",
    copy: Annotated[Path | None, typer.Option(help="Copy all of them into this new folder, to edit.")] = None,
) -> None:
    """Print where the board's scripts are: mpremote run "$(ditmos device infer.py)"."""
    import shutil

    from ditmos.paths import SOURCES

    path = SOURCES / "device" / file
    if not path.exists():
        scripts = ", ".join(sorted(p.name for p in path.parent.glob("*.py") if p.name != "manifest.py"))
        raise DitmosError(f"{file}: no such script of the board's, expected one of {scripts}")
    if copy is not None:
        try:
            shutil.copytree(SOURCES / "device", copy, ignore=shutil.ignore_patterns(*_NOT_SCRIPTS))
        except OSError as error:
            raise DitmosError(f"{copy}: cannot be written ({error.strerror or error}); name a new folder") from None
        path = copy / file
    print(path)
