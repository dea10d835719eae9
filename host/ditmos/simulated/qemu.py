"""Start and stop the simulated board: qemu with `boards/SIM_F767`, its REPL on a pty or a local socket."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from ditmos.errors import DitmosError
from ditmos.firmware.targets import SIM
from ditmos.firmware.tools import need
from ditmos.link.romfs import HEADER, behind, romfs_image
from ditmos.locks import try_lock
from ditmos.simulated.process import BoardProcess, ending_with_us
from ditmos.simulated.terminals import hold_line, readable

MACHINE = "mps2-an500"
EXTERNAL_MEMORY = 16 << 20  # bytes behind 0x60000000: the ROMFS segment, then the filesystem (board.h, _boot.py)
ROMFS_SIZE = 15 << 20
START_TIMEOUT = 30.0  # seconds from starting qemu to the prompt, on a busy machine
SILENCE = 0.3  # seconds


class Simulator(BoardProcess):
    """A simulated board, running inside a ``with`` block.

    Args:
        firmware: ELF file; by default what ``ditmos firmware build sim`` made.
        serial: "pty" (a serial device) or "socket" (``socket://127.0.0.1:PORT``); both are ports for mpremote.
        icount: every instruction takes exactly 256 ns of the board's time: ``time.ticks_cpu()`` then counts
            instructions, the same in every run. About half as fast.
        flash: file that keeps the board's filesystem and ROMFS from one start to the next; made if absent. By default
            the board starts blank.
        romfs: folder, or image, to put into the ROMFS segment, mounted at /rom.

    Raises:
        DitmosError: on entering: no qemu, no firmware, a file that does not fit, or a board that does not start.
    """

    def __init__(
        self,
        firmware: Path | None = None,
        *,
        serial: Literal["pty", "socket"] = "pty",
        icount: bool = False,
        flash: Path | None = None,
        romfs: Path | None = None,
    ) -> None:
        super().__init__()
        self.firmware = firmware
        self.serial = serial
        self.icount = icount
        self.flash = flash
        self.romfs = romfs
        self._memory: int | None = None
        self._line: int | None = None  # the pty's slave side, kept open: a closed one costs each client a second

    def stop(self) -> None:
        if self._line is not None:
            os.close(self._line)
            self._line = None
        super().stop()
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None

    def _start(self) -> None:
        if sys.platform != "linux":
            raise DitmosError(f"the simulated board runs on Linux only, this is {sys.platform}; on Windows use WSL")
        need("qemu-system-arm")
        elf = self.firmware or SIM.built()
        if not elf.is_file():
            raise DitmosError(f"{elf}: no such firmware")
        self._memory = _open_memory(self.flash)
        if self.romfs:
            image = romfs_image(self.romfs, ROMFS_SIZE)
            os.pwrite(self._memory, image, 0)
            for offset in behind(image, ROMFS_SIZE):
                os.pwrite(self._memory, bytes(HEADER), offset)
        memory = (
            f"memory-backend-file,id=external,size={EXTERNAL_MEMORY},mem-path=/proc/self/fd/{self._memory},share=on"
        )
        command = [
            "qemu-system-arm",
            *("-machine", f"{MACHINE},memory-backend=external"),
            *("-object", memory),
            *("-nographic", "-monitor", "null", "-semihosting", "-serial", "chardev:console", "-kernel", str(elf)),
        ]
        if self.icount:
            command += ["-icount", "shift=8"]
        if self.serial == "socket":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                # qemu waits for the first connection, so that the first output is not lost.
                chardev = f"socket,id=console,fd={listener.fileno()},server=on,wait=on,nodelay=on"
                self._spawn([*command, "-chardev", chardev], listener.fileno())
                address = listener.getsockname()
            self.port = f"socket://{address[0]}:{address[1]}"
            with socket.create_connection(address, START_TIMEOUT) as connection:
                self._await_prompt(connection.fileno(), START_TIMEOUT, SILENCE)
        else:
            self._spawn([*command, "-chardev", "pty,id=console"])
            self.port = self._pty_name()
            self._line = hold_line(self.port)
            self._await_prompt(self._line, START_TIMEOUT, SILENCE)

    def _spawn(self, command: list[str], *descriptors: int) -> None:
        assert self._memory is not None
        self._process = subprocess.Popen(
            ending_with_us(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self._memory, *descriptors),
        )

    def _pty_name(self) -> str:
        assert self._process and self._process.stdout
        output = b""
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            if readable(self._process.stdout.fileno(), 0.1):
                data = os.read(self._process.stdout.fileno(), 4096)
                output += data
                if found := re.search(rb"redirected to (\S+)", output):
                    return found[1].decode()
                if not data:
                    break
        raise DitmosError(f"the board did not start: {_last_line(output)}")

    def _last_words(self) -> str:
        assert self._process and self._process.stdout
        return _last_line(self._process.stdout.read())


def _open_memory(flash: Path | None) -> int:
    """Descriptor of the file behind the board's external memory, blank or as it was left."""
    if flash is None:
        memory = os.memfd_create("ditmos-sim")
    else:
        memory = os.open(flash, os.O_RDWR | os.O_CREAT, 0o666)
        if not try_lock(memory):
            os.close(memory)
            raise DitmosError(f"{flash}: in use by another simulated board")
    size = os.fstat(memory).st_size
    if size not in (0, EXTERNAL_MEMORY):
        os.close(memory)
        raise DitmosError(f"{flash}: {size} bytes, expected the {EXTERNAL_MEMORY} of a simulated board's memory")
    os.ftruncate(memory, EXTERNAL_MEMORY)
    return memory


def _last_line(output: bytes) -> str:
    return (output.decode(errors="replace").strip() or "no message").splitlines()[-1]
