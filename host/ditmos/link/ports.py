"""Serial ports of this machine, and what is known of each without opening it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

ST_VENDOR = 0x0483  # the ST-LINK of a NUCLEO board
# USB vendors whose boards run MicroPython, by what such a port most likely is.
_BOARDS = {
    ST_VENDOR: "NUCLEO (ST-LINK)",
    0xF055: "MicroPython board (USB)",
    0x2E8A: "Raspberry Pi Pico",
    0x303A: "ESP32",
    0x10C4: "ESP32 or other (CP210x)",
    0x1A86: "ESP32 or other (CH340)",
}


@dataclass(frozen=True)
class Port:
    """A serial device.

    board: what it most likely is, "" where the USB vendor tells nothing. usable: whether this user may open it.
    """

    device: str
    board: str
    description: str
    serial_number: str
    usable: bool

    @property
    def stlink(self) -> bool:
        return self.board == _BOARDS[ST_VENDOR]


def ports() -> list[Port]:
    """Every serial port on USB, boards first."""
    found = [_port(info) for info in list_ports.comports() if info.vid is not None]
    return sorted(found, key=lambda port: (not port.stlink, not port.board, port.device))


def _port(info: ListPortInfo) -> Port:
    usable = sys.platform == "win32" or os.access(info.device, os.R_OK | os.W_OK)
    board = _BOARDS.get(info.vid or 0, "")
    return Port(info.device, board, info.description or "", info.serial_number or "", usable)


def how_to_open(device: str) -> str:
    """What to do where this user may not open a port."""
    if sys.platform == "linux":
        return f"sudo usermod -aG {_group(device)} $USER, then log in again"
    return f"ask this machine's administrator for access to {device}"


def _group(device: str) -> str:
    """The group that owns a device file: dialout on Debian, uucp elsewhere."""
    try:
        return Path(device).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"
