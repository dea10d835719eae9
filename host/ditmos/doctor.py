"""What is missing or old between a person and a running board, and what to do about it."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ditmos import __version__, extras
from ditmos.errors import DitmosError
from ditmos.firmware import flashing, tools
from ditmos.firmware.targets import NUCLEO_IMAGE, SIM, UNIX, Target
from ditmos.link.ports import Port, how_to_open, ports
from ditmos.link.repl import Repl
from ditmos.paths import BUILD, checkout

Runs = Callable[[str], Repl]  # opens the board at a port
_FLASHERS = ("st-flash", "openocd", "dfu-util")
# What a command cannot do without each program.
_PROGRAMS = {
    "make": "ditmos firmware build",
    "gcc": "ditmos firmware build unix",
    "arm-none-eabi-gcc": "ditmos firmware build sim or nucleo",
    "qemu-system-arm": "ditmos sim",
}
_EXTRAS = {
    "firmware": "ditmos firmware build",
    "import": "ditmos data import, streams of text",
    "edf": "ditmos data import of EDF and BDF",
    "train": "ditmos train, sweep, report, demo",
    "emulator": "ditmos sim --board nucleo, ditmos bench estimate",
    "models": "ditmos import-model",
    "cluster": "ditmos sweep --ray",
    "ui": "ditmos ui",
}


class State(StrEnum):
    """ok; absent: some command needs it, others do not; wrong: there, and of no use as it is."""

    ok = "ok"
    absent = "absent"
    wrong = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do; ``do`` is empty where there is nothing to do."""

    what: str
    state: State
    found: str
    do: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(port: str | None = None, *, ask: bool = True, open_board: Runs | None = None) -> Iterator[Finding]:
    """Look at this machine, at the firmware built here, and at the board.

    Args:
        port: of the board; else the one ST-LINK. ask: open it and ask what it runs, which interrupts its program.
    """
    where = "a checkout" if checkout() else f"installed; outputs in {BUILD}"
    yield Finding("ditmos", State.ok, f"{__version__}, {where}, Python {platform.python_version()}")
    yield from (_extra(name) for name in extras.EXTRAS)
    yield from (_program(tool) for tool in _PROGRAMS if tool != "qemu-system-arm" or sys.platform == "linux")
    yield from (_built(target) for target in (SIM, UNIX))
    yield _image()
    yield _flasher()
    found = ports()
    yield from _access(found, port)
    if ask:
        yield from _board(found, port, open_board or (lambda at: Repl(at, soft_reset=False)))


def _extra(name: str) -> Finding:
    missing = extras.missing(name)
    needed = f" (for {_EXTRAS[name]})" if name in _EXTRAS else ""
    if missing:
        return Finding(f"extra {name}", State.absent, f"no {', '.join(missing)}{needed}", extras.how_to_get(name))
    return Finding(f"extra {name}", State.ok, "installed")


def _program(tool: str) -> Finding:
    if not shutil.which(tool):
        return Finding(tool, State.absent, f"not found (for {_PROGRAMS[tool]})", tools.how_to_get(tool))
    version = tools.version(tool)
    if tools.too_old(tool, version):
        return Finding(
            tool, State.wrong, f"{version or '?'}, expected {tools.OLDEST[tool]} or later", tools.how_to_get(tool)
        )
    return Finding(tool, State.ok, version or "found")


def _built(target: Target) -> Finding:
    what, do = f"firmware {target.name}", f"ditmos firmware build {target.name}"
    try:
        target.built()
    except DitmosError:
        return Finding(what, State.absent, "not built yet", do)
    return _same_version(what, target.version_file.read_text() if target.version_file.is_file() else "?", do)


def _image() -> Finding:
    file, do = NUCLEO_IMAGE / "firmware.json", "ditmos firmware build nucleo"
    if not file.is_file():
        return Finding("firmware nucleo", State.absent, "no image built yet", do)
    try:
        built = str(json.loads(file.read_text())["ditmos"])
    except (OSError, ValueError, KeyError):
        return Finding("firmware nucleo", State.wrong, f"{file} is damaged", do)
    return _same_version("firmware nucleo", built, do)


def _same_version(what: str, found: str, do: str) -> Finding:
    if found != __version__:
        return Finding(what, State.wrong, f"of ditmos {found}, this is {__version__}", do)
    return Finding(what, State.ok, f"of ditmos {found}")


def _flasher() -> Finding:
    if volume := flashing.find_volume():
        return Finding("way to flash", State.ok, f"the ST-LINK's disk, {volume}")
    if tool := next((tool for tool in _FLASHERS if shutil.which(tool)), None):
        return Finding("way to flash", State.ok, tool)
    return Finding(
        "way to flash", State.absent, f"no disk {flashing.VOLUME}, no {', '.join(_FLASHERS)}",
        f"connect the board's CN1, or: {tools.how_to_get('openocd')}",
    )  # fmt: skip


def _access(found: list[Port], port: str | None) -> Iterator[Finding]:
    for item in found:
        if not item.board and item.device != port:
            continue
        what = f"port {item.device}"
        if item.usable:
            yield Finding(what, State.ok, item.board or item.description)
        else:
            yield Finding(what, State.wrong, f"{item.board}: no permission", how_to_open(item.device))


def _board(found: list[Port], port: str | None, open_board: Runs) -> Iterator[Finding]:
    links = [item.device for item in found if item.stlink]
    if port is None and len(links) != 1:
        if links:
            yield Finding("board", State.absent, f"several: {', '.join(links)}", "name one with --port")
        else:
            do = "connect a NUCLEO board's CN1, or start a simulated one (ditmos sim) and name its port with --port"
            yield Finding("board", State.absent, "no ST-LINK is plugged in", do)
        return
    at = port or links[0]
    flash = "ditmos firmware build nucleo, then ditmos firmware flash nucleo (of a simulated board: build sim)"
    try:
        with open_board(at) as board:
            probe = board.probe()
    except DitmosError as error:
        yield Finding("board", State.wrong, str(error), f"reset the board; if that does not help: {flash}")
        return
    said = f"{probe.machine}, MicroPython {probe.micropython}"
    if not probe.module:
        yield Finding("board", State.wrong, f"{said}, without the _ditmos module", flash)
    elif probe.ditmos != __version__:
        yield Finding("board", State.wrong, f"{said}, ditmos {probe.ditmos or '?'}; this is {__version__}", flash)
    else:
        yield Finding("board", State.ok, f"{said}, ditmos {probe.ditmos}")
