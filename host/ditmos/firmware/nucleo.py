"""The NUCLEO-F767ZI's firmware: build it, check the image, say what it takes of the chip."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ditmos import __version__, atomic
from ditmos.errors import DitmosError
from ditmos.firmware import tools
from ditmos.firmware.build import build as build_target
from ditmos.firmware.image import read_image
from ditmos.firmware.memorymap import DTCM, FLASH, ITCM, ROMFS, SECTORS, SRAM, sector_start
from ditmos.firmware.targets import NUCLEO
from ditmos.firmware.targets import NUCLEO_IMAGE as OUTPUT
from ditmos.paths import commit

MAX_TEXT = 512 << 10
MIN_HEAP = 330 << 10
TEXT_START = sector_start(4)  # sectors 1 to 3 are the filesystem
# What must be in the image: the module's table, and what picks a kernel.
SYMBOLS = ("ditmos_kernel_of", "ditmos_user_cmodule")
_FLASHED = (".isr_vector", ".isr_extratext", ".itcm", ".text", ".ARM", ".data")
_KERNEL_PREFIXES = ("ditmos_conv_", "ditmos_fc_")
_KERNEL_SUFFIX = "_m7"


@dataclass(frozen=True)
class Usage:
    """Bytes that an image takes.

    text: flash, without models. static: RAM for variables and for the code that runs while flash is erased.
    heap: RAM left for Python. stack: RAM. itcm: hot kernels. dtcm_cache: filesystem cache. dtcm_data: arenas.
    dtcm_copies: model files.
    """

    text: int
    static: int
    heap: int
    stack: int
    itcm: int
    dtcm_cache: int
    dtcm_data: int
    dtcm_copies: int

    def rows(self) -> list[tuple[str, int, int, str]]:
        """(what, bytes, out of, remark), in the order of the memory map."""
        return [
            ("flash: firmware", self.text, FLASH.size - ROMFS.size - SECTORS[1] * 3, "sectors 0 and 4 to 7"),
            ("flash: /rom", 0, ROMFS.size, "sectors 8 to 11, for models"),
            ("ITCM: kernels", self.itcm, ITCM.size - 0x20, ""),
            ("DTCM: filesystem cache", self.dtcm_cache, DTCM.size, ""),
            ("DTCM: arenas", self.dtcm_data, DTCM.size, "tcm.data"),
            ("DTCM: model files", self.dtcm_copies, DTCM.size, "tcm.copy()"),
            ("RAM: static", self.static, SRAM.size, ""),
            ("RAM: heap", self.heap, SRAM.size, "gc.mem_free() is some less"),
            ("RAM: stack", self.stack, SRAM.size, ""),
        ]


@dataclass(frozen=True)
class Image:
    """A checked build. ``folder`` holds firmware.elf, .bin, .hex, .dfu, firmware.json and SHA256SUMS."""

    folder: Path
    usage: Usage
    compiler: str
    sha256: dict[str, str]


def build(source: Path | None = None, jobs: int | None = None, report: Callable[[str], None] = lambda _: None) -> Image:
    """Build the firmware, check it and put it into ``build/nucleo``.

    Raises:
        DitmosError: compiler missing or too old, no MicroPython source, make fails, or the image is not as it must be.
    """
    compiler = check_compiler()
    elf = build_target("nucleo", source, jobs, report).path
    report("checking the image")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for suffix in ("elf", "hex", "dfu"):
        shutil.copyfile(elf.with_suffix(f".{suffix}"), OUTPUT / f"firmware.{suffix}")
    (OUTPUT / "firmware.bin").write_bytes(whole_flash(OUTPUT / "firmware.dfu"))
    usage = check(OUTPUT / "firmware.elf", OUTPUT / "firmware.bin")
    sha256 = {
        f"firmware.{suffix}": hashlib.sha256((OUTPUT / f"firmware.{suffix}").read_bytes()).hexdigest()
        for suffix in ("elf", "bin", "hex", "dfu")
    }
    (OUTPUT / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sha256.items()))
    versions: dict[str, Any] = {"ditmos": __version__, "commit": commit() or "unknown"}
    made_of = {key: value for key, value in atomic.read_json(NUCLEO.provenance_file).items() if key != "tree"}
    versions |= {"micropython": made_of, "compiler": compiler}
    (OUTPUT / "firmware.json").write_text(
        json.dumps({"board": "NUCLEO_F767ZI", **versions, "bytes": asdict(usage), "sha256": sha256}, indent=2) + "\n"
    )
    return Image(OUTPUT, usage, compiler, sha256)


def check_compiler() -> str:
    """Version of the cross compiler.

    Raises:
        DitmosError: there is none, or it is too old.
    """
    tools.need("arm-none-eabi-gcc")
    version = tools.version("arm-none-eabi-gcc")
    if tools.too_old("arm-none-eabi-gcc", version):
        raise DitmosError(f"arm-none-eabi-gcc {version or '?'}, expected {tools.OLDEST['arm-none-eabi-gcc']} or later")
    return version


def whole_flash(dfu: Path) -> bytes:
    """The image as one run of bytes from the start of flash, blank where the filesystem is."""
    content = bytearray()
    for address, data in sorted(read_image(dfu)):
        content += b"\xff" * (address - FLASH.start - len(content)) + data
    return bytes(content)


def check(elf: Path, binary: Path) -> Usage:
    """Check that the image holds the module, its kernels in ITCM, and their bytes where they are copied from.

    Raises:
        DitmosError: names what is missing, or what takes too much.
    """
    with elf.open("rb") as file:
        content = ELFFile(file)
        symbols = _symbols(content)
        sections = {section.name: (section["sh_addr"], section["sh_size"]) for section in content.iter_sections()}
        itcm = content.get_section_by_name(".itcm")
        code = itcm.data() if itcm else b""
        start = itcm["sh_addr"] if itcm else None
        load = next((s["p_paddr"] for s in content.iter_segments() if s["p_vaddr"] == start), 0)
    if missing := [name for name in SYMBOLS if name not in symbols]:
        raise DitmosError(f"{elf}: no {', '.join(missing)} in the image: the _ditmos module was not linked in")
    kernels = [n for n in symbols if n.startswith(_KERNEL_PREFIXES) and n.endswith(_KERNEL_SUFFIX)]
    outside = [name for name in kernels if symbols[name] not in ITCM]
    if outside or not kernels:
        raise DitmosError(f"{elf}: {', '.join(outside) or 'the kernels'}: not in ITCM")
    flashed = binary.read_bytes()[load - FLASH.start :][: len(code)]
    if load not in FLASH or flashed != code:
        raise DitmosError(f"{binary}: the {len(code)} bytes of .itcm are not at {load:#010x}")
    usage = Usage(
        text=sum(size for name, (_, size) in sections.items() if name in _FLASHED),
        static=symbols["_ebss"] - symbols["_ram_start"],
        heap=symbols["_heap_end"] - symbols["_heap_start"],
        stack=symbols["_estack"] - symbols["_sstack"],
        itcm=len(code),
        dtcm_cache=symbols["_micropy_hw_internal_flash_storage_ram_cache_end"] - DTCM.start,
        dtcm_data=symbols["_ditmos_dtcm_data_size"],
        dtcm_copies=symbols["_ditmos_dtcm_copies_size"],
    )
    if usage.text > MAX_TEXT:
        raise DitmosError(f"{elf}: {usage.text} bytes of firmware, expected at most {MAX_TEXT}")
    if usage.heap < MIN_HEAP:
        raise DitmosError(f"{elf}: {usage.heap} bytes of heap, expected at least {MIN_HEAP}")
    return usage


def _symbols(elf: ELFFile) -> dict[str, int]:
    return {
        symbol.name: symbol["st_value"]
        for table in elf.iter_sections()
        if isinstance(table, SymbolTableSection)
        for symbol in table.iter_symbols()
    }
