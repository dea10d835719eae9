"""Results for machines: what ``--json FILE`` writes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ditmos.errors import DitmosError


def write_json(path: Path, data: Any) -> None:
    """Write ``data``; the old file stays until the new one is complete. Raises DitmosError when that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(data, indent=1) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise DitmosError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Raises DitmosError when there is no such file, or no JSON in it."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise DitmosError(f"{path}: not JSON ({error})") from None
