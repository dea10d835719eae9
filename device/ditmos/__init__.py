"""Diverse tiny-model selection on the board.

    >>> import ditmos
    >>> engine = ditmos.load()
    >>> engine(ditmos.windows()[0])

Models and windows are found in the current folder (under `mpremote mount`, the one mounted), then /flash, then /rom.
"""

from .engine import Engine, find, load, load_model
from .npy import Windows, windows

__all__ = ("Engine", "Windows", "find", "load", "load_model", "windows")
__version__ = "0.1.0"
