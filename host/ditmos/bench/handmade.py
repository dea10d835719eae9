"""Models that emlearn converted to C, on the simulated Cortex-M7: answers, instructions and bytes of flash.

Features are given: making them from the window is not part of the count.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from types import ModuleType

import numpy as np
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from ditmos.bench import baremetal
from ditmos.errors import DitmosError

# emlearn's headers and what it generates are not free of warnings.
_FLAGS = ("-w", "-DEML_LOG_ENABLE=0")
_EMPTY = "#include <stdint.h>\nstatic int32_t model_predict(const void *x, int32_t n) { (void)x; return n & 0; }\n"


@dataclass(frozen=True)
class OnBoard:
    """instructions: of one answer, the mean over the rows. flash_bytes: code and constants of the model, with what it
    takes from the C library. ram_bytes: its variables, without the stack. differing: rows whose answer is not the
    expected one."""

    instructions: float
    flash_bytes: int
    ram_bytes: int
    differing: int


def load_emlearn() -> ModuleType:
    """The package. Importing it makes numpy raise on every underflow, in the whole process; that is undone here."""
    before = np.geterr()
    import emlearn

    np.seterr(**before)
    return emlearn


def run(save: Callable[[Path], None], x: NDArray, expected: NDArray) -> OnBoard:
    """Build and run one model.

    Args:
        save: writes the model as a C header, whose function is ``model_predict``.
        x: features (N, F), int16 or float32 as the model takes them.
        expected: class (N,) of every row.

    Raises:
        DitmosError: no compiler or emulator, or the model does not build or run.
    """
    if missing := baremetal.missing_tools():
        raise DitmosError(f"bench: not installed: {', '.join(missing)}")
    kind = {np.dtype(np.int16): "int16_t", np.dtype(np.float32): "float"}[x.dtype]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder / "model.h")
        (folder / "empty.h").write_text(_EMPTY)
        flags = [*_FLAGS, f"-DMODEL_TYPE={kind}", "-isystem", str(Path(load_emlearn().__file__).parent)]
        model, empty = (
            baremetal.build(
                header,
                [baremetal.HERE / "handmade.c"],
                [],
                folder=folder,
                flags=[*flags, f'-DMODEL_HEADER="{folder / header}.h"'],
            )
            for header in ("model", "empty")
        )
        data = pack("<II", *x.shape) + baremetal.padded(x.tobytes()) + np.asarray(expected, "<i4").tobytes()
        differing, high, low = map(int, baremetal.run(model, data)[0].split())
        flash, ram = (a - b for a, b in zip(_sizes(model), _sizes(empty), strict=True))
    return OnBoard(((high << 32) + low) / len(x), flash, ram, differing)


def _sizes(elf: Path) -> tuple[int, int]:
    """Bytes of an image that are stored (code, constants, initial values), and bytes of its variables."""
    flash = ram = 0
    with elf.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            flags, size = section["sh_flags"], section["sh_size"]
            if flags & SH_FLAGS.SHF_ALLOC:
                flash += size if section["sh_type"] != "SHT_NOBITS" else 0
                ram += size if flags & SH_FLAGS.SHF_WRITE else 0
    return flash, ram
