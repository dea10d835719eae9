"""What `ditmos deploy` has the board do: tell what room there is, check what arrived, swap it in."""

import gc
import os
from binascii import crc32

from . import rom
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
    memory = rom.segment()
    return {"heap": heap, "tcm": arena, "flash": flash, "rom": len(memory) if memory else 0}


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
