"""Firmware images as they are flashed: raw ``.bin`` and DfuSe ``.dfu``."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from ditmos.errors import DitmosError
from ditmos.firmware.memorymap import FLASH

# DfuSe file format (STMicroelectronics UM0391): prefix, one image of elements, suffix. Little-endian.
_PREFIX = struct.Struct("<5sBIB")  # "DfuSe", version 1, image size, targets
_TARGET = struct.Struct("<6sBI255sII")  # "Target", alternate setting, named, name, size, elements
_ELEMENT = struct.Struct("<II")  # address, size
_SUFFIX = struct.Struct("<4H3sBI")  # device, product, vendor, DFU version, "UFD", length 16, CRC


class Segment(NamedTuple):
    """``data`` to be flashed at ``address``."""

    address: int
    data: bytes


def read_image(path: Path) -> list[Segment]:
    """Segments of a ``.bin`` (flashed at the start of flash) or a ``.dfu`` file.

    Raises:
        DitmosError: not such a file, damaged, or not within flash.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DitmosError(f"{path}: {error.strerror}") from error
    if path.suffix == ".dfu":
        segments = _read_dfu(path, content)
    elif path.suffix == ".bin":
        segments = [Segment(FLASH.start, content)]
    else:
        raise DitmosError(f"{path}: firmware file ending in {path.suffix!r}, expected .bin or .dfu")
    for segment in segments:
        if segment.address not in FLASH or segment.address + len(segment.data) > FLASH.end or not segment.data:
            end = segment.address + len(segment.data)
            raise DitmosError(
                f"{path}: segment {segment.address:#010x} to {end:#010x} is empty or not within "
                f"flash, {FLASH.start:#010x} to {FLASH.end:#010x}"
            )
    return segments


def _read_dfu(path: Path, content: bytes) -> list[Segment]:
    try:
        signature, version, size, targets = _PREFIX.unpack_from(content)
        if signature != b"DfuSe" or version != 1 or targets != 1:
            raise DitmosError(f"{path}: no DfuSe file with one target")
        *_, ufd, length, crc = _SUFFIX.unpack_from(content, size)
        if ufd != b"UFD" or length != _SUFFIX.size or size + length != len(content):
            raise DitmosError(f"{path}: DFU suffix expected at offset {size}, {_SUFFIX.size} bytes before the end")
        if crc != ~zlib.crc32(content[:-4]) & 0xFFFF_FFFF:
            raise DitmosError(f"{path}: CRC of the DFU file does not match")
        *_, elements = _TARGET.unpack_from(content, _PREFIX.size)
        offset = _PREFIX.size + _TARGET.size
        segments = []
        for _ in range(elements):
            address, count = _ELEMENT.unpack_from(content, offset)
            offset += _ELEMENT.size
            if offset + count > size:
                raise DitmosError(f"{path}: element of {count} bytes at offset {offset} ends after the image")
            segments.append(Segment(address, content[offset : offset + count]))
            offset += count
    except struct.error as error:
        raise DitmosError(f"{path}: DFU file is cut short: {error}") from error
    return segments
