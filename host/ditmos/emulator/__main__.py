"""``python -m ditmos.emulator FIRMWARE``: what ``ditmos sim --board nucleo`` and the launcher start."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from ditmos.emulator.machine import Machine
from ditmos.emulator.server import Server, held
from ditmos.errors import DitmosError
from ditmos.firmware.image import Segment, read_image
from ditmos.firmware.memorymap import ROMFS
from ditmos.link.romfs import alone


def run(
    firmware: Path,
    flash: Path | None,
    romfs: bytes | None,
    profile: Path | None,
    lose: int,
    ready: Callable[[str], None],
    report: Callable[[str], None],
    cut: int = 0,
    sound: Path | None = None,
    hurry: bool = False,
    clock: Path | None = None,
) -> None:
    """Boot ``firmware`` and serve it until SIGINT, SIGTERM or SIGHUP.

    Args:
        firmware: .bin or .dfu. flash: file that keeps the flash. romfs: image flashed at the start of the ROMFS.
        profile: file to which each span that the board's program marks is appended, one JSON object a line.
        lose: one received byte in so many is lost, at random, from SIGUSR1 to the next one; 0: none but those that find
            no room.
        ready: called with the port. report: told what is not modelled, of faults and of lost bytes.
        cut: the power fails in the erasure or store to flash of this number; ``flash`` keeps what is there then.
        sound: .wav file that the microphone at I2S2 hears. hurry: while it runs, time does not wait for the wall's.
        clock: file that shows the emulated time (`Server`).

    Raises:
        DitmosError: ``romfs`` is larger than the chip's ROM.
    """
    if romfs and len(romfs) > ROMFS.size:
        raise DitmosError(f"a ROMFS of {len(romfs)} bytes, the chip has room for {ROMFS.size}")
    stopped = []
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stopped.append(True))
    segments = read_image(firmware)
    if romfs:
        segments.append(Segment(ROMFS.start, alone(romfs, ROMFS.size)))
    with held(flash):
        board = Machine(segments, flash, report, sound, hurry)
        if profile:
            profile.write_text("")
            board.profile.on_result = lambda result: _append(profile, result)
        if lose:
            _disturb(board, lose)
        if cut:
            board.flash.cut(cut, lambda: _power_fails(board, flash))
        server = Server(board, flash, report, clock)
        try:
            ready(server.port)
            server.run(lambda: bool(stopped))
        finally:
            server.close()


def _disturb(board: Machine, lose: int) -> None:
    dice = random.Random(lose)

    def lost() -> bool:
        return dice.randrange(lose) == 0

    def switch(*_: object) -> None:
        board.usart.disturbed = never if board.usart.disturbed is lost else lost

    never = board.usart.disturbed
    signal.signal(signal.SIGUSR1, switch)


def _power_fails(board: Machine, flash: Path | None) -> None:
    if flash:
        board.flash.save(flash)
    os._exit(1)


def _append(path: Path, result: dict) -> None:
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ditmos.emulator", description=__doc__)
    parser.add_argument("firmware", type=Path)
    parser.add_argument("--flash", type=Path)
    parser.add_argument("--romfs", type=Path, help="ROMFS image")
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--lose", type=int, default=0, metavar="N", help="on SIGUSR1, lose one received byte in N")
    parser.add_argument("--cut", type=int, default=0, metavar="N", help="power fails in the Nth operation of the flash")
    parser.add_argument("--sound", type=Path, help=".wav file for the microphone at I2S2")
    parser.add_argument("--hurry", action="store_true", help="while sound is taken in, sleep takes no time")
    parser.add_argument("--clock", type=Path, help="file whose first eight bytes are the emulated time, in cycles")
    options = parser.parse_args()
    try:
        run(
            options.firmware,
            options.flash,
            options.romfs.read_bytes() if options.romfs else None,
            options.profile,
            options.lose,
            lambda port: print(port, flush=True),
            lambda line: print(line, file=sys.stderr, flush=True),
            options.cut,
            options.sound,
            options.hurry,
            options.clock,
        )
    except (DitmosError, OSError) as error:
        sys.exit(f"ditmos: {error}")


if __name__ == "__main__":
    main()
