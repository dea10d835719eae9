"""Instructions and loads of a profile, and its cycles, estimated with llvm-mca's model of the Cortex-M7.

Each basic block is taken to repeat back to back, loads come from memory without wait states, and branches are
predicted. An estimate: how good it is on the real core, only the core can tell (docs/kernels.md).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ditmos.errors import DitmosError

VERSIONS = range(21, 13, -1)
ITERATIONS = 100
BRANCH = re.compile(r"(b|bl|blx|bx|cbz|cbnz|tbb|tbh|b(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))(\.[nw])?$")
CONDITIONAL = re.compile(r"(?P<name>[a-z0-9]+?)(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")

Blocks = Mapping[tuple[int, int], int]


def find_mca() -> str | None:
    """llvm-mca, the newest that is installed."""
    names = [*(f"llvm-mca-{version}" for version in VERSIONS), "llvm-mca"]
    return next((name for name in names if shutil.which(name)), None)


@lru_cache
def disassemble(elf: Path) -> dict[int, tuple[str, str]]:
    """Mnemonic and operands of every instruction by address."""
    command = ["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(elf)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = re.findall(r"^\s*([0-9a-f]+):\t(\S+)(?:\t(.*))?$", text, re.MULTILINE)
    return {int(address, 16): (name, operands) for address, name, operands in found}


def instructions(elf: Path, blocks: Blocks) -> int:
    code = disassemble(elf)
    return sum(count * sum(a in code for a in range(start, start + size, 2)) for (start, size), count in blocks.items())


def loads(elf: Path, blocks: Blocks) -> tuple[int, int]:
    """Load instructions, and the bytes that they load."""
    code = disassemble(elf)
    count = size = 0
    for (start, length), times in blocks.items():
        for address in range(start, start + length, 2):
            loaded = _loaded_bytes(*code[address]) if address in code else 0
            count += times * (loaded > 0)
            size += times * loaded
    return count, size


def _loaded_bytes(name: str, operands: str) -> int:
    base = name.split(".")[0]
    if base.startswith(("ldm", "pop")):
        names = re.findall(r"(\w+)(?:-(\w+))?", operands[operands.index("{") :])
        return sum(4 * (_number(last) - _number(first) + 1 if last else 1) for first, last in names)
    sizes = {"ldrb": 1, "ldrsb": 1, "ldrh": 2, "ldrsh": 2, "ldrd": 8}
    return next((size for start, size in sizes.items() if base.startswith(start)), 4 * base.startswith("ldr"))


def _number(register: str) -> int:
    names = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}
    return names[register] if register in names else int(register[1:])


def cycles(elf: Path, blocks: Blocks) -> int:
    """Estimated cycles of a profile's blocks.

    Raises:
        DitmosError: llvm-mca is not installed, or does not understand the code.
    """
    code = disassemble(elf)
    straight: Counter[tuple[int, ...]] = Counter()
    for (start, size), count in blocks.items():
        straight[tuple(a for a in range(start, start + size, 2) if a in code)] += count
    estimates = _estimate(tuple(tuple(code[a] for a in block) for block in straight))
    return round(sum(count * estimate for count, estimate in zip(straight.values(), estimates, strict=True)))


@lru_cache(maxsize=256)
def _estimate(blocks: tuple[tuple[tuple[str, str], ...], ...]) -> list[float]:
    """Cycles of one pass through each block."""
    program = find_mca()
    if program is None:
        raise DitmosError("bench: llvm-mca is not installed (any LLVM from 14 on has it)")
    lines = [".syntax unified", ".thumb"]
    for i, block in enumerate(blocks):
        lines += [f"@ LLVM-MCA-BEGIN b{i}", *(_assembly(*instruction) for instruction in block), "@ LLVM-MCA-END"]
    command = [program, "-mtriple=thumbv7em-none-eabihf", "-mcpu=cortex-m7", f"-iterations={ITERATIONS}"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "blocks.s"
        source.write_text("\n".join(lines) + "\n")
        command += ["--instruction-info=0", "--resource-pressure=0", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise DitmosError(f"bench: {program}: {done.stderr.strip().splitlines()[:1]}")
    total = re.findall(r"Code Region - b(\d+)\n.*?Total Cycles:\s+(\d+)", done.stdout, re.DOTALL)
    found = {int(i): int(count) / ITERATIONS for i, count in total}
    missing = [i for i, block in enumerate(blocks) if block and i not in found]
    if missing:
        raise DitmosError(f"bench: {program} has no estimate for {blocks[missing[0]]}")
    return [found.get(i, 0.0) for i in range(len(blocks))]


def _assembly(name: str, operands: str) -> str:
    """An instruction of a disassembly as llvm-mca can schedule it: without addresses, conditions and write-back.

    None of the three changes what the model knows about it: units, latency, registers.
    """
    operands = re.sub(r"<[^>]*>", "", operands.split(";")[0].split("@")[0]).strip()
    base = name.split(".")[0]
    if BRANCH.match(name):
        return "\tb.w\t#4"
    if re.match(r"it[te]*$", base):
        return "\tnop.w"
    if base in ("push", "pop") or base.startswith(("ldm", "stm")):
        registers = operands[operands.index("{") :].replace("pc", "lr")
        pointer = "sp" if base in ("push", "pop") else operands.split(",")[0].rstrip("!")
        if registers.count(",") == 0 and "-" not in registers:
            return f"\t{'ldr' if base[0] in 'lp' and base != 'push' else 'str'}.w\t{registers[1:-1]}, [{pointer}]"
        return f"\t{'ldm' if base == 'pop' or base.startswith('ldm') else 'stm'}.w\t{pointer}, {registers}"
    if base not in ("teq", "movs", "muls", "bics", "smmls", "mls", "adcs", "sbcs", "lsls", "asrs") and name[0] != "v":
        match = CONDITIONAL.match(base)
        if match:
            base = name = match["name"]
    if base.startswith(("ldr", "str")):
        operands = re.sub(r"\](!|, #-?\d+)$", "]", operands)
        operands = re.sub(r"\[pc, #\d+\]", "[pc, #4]", operands)
        operands = re.sub(r"^pc\b", "lr", operands)
        name = base
    return f"\t{name if '.' not in name or name.startswith('v') else base}\t{operands}"
