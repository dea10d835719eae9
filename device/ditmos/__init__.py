"""Diverse tiny-model selection on the board.

    >>> import ditmos
    >>> engine = ditmos.load()
    >>> engine(ditmos.windows()[0])

Models and windows are found in the current folder (under `mpremote mount`, the one mounted), then /flash, then /rom.
"""

from .engine import Engine, find, load, load_model, own_policy
from .listen import listen
from .npy import Windows, windows
from .version import __version__

__all__ = ("Engine", "Windows", "__version__", "find", "listen", "load", "load_model", "own_policy", "windows")
