"""What `ditmos deploy` has the board do: tell what room there is, check what arrived, swap it in."""

import gc
import os
from binascii import crc32

from .engine import find


def room():
    """Bytes free: of heap, of tightly coupled memory for an arena, of the filesystem; bytes of ROM in all."""
    gc.collect()
    heap = gc.mem_free()
    try:
        import tcm

        arena = len(tcm.data)
    except ImportError:
        arena = 0
    try:
        stat = os.statvfs("/flash")
        flash = stat[0] * stat[3]
    except OSError:
        flash = 0
    rom = segment()
    return {"heap": heap, "tcm": arena, "flash": flash, "rom": len(rom) if rom else 0}


def segment():
    """The memory that ROMFS lies in, or None."""
    import vfs

    return vfs.rom_ioctl(2, 0) if hasattr(vfs, "rom_ioctl") and vfs.rom_ioctl(1) > 0 else None


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def remove(path):
    if exists(path):
        os.remove(path)


def installed(name):
    """(path, CRC-32) of the file that `find` finds, or None."""
    try:
        path = find(name)
    except OSError:
        return None
    return path, crc(path)


def crc(path):
    """CRC-32 of a file."""
    value, part = 0, bytearray(512)
    with open(path, "rb") as file:
        while True:
            n = file.readinto(part)
            if not n:
                return value
            value = crc32(memoryview(part)[:n], value)


def copy(source, target):
    part = bytearray(512)
    with open(source, "rb") as file, open(target, "wb") as out:
        while True:
            n = file.readinto(part)
            if not n:
                return
            out.write(memoryview(part)[:n])


def swap(part, name):
    """Put a complete file in the place of another. There is always one that `find(name)` finds: FAT has no rename that
    replaces, so that for a moment it is NAME.new."""
    remove(name + ".new")
    os.rename(part, name + ".new")
    remove(name)
    os.rename(name + ".new", name)


class Rom:
    """Writes an image into ROMFS, its first block last: what is cut off half-way is no filesystem at all."""

    BLOCK = 1024

    def __init__(self, size):
        import vfs

        if vfs.rom_ioctl(3, 0, size) < 0:
            raise OSError("ROM does not take %d bytes" % size)
        self.ioctl = vfs.rom_ioctl
        self.first = None

    def write(self, offset, data):
        if offset == 0:
            self.first = bytes(data)
        elif self.ioctl(4, 0, offset, data) < 0:
            raise OSError("ROM: writing at %d failed" % offset)

    def finish(self):
        if self.ioctl(4, 0, 0, self.first) < 0:
            raise OSError("ROM: writing at 0 failed")
        self.ioctl(5, 0)  # where a port has something to complete: the STM32's refuses the command
