"""Files that stay readable: written beside the old one, flushed to the disk, then renamed over it. JSON among them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from pathlib import Path
from typing import Any

from ditmos.errors import DitmosError
from ditmos.text import read_text

PICTURES = ("png", "svg", "pdf")


def write(path: Path, content: bytes) -> None:
    """Whatever happens, ``path`` holds the old content or the new. Makes the folder if need be.

    Raises:
        DitmosError: a folder, disk full, no rights, no name for a file.
    """
    if path.is_dir() or not path.name:
        raise DitmosError(f"{path}: a folder, expected the name of a file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        kept = "; the old one is still there" if path.is_file() else ""
        raise DitmosError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}){kept}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Whether `write` has a chance, before a long run whose result goes there.

    Raises:
        DitmosError: a folder, no rights, no room for an empty file.
    """
    if path.is_dir() or not path.name:
        raise DitmosError(f"{path}: a folder, expected the name of a file")
    probe = path.with_name(f".{path.name}.try")
    write(probe, b"")
    with contextlib.suppress(OSError):
        probe.unlink()


def write_json(path: Path, data: Any) -> None:
    """Write ``data``; the old file stays until the new one is complete. Raises DitmosError when that fails."""
    write(path, (json.dumps(data, indent=1) + "\n").encode())


def write_figure(path: Path, figure: Any, **options: Any) -> None:
    """A figure of matplotlib as the kind of picture that the name ends in; ``options``: of its ``savefig``.

    Raises:
        DitmosError: another kind, or it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind_of_picture(path), **options)
    write(path, buffer.getvalue())


def kind_of_picture(path: Path) -> str:
    """png, svg or pdf. Raises DitmosError for another one."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in PICTURES:
        raise DitmosError(f"{path}: unknown kind of picture, expected .png, .svg or .pdf")
    return kind


def read_json(path: Path) -> Any:
    """Raises DitmosError when there is no such file, or no JSON in it."""
    try:
        return json.loads(read_text(path)[0])
    except (ValueError, RecursionError) as error:
        raise DitmosError(f"{path}: not JSON ({error})") from None
