"""Files that stay readable: written beside the old one, flushed to the disk, then renamed over it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ditmos.errors import DitmosError


def write(path: Path, content: bytes) -> None:
    """Whatever happens, ``path`` holds the old content or the new. Makes the folder if need be.

    Raises:
        DitmosError: disk full, no rights.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "; the old one is still there" if path.is_file() else ""
        raise DitmosError(f"{path}: cannot be written ({error.strerror or error}){kept}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
