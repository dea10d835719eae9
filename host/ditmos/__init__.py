"""DiTMoS on MicroPython: the host side.

The folder `device/ditmos` is part of this package's path, behind the host's own modules: `ditmos.routing`,
`ditmos.events`, `ditmos.framing` and `ditmos.version` are the very files that run on the board.
"""

from importlib import import_module
from typing import Any

from ditmos.paths import SOURCES

__path__.append(str(SOURCES / "device" / "ditmos"))

__all__ = ["Board", "Simulator", "__version__"]  # __init__.pyi says what the first two are
__version__: str = import_module("ditmos.version").__version__

_WHERE = {"Board": "ditmos.link.board", "Simulator": "ditmos.simulated.qemu"}


def __getattr__(name: str) -> Any:
    """`ditmos.Board` and `ditmos.Simulator`, imported when they are first asked for."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
