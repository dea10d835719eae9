"""DiTMoS on MicroPython: the host side.

The folder `device/ditmos` is part of this package's path, behind the host's own modules: `ditmos.routing` and
`ditmos.framing` are the very files that run on the board.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ditmos.board import Board
    from ditmos.simulator import Simulator

__all__ = ["Board", "Simulator"]
__version__ = "0.1.0"

# An installed wheel carries them as `_device`; a checkout has them in place.
__path__ += [
    str(folder)
    for folder in (Path(__file__).parent / "_device", Path(__file__).parents[2] / "device" / "ditmos")
    if folder.is_dir()
][:1]

_WHERE = {"Board": "ditmos.board", "Simulator": "ditmos.simulator"}


def __getattr__(name: str) -> Any:
    """`ditmos.Board` and `ditmos.Simulator`, imported when they are first asked for."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
