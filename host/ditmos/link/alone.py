"""A board that works without a host: the main.py that `ditmos deploy --run` puts there, the driver beside it."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditmos.datasets.surroundings import SLOWEST_HZ, silent_classes
from ditmos.errors import DitmosError
from ditmos.frontends.frontend import own_affine
from ditmos.link.board import Board
from ditmos.link.record import DRIVERS, driver_file, trying
from ditmos.model.quantized import QuantizedModel
from ditmos.text import read_text

MAIN = "/flash/main.py"
_MARK = '"""Put here by ditmos deploy --run'
_START = 4.0  # seconds in which a main.py says that it listens, or why not
_TROUBLE = 2.0  # and until a sensor that sends nothing is found out


@dataclass(frozen=True)
class Settings:
    """Of `ditmos.alone.run`, as the command line has them; None: what suits the model.

    sensor: a driver, as `ditmos record` takes it. events: what makes `hear`, with its settings, of ditmos.events.
    calibrate: seconds.
    """

    sensor: str = "Simulated"
    hop: int | None = None
    events: str | None = None
    gate: int = 0
    calibrate: float = 0
    led: str | None = None


def main_program(model: QuantizedModel, settings: Settings, module: str, driver: str) -> str:
    """The text of main.py: ``driver`` is an expression, of names in ``module``.

    Raises:
        DitmosError: settings that are none.
    """
    if settings.calibrate and (not model.front_end or own_affine(model.front_end.operations) is None):
        raise DitmosError("calibrate: the model has no scale of a wearer, expected one of EEG or a wristband")
    hop = settings.hop or (4 if model.front_end else max(1, model.spec.window // 2))
    rows = model.front_end.kept_rows(model.spec.window) if model.front_end else model.spec.window
    if hop > rows:
        raise DitmosError(f"hop is {hop}, expected at most the {rows} rows of a window")
    events = settings.events or default_events(model)
    made = _call(events)
    if driver.partition("(")[0] == made:
        raise DitmosError(f"events {events!r}: the sensor has that name")
    lines = [
        f'{_MARK}: edit it as you like, it runs at each start of the board (docs/howto/alone.md)."""',
        "",
        "from ditmos.alone import run",
        f"from ditmos.events import {made}",
        f"from {module} import {driver.partition('(')[0]}",
        "",
        "run(",
        f"    lambda: {driver if '(' in driver else driver + '()'},",
        f"    hop={hop},",
        f"    events=lambda: {events},",
        f"    gate={settings.gate},",
        f"    led={settings.led!r},",
        *([f"    calibrate={settings.calibrate:g},"] if settings.calibrate else []),
        ")",
        "",
    ]
    return "\n".join(lines)


def default_events(model: QuantizedModel) -> str:
    """Words and sounds are events; of activities there always is one."""
    if model.front_end is None or model.front_end.fs < SLOWEST_HZ:
        return "steady(on=0.6, off=0.4, windows=3)"
    return f"events(on=0.8, off=0.5, windows=4, quiet=10, silent={silent_classes(model.class_names)})"


def _call(expression: str) -> str:
    """Name of what an expression calls. Raises DitmosError where it is no call."""
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        node = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    raise DitmosError(f"events {expression!r}: expected a call of ditmos.events, such as events(on=0.9, windows=4)")


def install(board: Board, model: QuantizedModel, settings: Settings, *, replace: bool = False) -> None:
    """Put driver and main.py on a board that has the model; the sensor is tried first.

    Raises:
        DitmosError: no such driver, no sensor there, samples not for the model; a main.py of somebody else.
    """
    path, expression = driver_file(settings.sensor)
    program = main_program(model, settings, path.stem, expression)
    if not replace and board.exists(MAIN) and _is_somebodys(board.get(MAIN)):
        raise DitmosError(f"{MAIN} is there and not from ditmos deploy; --replace puts another in its place")
    for file in _needed(path):
        board.put(file, f"/flash/{file.name}")
    board.soft_reset()
    made = expression if "(" in expression else f"{expression}()"
    with trying(settings.sensor):
        board.exec(
            "import ditmos\nfrom ditmos.capture import check\n"
            f"from {path.stem} import {expression.partition('(')[0]}\n_sensor = {made}\n"
            "check(ditmos.load_model(), _sensor)\nif hasattr(_sensor, 'close'):\n _sensor.close()\n",
            timeout=20,
        )
    board.put(program.encode(), MAIN)


def _is_somebodys(main: bytes) -> bool:
    """Whether a main.py does something, and is not from here: a fresh board has one of a comment alone."""
    lines = (line.strip() for line in main.splitlines())
    return not main.startswith(_MARK.encode()) and any(line and not line.startswith(b"#") for line in lines)


def _needed(path: Path) -> list[Path]:
    """A driver's file, those that it imports, and what they import: from beside each, or of device/."""
    found = [path]
    for file in found:  # which grows meanwhile
        for name in _imported(file):
            places = [file.with_name(f"{name}.py"), *(driver for driver in DRIVERS if driver.stem == name)]
            there = next((place for place in places if place.is_file()), None)
            if there and there.name not in {other.name for other in found}:
                found.append(there)
    return found


def _imported(path: Path) -> list[str]:
    """Names of modules, as a file's text has them."""
    try:
        tree = ast.parse(read_text(path)[0])
    except (SyntaxError, ValueError) as error:
        raise DitmosError(f"{path}: no Python: {error}") from None
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return sorted(names)


def start(board: Board, show: Callable[[str], None]) -> None:
    """Start main.py as a reset does, and give the line back; what it says first is shown.

    Raises:
        DitmosError: it says that something is wrong, or nothing.
    """
    heard = b""
    board.reboot()
    with board.line_errors():
        line = board.serial
        end = time.monotonic() + _START
        listens = False
        while time.monotonic() < end and not re.search(rb"^error:.*\n", heard, re.MULTILINE):
            heard += line.read(line.in_waiting or 1)
            if not listens and re.search(rb"^listening.*\n", heard, re.MULTILINE):
                listens, end = True, time.monotonic() + _TROUBLE
    lines = heard.decode(errors="replace").replace("\r", "").splitlines()
    errors = [text for text in lines if text.startswith("error:")]
    if errors or not listens:
        raise DitmosError(f"{board.port}: main.py does not listen: {errors[0] if errors else _last(lines)}")
    show(next(text for text in lines if text.startswith("listening")))


def _last(lines: Sequence[str]) -> str:
    return next((text for text in reversed(lines) if text.strip()), "it says nothing")
