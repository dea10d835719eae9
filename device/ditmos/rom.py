"""Models in ROM, each in whole sectors of its own: the one in use stays until the next is complete.

A model lies in a ROMFS of one file behind a header of 32 bytes at the start of a sector: "DTMS", its number, the size
and the CRC-32 of the ROMFS, 12 zeros, the CRC-32 of these 28 bytes. The header is written last, in one piece. The model
with the highest number is the one in use; `mount` puts it at /model. A plain ROMFS at the start of ROM, such as
`mpremote romfs deploy` writes, is at /rom, where MicroPython itself puts it.
"""

import struct
import sys
from binascii import crc32

try:
    import vfs
except ImportError:
    vfs = None

UNIT = 262144  # bytes of a sector
FOLDER = "/model"
_HEADER = "<4sIII12s"
SIZE = struct.calcsize(_HEADER) + 4
_MAGIC = b"DTMS"


def segment():
    """The memory that ROM is, or None."""
    return vfs.rom_ioctl(2, 0) if hasattr(vfs, "rom_ioctl") and vfs.rom_ioctl(1) > 0 else None


def models(rom):
    """(number, offset, size, CRC-32) of each complete model's ROMFS, the newest last."""
    found = []
    for offset in range(0, len(rom) - SIZE, UNIT):
        if bytes(rom[offset : offset + 4]) == _MAGIC:
            header = bytes(rom[offset : offset + SIZE])
            _, number, size, crc, _ = struct.unpack_from(_HEADER, header)
            if crc32(header[:-4]) == struct.unpack("<I", header[-4:])[0] and size <= len(rom) - offset - SIZE:
                found.append((number, offset, size, crc))
    return sorted(found)


def newest(rom):
    found = models(rom)
    return found[-1] if found else None


def mount():
    """Put the newest model at /model, before /rom in sys.path; done when `ditmos` is imported."""
    rom = segment()
    if not rom or FOLDER in sys.path:
        return
    for _, offset, size, _ in reversed(models(rom)):
        try:
            vfs.mount(vfs.VfsRom(rom[offset + SIZE : offset + SIZE + size]), FOLDER)
        except OSError:  # no filesystem: the one before
            continue
        sys.path.insert(sys.path.index("/rom") if "/rom" in sys.path else len(sys.path), FOLDER)
        return


def plain_size(rom):
    """Bytes of a plain ROMFS at the start of ROM; 0 without one."""
    if bytes(rom[:3]) != b"\xd2\xcd\x31":
        return 0
    size, at = 0, 3
    while True:
        size = size << 7 | rom[at] & 0x7F
        at += 1
        if not rom[at - 1] & 0x80:
            return min(at + size, len(rom))


def _units(size):
    return (size + UNIT - 1) // UNIT


def sectors(size):
    """Sectors of ROM in all, those that a ROMFS of so many bytes takes, and those of the model in use."""
    rom = segment()
    found = newest(rom)
    return len(rom) // UNIT, _units(size + SIZE), _units(found[2] + SIZE if found else plain_size(rom))


def place(size, model=True, plain=True):
    """Offset at which a ROMFS of so many bytes leaves alone the newest `model` and the `plain` ROMFS; None: nowhere.

    At one end of what is free, so that what stays free is in one piece: of two models that fit into ROM at all, the
    second always finds its place.
    """
    rom = segment()
    need, low, high = _units(size + SIZE), 0, len(rom) // UNIT
    if plain:
        low = _units(plain_size(rom))
    gaps = [(low, high)]
    found = newest(rom) if model else None
    if found:
        start, stop = found[1] // UNIT, found[1] // UNIT + _units(found[2] + SIZE)
        gaps = [(low, start), (stop, high)]
    for start, stop in gaps:
        if stop - start >= need:
            return (start if start == low else stop - need) * UNIT
    return None


class Writer:
    """Writes a ROMFS of `size` bytes at `offset`. Until `finish`, it is no model."""

    def __init__(self, offset, size):
        self.offset, self.size, self.number = offset, size, 1
        end = offset + SIZE + size
        for number, start, length, _ in models(segment()):
            self.number = max(self.number, number + 1)
            if start < end and offset < start + SIZE + length:
                vfs.rom_ioctl(4, 0, start, bytes(SIZE))  # what loses its sectors is no model any more
        if vfs.rom_ioctl(3, 0, SIZE + size, offset) < 0:
            raise OSError("ROM does not take %d bytes at %d" % (SIZE + size, offset))

    def write(self, at, data):
        if vfs.rom_ioctl(4, 0, self.offset + SIZE + at, data) < 0:
            raise OSError("ROM: writing at %d failed" % (self.offset + SIZE + at))

    def crc(self):
        """CRC-32 of what is there."""
        return crc32(segment()[self.offset + SIZE : self.offset + SIZE + self.size])

    def finish(self):
        """From now on it is the model in use. Raises OSError."""
        header = struct.pack(_HEADER, _MAGIC, self.number, self.size, self.crc(), bytes(12))
        self.write(-SIZE, header + struct.pack("<I", crc32(header)))
        vfs.rom_ioctl(5, 0)  # where a port has something to complete: the STM32's refuses the command
