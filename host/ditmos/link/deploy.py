"""Put a model on a board: checked before, verified on the board after, swapped in only when it is whole."""

from __future__ import annotations

import tempfile
import zlib
from binascii import b2a_base64
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import ditmos
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.romfs import romfs_image
from ditmos.model.reader import decode

NAME = "model.dtm"
FLASH = f"/flash/{NAME}"
ROM = f"/rom/{NAME}"
HEAP_MARGIN = 16 << 10  # bytes of heap left to programs beside the model
CHUNK = 3072  # bytes sent at a time, in base64

BytesSent = Callable[[int, int], None]


class Place(StrEnum):
    """rom: used where it lies, whatever its size. flash: a file, copied to the heap when loaded. ram: until a reset."""

    rom = "rom"
    flash = "flash"
    ram = "ram"


@dataclass(frozen=True)
class Deployed:
    """``crc``: CRC-32 of the whole file, which the board computed from what it has."""

    place: Place
    path: str
    bytes: int
    crc: int


def deploy(
    board: Board,
    model: Path,
    place: Place | None = None,
    *,
    replace: bool = False,
    progress: BytesSent = lambda done, total: None,
) -> Deployed:
    """Transfer a model file; afterwards `ditmos.load()` on the board finds it.

    The board is soft-reset first. The old model stays until the new one is there and its CRC is right: a transfer that
    is cut leaves the old one working. ``place`` None: a file if it fits into the heap when loaded, else ROM.
    ``progress`` is called with (bytes sent, bytes in all). ``replace``: may erase other files in ROM, and an old model
    there that fits nowhere else meanwhile.

    Raises:
        DitmosError: the file is not valid, the board's firmware is another version, there is no room, or the board
            does not have in the end what was sent.
    """
    if not model.is_file():
        raise DitmosError(f"{model}: no such file, expected a model (.dtm)")
    data = model.read_bytes()
    arena = decode(data)[1].arena_size
    crc = zlib.crc32(data)
    board.soft_reset()
    check_firmware(board)
    board.exec("from ditmos import install as _install")
    room = board.eval("_install.room()")
    copied = len(data) + (0 if room["tcm"] >= arena else arena) + HEAP_MARGIN
    if place is None:
        fits = copied <= room["heap"] and len(data) <= room["flash"]
        place = Place.flash if fits or not room["rom"] else Place.rom
    if place != Place.rom and copied > room["heap"]:
        raise DitmosError(
            f"{model}: in {place} it takes {copied} bytes of heap, the board has {room['heap']}; "
            "--to rom leaves the weights where they are"
        )
    if place == Place.ram:
        _to_ram(board, data, crc, progress)
        return Deployed(place, "", len(data), crc)
    path = FLASH if place == Place.flash else ROM
    if place == Place.flash:
        _to_flash(board, data, crc, room["flash"], progress)
    else:
        _to_rom(board, data, crc, room["rom"], replace, progress)
    board.soft_reset()
    board.exec("import ditmos\nditmos.load_model()", timeout=10)
    return Deployed(place, path, len(data), crc)


def check_firmware(board: Board) -> None:
    """Raises DitmosError for a board whose firmware is not of this version."""
    found = board.require_module()
    if found.ditmos != ditmos.__version__:
        raise DitmosError(
            f"{board.port}: the firmware carries ditmos {found.ditmos or 'of no version'}, "
            f"this is {ditmos.__version__}; build and flash it anew (ditmos firmware build)"
        )


def installed(board: Board) -> tuple[str, int] | None:
    """Path and CRC-32 of the model that `ditmos.load()` finds on the board; None without one."""
    board.exec("from ditmos import install as _install")
    return board.eval(f"_install.installed({NAME!r})")


def _compare(found: int, expected: int, what: str) -> None:
    if found != expected:
        raise DitmosError(f"{what}: the board computed CRC {found:08x}, expected {expected:08x}; nothing was changed")


def _send(board: Board, data: bytes, call: str, progress: BytesSent) -> None:
    """Run ``call`` on the board for each part of the data; {0} is its offset, {1} the part."""
    board.exec("from binascii import a2b_base64 as _part")
    for offset in range(0, len(data), CHUNK):
        part = b2a_base64(data[offset : offset + CHUNK], newline=False)
        board.exec(call.format(offset, f"_part({part!r})"))
        progress(min(offset + CHUNK, len(data)), len(data))


def _to_flash(board: Board, data: bytes, crc: int, free: int, progress: BytesSent) -> None:
    if len(data) > free:
        raise DitmosError(f"/flash: {free} bytes free, the model has {len(data)}; --to rom has room for more")
    part = f"{FLASH}.part"
    board.exec(f"_out = open({part!r}, 'wb')")
    _send(board, data, "_out.write({1})", progress)
    board.exec("_out.close()")
    _compare(board.eval(f"_install.crc({part!r})"), crc, part)
    board.exec(f"_install.swap({part!r}, {FLASH!r})")


def _to_rom(board: Board, data: bytes, crc: int, size: int, replace: bool, progress: BytesSent) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NAME).write_bytes(data)
        image = romfs_image(Path(folder))
    if len(image) > size:
        raise DitmosError(f"ROM: {size} bytes, the model needs {len(image)}")
    image += bytes(-len(image) % 32)  # the unit that flash is written in
    if not replace:
        _keep_old(board)
    board.exec(f"_rom = _install.Rom({len(image)})", timeout=20)
    _send(board, image, "_rom.write({0}, {1})", progress)
    board.exec("_rom.finish()")
    board.soft_reset()
    board.exec("from ditmos import install as _install")
    _compare(board.eval(f"_install.crc({ROM!r})"), crc, ROM)
    for name in (FLASH, f"{FLASH}.new"):  # found first: the old model
        board.exec(f"_install.remove({name!r})")


def _keep_old(board: Board) -> None:
    """An old model that ROM holds goes to the filesystem until the new one is there."""
    files = board.eval("__import__('os').listdir('/rom') if _install.exists('/rom') else []")
    others = [name for name in files if name != NAME]
    if others:
        raise DitmosError(f"ROM also holds {', '.join(others)}; --replace erases it")
    if NAME not in files or board.eval(f"_install.exists({FLASH!r})"):
        return
    try:
        board.exec(f"_install.copy({ROM!r}, {FLASH + '.part'!r})", timeout=20)
        board.exec(f"_install.swap({FLASH + '.part'!r}, {FLASH!r})")
    except DitmosError:
        board.exec(f"_install.remove({FLASH + '.part'!r})")
        raise DitmosError(
            "the old model in ROM fits nowhere else meanwhile, and would be lost if the transfer were cut; "
            "--replace goes ahead"
        ) from None


def _to_ram(board: Board, data: bytes, crc: int, progress: BytesSent) -> None:
    # A bytes object, filled through a view of its memory: a model copies what can be written to.
    board.exec(
        "import uctypes\n_model = None\n"
        f"_file = bytes({len(data)})\n_view = uctypes.bytearray_at(uctypes.addressof(_file), {len(data)})"
    )
    _send(board, data, f"_view[{{0}}:min({{0}} + {CHUNK}, {len(data)})] = {{1}}", progress)
    board.exec("from binascii import crc32\n_view = None")
    _compare(board.eval("crc32(_file)"), crc, "ram")
    board.exec("import _ditmos\n_model = _ditmos.Model(_file)\n_model_path = 'RAM'\n_model_crc = crc32(_file)")
