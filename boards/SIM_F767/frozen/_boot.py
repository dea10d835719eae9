# Mounts the board's filesystem: FAT at /flash, 96 KiB as on the NUCLEO_F767ZI, in external memory.
import os
import sys

import uctypes
import vfs


class Flash:
    BLOCK = 512
    BLOCKS = 192
    START = 0x60F00000  # behind the ROMFS segment (board.h)

    def __init__(self):
        self.memory = memoryview(uctypes.bytearray_at(self.START, self.BLOCKS * self.BLOCK))

    def readblocks(self, block, buffer, offset=0):
        start = block * self.BLOCK + offset
        buffer[:] = self.memory[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * self.BLOCK + offset
        self.memory[start : start + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.BLOCKS
        if operation == 5:
            return self.BLOCK
        return 0


try:
    vfs.mount(vfs.VfsFat(Flash()), "/flash")
except OSError:
    vfs.VfsFat.mkfs(Flash())
    vfs.mount(vfs.VfsFat(Flash()), "/flash")
os.chdir("/flash")
sys.path.extend(("/flash", "/flash/lib"))
