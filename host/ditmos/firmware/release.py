"""The release archive: firmware images, device files for ``mpremote mip install``, checksums, licences."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ditmos import __version__
from ditmos.errors import DitmosError
from ditmos.firmware.targets import NUCLEO_IMAGE, nucleo_image
from ditmos.paths import SOURCES

_IMAGES = ("firmware.bin", "firmware.dfu", "firmware.hex", "firmware.elf", "firmware.json")
# Of the device package, what works without a host: both halves do not fit into the 96 KiB of a board's file system.
_ALONE = ("alone", "files", "record")
_FROZEN = ("capture", "listen", "sensing")  # likewise, and the other half needs it: a firmware of ours has it
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file, so that equal contents give an equal archive
# Where the licence of each part of the images is: a file of its own, or the comment at the head of a source file.
_LICENCES = {
    "MicroPython": "LICENSE",
    "stm32lib-CMSIS": "lib/stm32lib/CMSIS/STM32F7xx/Include/stm32f767xx.h",
    "stm32lib-HAL": "lib/stm32lib/STM32F7xx_HAL_Driver/Src/stm32f7xx_hal.c",
    "CMSIS": "lib/cmsis/inc/core_cm7.h",
    "USB-device-library": "ports/stm32/usbdev/core/src/usbd_core.c",
    "oofatfs": "lib/oofatfs/ff.c",
    "littlefs": "lib/littlefs/lfs2.c",
    "uzlib": "lib/uzlib/tinflate.c",
    "re1.5": "lib/re1.5/re1.5.h",
    "libm": "lib/libm_dbl/README",
}
_NOTICE = """The images in firmware/ contain the parts whose licences are in this folder, and libgcc
(GPL-3.0 with the GCC Runtime Library Exception, which lets it be part of images under any licence).
MicroPython.txt lists the licences of all of MicroPython's parts, including those that are not in the images.
"""


def release(source: Path, folder: Path) -> Path:
    """Write ``ditmos-VERSION.zip`` of the images that were built from the MicroPython tree ``source``.

    Raises:
        DitmosError: no image has been built, or the tree has no licence texts.
    """
    nucleo_image("dfu")
    top = f"ditmos-{__version__}"
    files: dict[str, bytes] = {f"firmware/NUCLEO_F767ZI/{name}": (NUCLEO_IMAGE / name).read_bytes() for name in _IMAGES}
    device = SOURCES / "device"
    for path in sorted(device.rglob("*.py")):
        if path.name != "manifest.py":
            files[f"device/{path.relative_to(device)}"] = path.read_bytes()
    files |= {f"device/{name}": data for name, data in packages(device).items()}
    files |= _licences(source)
    files["SHA256SUMS"] = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())
    ).encode()
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{top}.zip"
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{top}/{name}", _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            out.writestr(entry, data)
    partial.replace(archive)
    return archive


def packages(device: Path, native: str = "", suffix: str = ".py") -> dict[str, bytes]:
    """Of the device package, for ``mpremote mip install DIRECTORY/NAME``: inference, streams; work without a host.

    ``native``: the module beside the package that the first half brings, to a firmware that has nothing of ours: all
    that its files import is among them then. Else what is not installed is taken from the firmware. ``suffix``: of the
    package's files.
    """
    stems = sorted(path.stem for path in (device / "ditmos").glob("*.py"))
    later = _ALONE if native else _ALONE + _FROZEN
    alone = [f"ditmos/{stem}{suffix}" for stem in stems if stem in later]
    rest = [f"ditmos/{stem}{suffix}" for stem in stems if stem not in later]
    return {"package.json": _package([native, *rest] if native else rest), "package-alone.json": _package(alone)}


def _package(files: Sequence[str]) -> bytes:
    urls = [[file, file] for file in files]
    return (json.dumps({"urls": urls, "version": __version__}, indent=2) + "\n").encode()


def _licences(source: Path) -> dict[str, bytes]:
    files = {"licences/DiTMoS.txt": (SOURCES / "LICENSE").read_bytes(), "licences/NOTICE.txt": _NOTICE.encode()}
    for name, where in _LICENCES.items():
        try:
            text = (source / where).read_text(errors="replace")
        except OSError as error:
            raise DitmosError(f"{source / where}: no licence text of {name} ({error.strerror})") from error
        if where.endswith((".c", ".h")):
            text = _head(text)
        files[f"licences/{name}.txt"] = text.encode()
    return files


def _head(text: str) -> str:
    """The comments at the head of a source file, as far as one that speaks of the licence."""
    found = 0
    for end in (match.end() for match in re.finditer(r"\*/|(?:^//.*\n)+", text, re.MULTILINE)):
        found = end
        if re.search("licen[cs]e|redistribut", text[:end], re.IGNORECASE):
            break
    return text[:found] + "\n"
