"""ROMFS images: what a board mounts at /rom, and at /model where `ditmos deploy` wrote it."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from mpremote.romfs import make_romfs

from ditmos.errors import DitmosError

SECTOR = 256 << 10  # bytes
HEADER = 32  # bytes before a deployed model


def romfs_image(source: Path, room: int | None = None) -> bytes:
    """The ROMFS made of a folder, or the image itself.

    Raises:
        DitmosError: neither, a name that ROMFS cannot hold, or more than ``room`` bytes.
    """
    try:
        if source.is_dir():
            for path in source.rglob("*"):
                if not path.name.isascii():
                    raise DitmosError(f"{str(path)!r}: a ROMFS has names in ASCII only, rename it")
            with redirect_stdout(StringIO()):  # it prints a tree
                image = bytes(make_romfs(f"{source}/", mpy_cross=None))
        elif source.is_file():
            image = source.read_bytes()
        else:
            raise DitmosError(f"{source}: no such folder or ROMFS image")
    except OSError as error:
        raise DitmosError(f"{error.filename or source}: cannot be read ({error.strerror or error})") from None
    if room is not None and len(image) > room:
        raise DitmosError(f"{source}: a ROMFS of {len(image)} bytes, expected at most {room}")
    return image


def behind(image: bytes, room: int) -> range:
    """Offsets in ``room`` bytes of ROM at which a deployed model would begin behind an image (device/ditmos/rom.py)."""
    return range(-(-len(image) // SECTOR) * SECTOR, room, SECTOR)


def alone(image: bytes, room: int) -> bytes:
    """All of ROM with an image and no deployed model beside it."""
    rom = bytearray(image.ljust(room, b"\xff"))
    for offset in behind(image, room):
        rom[offset : offset + HEADER] = bytes(HEADER)
    return bytes(rom)
