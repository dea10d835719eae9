"""Models that emlearn converted to C: answers on the host, and on the simulated Cortex-M7 instructions and flash too.

Features are given: making them from the window is not part of the count.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
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
_ASK = """#include MODEL_HEADER
void ask(const MODEL_TYPE *x, int32_t rows, int32_t features, int32_t *found) {
    for (int32_t i = 0; i < rows; i++) {
        found[i] = model_predict(x + i * features, features);
    }
}
"""
_EMPTY = "#include <stdint.h>\nstatic int32_t model_predict(const void *x, int32_t n) { (void)x; return n & 0; }\n"

Save = Callable[[Path], object]


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


def answers(save: Save, x: NDArray) -> NDArray[np.int32]:
    """Compile a model on the host and ask it: class (N,) of every row. Arguments as in `run`.

    emlearn's own way, a program that reads numbers as text, ends at lines of 2 KB.

    Raises:
        DitmosError: no C compiler, or it fails.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise DitmosError("emlearn's models need a C compiler, cc, gcc or clang; none is installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder / "model.h")
        (folder / "ask.c").write_text(_ASK)
        command = [compiler, "-O1", "-shared", "-fPIC", *_flags(x, folder / "model.h"), str(folder / "ask.c")]
        done = subprocess.run([*command, "-lm", "-o", str(folder / "ask.so")], capture_output=True, text=True)
        if done.returncode:
            raise DitmosError(f"emlearn's model does not build: {done.stderr.strip()[-200:]}")
        library = ctypes.CDLL(str(folder / "ask.so"))
    x, found = np.ascontiguousarray(x), np.empty(len(x), np.int32)
    library.ask(ctypes.c_void_p(x.ctypes.data), *map(ctypes.c_int32, x.shape), ctypes.c_void_p(found.ctypes.data))
    return found


def _flags(x: NDArray, header: Path) -> list[str]:
    kind = {np.dtype(np.int16): "int16_t", np.dtype(np.float32): "float"}[x.dtype]
    names = [f"-DMODEL_TYPE={kind}", f'-DMODEL_HEADER="{header}"']
    return [*_FLAGS, *names, "-isystem", str(Path(str(load_emlearn().__file__)).parent)]


def run(save: Save, x: NDArray, expected: NDArray) -> OnBoard:
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder / "model.h")
        (folder / "empty.h").write_text(_EMPTY)
        model, empty = (
            baremetal.build(
                header.stem, [baremetal.HERE / "handmade.c"], [], folder=folder, flags=_flags(x, header)
            )
            for header in (folder / "model.h", folder / "empty.h")
        )  # fmt: skip
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
