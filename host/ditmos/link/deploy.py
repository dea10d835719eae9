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
from ditmos.link.repl import BoardError
from ditmos.link.romfs import romfs_image
from ditmos.model.policy import Policy, own_policy
from ditmos.model.reader import read_model
from ditmos.model.use import routes

NAME = "model.dtm"
FLASH = f"/flash/{NAME}"
FOLDER = "/model"  # the newest model in ROM (device/ditmos/rom.py)
ROM = f"{FOLDER}/{NAME}"
POLICY = "/flash/policy.py"
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
    policy: Policy | None = None,
    progress: BytesSent = lambda done, total: None,
) -> Deployed:
    """Transfer a model file; afterwards `ditmos.load()` on the board finds it.

    The board is soft-reset first. The old model stays until the new one is there and its CRC is right: a transfer that
    is cut leaves the old one working, wherever the two fit into ROM together in whole sectors, or the old one into
    /flash; where they do not, this raises unless ``replace`` says that the old one, and other files in ROM, may go
    first. ``place`` None: a file if it fits into the heap when loaded, else ROM. ``progress`` is called with (bytes
    sent, bytes in all). ``policy``: stays on the board beside the model, for `ditmos.load()` to use instead of the one
    that the file names; without one, whatever was there before is removed.

    Raises:
        DitmosError: the file is not valid or names a policy that no firmware has, the board's firmware is another
            version, there is no room, or the board does not have in the end what was sent.
    """
    if not model.is_file():
        raise DitmosError(f"{model}: no such file, expected a model (.dtm)")
    data = model.read_bytes()
    quantized, plan = read_model(model)
    arena = plan.arena_size
    if policy is None:
        own_policy(quantized)
    elif plan.once:
        policy.check_once(quantized.spec.classifiers, routes(quantized.spec, quantized.use.rule))
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
        to_rom = "--to rom" if place == Place.flash else f"`ditmos deploy {model} --to rom`, once,"
        raise DitmosError(
            f"{model}: in {place} it takes {copied} bytes of heap, the board has {room['heap']}; "
            f"{to_rom} leaves the weights where they are"
        )
    if place == Place.ram:
        if policy:
            raise DitmosError("a policy stays on the board in flash, not in ram: --to flash, or stream --policy")
        _to_ram(board, data, crc, progress)
        return Deployed(place, "", len(data), crc)
    path = FLASH if place == Place.flash else ROM
    if place == Place.flash:
        _to_flash(board, data, crc, room["flash"], progress)
    else:
        _to_rom(board, data, crc, room["rom"], replace, progress)
    _put_policy(board, policy)
    board.soft_reset()
    board.exec(f"import ditmos\nditmos.load{'' if policy else '_model'}()", timeout=10)
    return Deployed(place, path, len(data), crc)


def _put_policy(board: Board, policy: Policy | None) -> None:
    board.exec("from ditmos import install as _install")
    if policy is None:
        for name in (POLICY, f"{POLICY}.new"):
            board.exec(f"_install.remove({name!r})")
        return
    board.put(policy.program.encode(), POLICY)


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


def _compare(found: int, expected: int, where: str, changed: str = "nothing was changed") -> None:
    if found != expected:
        raise DitmosError(f"{where}: the board computed CRC {found:08x}, expected {expected:08x}; {changed}")


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


def _to_rom(board: Board, data: bytes, crc: int, room: int, replace: bool, progress: BytesSent) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NAME).write_bytes(data)
        image = romfs_image(Path(folder))
    image += bytes(-len(image) % 32)  # the unit that flash is written in
    offset, kept = _place(board, len(image), room, replace)
    board.exec(f"_rom_out = _rom.Writer({offset}, {len(image)})", timeout=30)
    _send(board, image, "_rom_out.write({0}, {1})", progress)
    what = "nothing was changed: the old model is in use" if kept else "the old model was erased before, ROM has none"
    _compare(board.eval("_rom_out.crc()"), zlib.crc32(image), ROM, what)
    board.exec("_rom_out.finish()")
    board.soft_reset()
    board.exec("from ditmos import install as _install")
    what = f"the old model is lost; deploy again, or delete {FOLDER} by: mpremote romfs deploy"
    _compare(board.eval(f"_install.crc({ROM!r})"), crc, ROM, what)
    for name in (FLASH, f"{FLASH}.new"):  # found first: the old model
        board.exec(f"_install.remove({name!r})")


def _place(board: Board, size: int, room: int, replace: bool) -> tuple[int, bool]:
    """Where in ROM a model goes, and whether the old one stays in use meanwhile: beside it in ROM, or in /flash.

    Raises:
        DitmosError: there is no room, or none but in the place of what nothing else holds.
    """
    board.exec("from ditmos import rom as _rom")

    def place(options: str) -> int | None:
        found: int | None = board.eval(f"_rom.place({size}{options})")
        return found

    if (offset := place("")) is not None:
        return offset, True
    others = board.eval("__import__('os').listdir('/rom') if _install.exists('/rom') else []")
    foreign = [name for name in others if name != NAME]
    offset = place(", model=False")
    if offset is None:
        if foreign and not replace:
            raise DitmosError(f"ROM also holds {', '.join(foreign)}, and has no room beside; --replace erases it")
        offset = place(", model=False, plain=False")
    if offset is None:
        raise DitmosError(f"ROM: {room} bytes, the model needs {size + 32}")
    kept = _old_in_flash(board)
    if not kept and not replace:
        sectors, new, old = board.eval(f"_rom.sectors({size})")
        raise DitmosError(
            f"ROM has {sectors} sectors of 256 KiB: the new model takes {new} of them, the old one {old}, which fits "
            "nowhere else meanwhile and would be lost if the transfer were cut; --replace goes ahead"
        )
    return offset, kept


def _old_in_flash(board: Board) -> bool:
    """Whether /flash holds a model while ROM is written: one that is there, or a copy of ROM's, if it has room."""
    if board.eval(f"_install.exists({FLASH!r})"):
        return True
    found = installed(board)
    if found is None:
        return True  # there is no old model
    try:
        board.exec(f"_install.copy({found[0]!r}, {FLASH + '.part'!r})", timeout=20)
        board.exec(f"_install.swap({FLASH + '.part'!r}, {FLASH!r})")
    except BoardError:
        board.exec(f"_install.remove({FLASH + '.part'!r})")
        return False
    return True


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
