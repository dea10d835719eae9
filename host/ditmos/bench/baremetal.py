"""Programs without an operating system on simulated cores (qemu's MPS2 boards), instructions counted exactly.

A program is linked from C sources, the start-up code in ``bare/`` and parts of cmodule/. The host loads its input into
PSRAM; it answers with lines of text over semihosting.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack

from ditmos.errors import DitmosError
from ditmos.paths import BUILD, SOURCES

HERE = Path(__file__).parent / "bare"
PSRAM_SIZE = 16 << 20
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
FLAGS = ("-mthumb", "-std=gnu99", "-Os", "-DNDEBUG")  # as the firmware is built
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wpointer-arith", "-Wdouble-promotion")


@dataclass(frozen=True)
class Core:
    """A core and the board of qemu's that has it.

    cpu, fpu: as gcc calls them. code, ram, psram: where memory lies. timer: address of a CMSDK timer, and ``tick`` the
    nanoseconds that it counts.
    """

    cpu: str
    fpu: str
    machine: str
    psram: int
    code: int = 0
    ram: int = 0x20000000
    timer: int = 0x40000000
    tick: int = 40

    @property
    def cpu_flags(self) -> list[str]:
        """Of the compiler, for code that is to run there."""
        return [f"-mcpu={self.cpu}", f"-mfpu={self.fpu}", "-mfloat-abi=hard"]

    @property
    def board_flags(self) -> list[str]:
        """For programs with the start-up code in ``bare/``."""
        places = {"PSRAM": self.psram, "TIMER": self.timer, "TICK": self.tick}
        return [
            *(f"-DBARE_{name}={value:#x}" for name, value in places.items()),
            *(f"-Wl,--defsym=BARE_{name}={value:#x}" for name, value in {"CODE": self.code, "RAM": self.ram}.items()),
        ]


M7 = Core("cortex-m7", "fpv5-d16", "mps2-an500", 0x60000000)
M4 = Core("cortex-m4", "fpv4-sp-d16", "mps2-an386", 0x21000000)
# In the secure state, where it starts; memory and timer by their secure addresses.
M33 = Core("cortex-m33", "fpv5-sp-d16", "mps2-an505", 0x80000000, 0x10000000, 0x38000000, 0x50000000, 50)


def missing_tools() -> list[str]:
    """Programs that this module needs and that are not installed."""
    return [tool for tool in TOOLS if not shutil.which(tool)]


def build(
    name: str,
    sources: Iterable[Path],
    parts: Sequence[str],
    *,
    folder: Path | None = None,
    flags: Sequence[str] = (),
    core: Core = M7,
) -> Path:
    """Link ``sources`` with the files of cmodule/ that match the patterns ``parts``; returns the ELF file.

    Raises:
        DitmosError: no compiler, or it fails.
    """
    if missing := missing_tools():
        raise DitmosError(f"bench: not installed: {', '.join(missing)}")
    cmodule = SOURCES / "cmodule"
    folder = folder or BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    elf = folder / f"{name}.elf"
    found = sorted({path for part in parts for path in cmodule.glob(part)})
    command = [
        "arm-none-eabi-gcc",
        *core.cpu_flags,
        *core.board_flags,
        *FLAGS,
        *WARNINGS,
        "-ffunction-sections",
        "-fdata-sections",
        *flags,
    ]
    command += [
        "-I",
        str(cmodule),
        "-I",
        str(HERE),
        "-nostartfiles",
        "--specs=nosys.specs",
        "-T",
        str(HERE / "bare.ld"),
    ]
    command += ["-Wl,--gc-sections,--no-warn-rwx-segments", *map(str, [HERE / "start.c", *sources, *found])]
    done = subprocess.run([*command, "-lm", "-o", str(elf)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        error = next((line for line in done.stderr.splitlines() if "error" in line or "undefined" in line), "")
        raise DitmosError(f"bench: {name} does not build: {error or done.stderr.strip()[-200:]}")
    return elf


def run(elf: Path, data: bytes, timeout: float = 300, core: Core = M7) -> list[str]:
    """Lines that the program, built for ``core``, prints, given ``data`` in PSRAM.

    Raises:
        DitmosError: it stops with an error, does not end, or the data do not fit.
    """
    if len(data) > PSRAM_SIZE:
        raise DitmosError(f"bench: {len(data)} bytes of input, room for {PSRAM_SIZE}")
    with tempfile.NamedTemporaryFile(suffix=".input") as image:  # of its own: others may run the same program
        image.write(data)
        image.flush()
        command = ["qemu-system-arm", "-machine", core.machine, "-nographic", "-monitor", "null", "-serial", "null"]
        command += ["-semihosting", "-icount", "shift=8", "-kernel", str(elf)]
        command += ["-device", f"loader,file={image.name},addr={core.psram:#x},force-raw=on"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise DitmosError(f"bench: {elf.name} did not end within {timeout:.0f} s") from None
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
    if done.returncode:
        raise DitmosError(f"bench: {elf.name} stopped with code {done.returncode}: {' / '.join(lines[-2:])}")
    return lines


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


# ----- models -----------------------------------------------------------------------------------------------------

FRONTEND_PARTS = ("file.c", "frontend*.c", "operations.c", "spectrum*.[cS]", "summary.c", "forest.c")
MODEL_PARTS = (
    *FRONTEND_PARTS,
    "model.c",
    "section*.c",
    "inputs.c",
    "plan*.c",
    "padding.c",
    "engine.c",
    "slide.c",
    "feed.c",
    "kernels*.[cS]",
)


@dataclass(frozen=True)
class ModelRun:
    """``load`` and ``slices``: instructions of taking in a window, and of each slice."""

    differing: int
    arena_bytes: int
    load: int
    slices: tuple[int, ...]

    @property
    def instructions(self) -> int:
        return self.load + sum(self.slices)


def build_models(*, portable: bool = False, folder: Path | None = None, core: Core = M7) -> Path:
    """The program that runs model files; ``portable``: without the DSP kernels, made for speed as these are."""
    name, flags = ("models-portable", ["-DDITMOS_PORTABLE", "-O2"]) if portable else ("models", [])
    name += "" if core is M7 else f"-{core.cpu}"
    return build(name, [HERE / "models.c"], MODEL_PARTS, folder=folder, flags=flags, core=core)


def models_input(models: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Of model files and their golden vectors (`ditmos.bench.golden.vectors`)."""
    parts = (pack("<I", len(part)) + padded(part) for pair in models for part in pair)
    return b"".join(parts) + bytes(4)


def run_models(
    elf: Path, models: Sequence[tuple[bytes, bytes]], timeout: float = 300, core: Core = M7
) -> list[ModelRun]:
    """Run every window and classifier of the golden vectors.

    Raises:
        DitmosError: a model is refused, or the program fails.
    """
    runs: list[ModelRun] = []
    for line in run(elf, models_input(models), timeout, core):
        if line.startswith("refused"):
            raise DitmosError(f"bench: model {len(runs)} is {line}")
        wrong, arena, load, *slices = map(int, line.split())
        runs.append(ModelRun(wrong, arena, load, tuple(slices)))
    if len(runs) != len(models):
        raise DitmosError(f"bench: {len(runs)} answers to {len(models)} models")
    return runs
