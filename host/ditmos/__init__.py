"""DiTMoS on MicroPython: the host side.

The folder `device/ditmos` is part of this package's path, behind the host's own modules: `ditmos.routing` and
`ditmos.framing` are the very files that run on the board.
"""

from pathlib import Path

__version__ = "0.1.0"

# An installed wheel carries them as `_device`; a checkout has them in place.
__path__ += [
    str(folder)
    for folder in (Path(__file__).parent / "_device", Path(__file__).parents[2] / "device" / "ditmos")
    if folder.is_dir()
][:1]
