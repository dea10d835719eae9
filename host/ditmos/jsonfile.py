"""Results for machines: what ``--json FILE`` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ditmos import atomic
from ditmos.errors import DitmosError


def write_json(path: Path, data: Any) -> None:
    """Write ``data``; the old file stays until the new one is complete. Raises DitmosError when that fails."""
    atomic.write(path, (json.dumps(data, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises DitmosError when there is no such file, or no JSON in it."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise DitmosError(f"{path}: not JSON ({error})") from None
