"""DiTMoS on MicroPython: the host side.

The folder `device/ditmos` is part of this package's path, behind the host's own modules: `ditmos.routing` and
`ditmos.framing` are the very files that run on the board.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["Board", "Simulator"]  # __init__.pyi says what they are
__version__ = "0.1.0"

# The package is used from its checkout (pip install -e .), as firmware is built from there.
__path__.append(str(Path(__file__).parents[2] / "device" / "ditmos"))

_WHERE = {"Board": "ditmos.link.board", "Simulator": "ditmos.simulated.qemu"}


def __getattr__(name: str) -> Any:
    """`ditmos.Board` and `ditmos.Simulator`, imported when they are first asked for."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
