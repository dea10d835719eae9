"""Put a firmware image on a NUCLEO-F767ZI with whatever tool is there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ditmos.errors import DitmosError
from ditmos.firmware.image import read_image

VOLUME = "NODE_F767ZI"  # name under which the ST-LINK shows itself as a disk
_MOUNTS = ("/media", "/run/media", "/mnt", "/Volumes")
TIMEOUT = 300  # seconds for one command


@dataclass(frozen=True)
class Plan:
    """One way to flash: what to tell the user first, then the commands."""

    method: str
    remark: str
    commands: list[list[str]]


def find_volume(roots: tuple[str, ...] = _MOUNTS) -> Path | None:
    """Where the ST-LINK's disk is mounted."""
    for root in roots:
        for depth in ("", "*/"):
            for found in Path(root).glob(f"{depth}{VOLUME}"):
                if found.is_dir():
                    return found
    return None


def _mass_storage(folder: Path, parts: Path) -> Plan | None:
    volume = find_volume()
    if volume is None:
        return None
    return Plan(
        "ST-LINK mass storage",
        "one file over the whole firmware area: the files in /flash are erased too",
        [["cp", str(folder / "firmware.bin"), f"{volume}/"], ["sync"]],
    )


def _st_flash(folder: Path, parts: Path) -> Plan | None:
    if not shutil.which("st-flash"):
        return None
    commands = []
    segments = sorted(read_image(folder / "firmware.dfu"))
    for index, (address, data) in enumerate(segments):
        part = parts / f"{address:#010x}.bin"
        part.write_bytes(data)
        last = ["--reset"] if index == len(segments) - 1 else []
        commands.append(["st-flash", *last, "write", str(part), f"{address:#010x}"])
    return Plan("st-flash", "the files in /flash are kept", commands)


def _openocd(folder: Path, parts: Path) -> Plan | None:
    if not shutil.which("openocd"):
        return None
    program = f"program {folder / 'firmware.hex'} verify reset exit"
    return Plan("OpenOCD", "the files in /flash are kept", [["openocd", "-f", "board/st_nucleo_f7.cfg", "-c", program]])


def _dfu_util(folder: Path, parts: Path) -> Plan | None:
    if not shutil.which("dfu-util"):
        return None
    return Plan(
        "dfu-util",
        "the files in /flash are kept; the board must be in DFU mode: USB cable in CN13, machine.bootloader()",
        [["dfu-util", "-a", "0", "-d", "0483:df11", "-D", str(folder / "firmware.dfu"), "-s", ":leave"]],
    )


METHODS: dict[str, Callable[[Path, Path], Plan | None]] = {
    "stlink": _mass_storage,
    "st-flash": _st_flash,
    "openocd": _openocd,
    "dfu-util": _dfu_util,
}


def flash(folder: Path, method: str | None, confirm: Callable[[Plan], bool]) -> Plan | None:
    """Flash the image in ``folder`` by ``method`` or the first one that is there, if ``confirm`` agrees to its plan.

    Returns the plan that was carried out, None if it was declined.

    Raises:
        DitmosError: no such method, none is there, or a command fails.
    """
    if method is not None and method not in METHODS:
        raise DitmosError(f"method {method!r}, expected one of {', '.join(METHODS)}")
    with tempfile.TemporaryDirectory() as parts:
        candidates = [METHODS[method]] if method else list(METHODS.values())
        plan = next((found for make in candidates if (found := make(folder, Path(parts)))), None)
        if plan is None:
            raise DitmosError(
                f"no way to flash with {method or 'any method'}: connect the board's CN1 so that the disk {VOLUME} is "
                "mounted, or install stlink-tools, openocd or dfu-util"
            )
        if not confirm(plan):
            return None
        for command in plan.commands:
            try:
                done = subprocess.run(command, timeout=TIMEOUT)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise DitmosError(f"{plan.method}: {error}") from error
            if done.returncode:
                raise DitmosError(f"{plan.method}: `{' '.join(command)}` ended with exit code {done.returncode}")
    return plan
