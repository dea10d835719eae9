"""What a bare-metal program executes, block by block, in a CPU emulator.

Only blocks are watched: the emulator's hooks on single memory accesses disturb conditional instructions.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ditmos.bench.baremetal import M7, PSRAM_SIZE
from ditmos.errors import DitmosError

REGIONS = ((0x00000000, 4 << 20), (0x20000000, 4 << 20), (0x40000000, 0x1000), (0xE000E000, 0x1000))
SYS_WRITE0, SYS_EXIT = 0x04, 0x20


Blocks = Counter[tuple[int, int]]  # how often the code at (address, bytes) ran


def profile(elf: Path, data: bytes, mark: str = "bare_mark") -> list[Blocks]:
    """Run a program for the Cortex-M7 on ``data``: the blocks between two calls of ``mark``, for each such part.

    Raises:
        DitmosError: the program faults.
    """
    import unicorn
    from unicorn import arm_const as arm

    with elf.open("rb") as file:
        image = ELFFile(file)
        table = image.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)  # the linker was not told to strip it
        symbols = {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}
        segments = [(s["p_paddr"], s.data()) for s in image.iter_segments() if s["p_type"] == "PT_LOAD"]
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
    for address, size in (*REGIONS, (M7.psram, PSRAM_SIZE)):
        machine.mem_map(address, size)
    for address, content in segments:
        machine.mem_write(address, content)
    machine.mem_write(M7.psram, data)
    parts: list[Blocks] = []
    current: list[Blocks] = []
    marker = symbols[mark] & ~1
    failure: list[str] = []

    def on_block(_machine: unicorn.Uc, address: int, size: int, _data: object) -> None:
        if address == marker:
            if current:
                parts.append(current.pop())
            else:
                current.append(Counter())
        elif current:
            current[0][address, size] += 1

    def on_interrupt(uc: unicorn.Uc, _number: int, _data: object) -> None:
        operation = uc.reg_read(arm.UC_ARM_REG_R0)
        pc = uc.reg_read(arm.UC_ARM_REG_PC)
        if bytes(uc.mem_read(pc, 2)) != b"\xab\xbe":
            failure.append(f"fault at {pc:#x}")
            uc.emu_stop()
        elif operation == SYS_EXIT:
            uc.emu_stop()
        else:
            uc.reg_write(arm.UC_ARM_REG_PC, pc + 2 | 1)

    machine.hook_add(unicorn.UC_HOOK_BLOCK, on_block)
    machine.hook_add(unicorn.UC_HOOK_INTR, on_interrupt)
    stack = int.from_bytes(machine.mem_read(0, 4), "little")
    machine.reg_write(arm.UC_ARM_REG_SP, stack)
    machine.reg_write(arm.UC_ARM_REG_C1_C0_2, 0xF << 20)
    machine.reg_write(arm.UC_ARM_REG_FPEXC, 1 << 30)
    try:
        machine.emu_start(symbols["reset"] | 1, 0xFFFFFFFF)
    except unicorn.UcError as error:
        failure.append(f"{error} at {machine.reg_read(arm.UC_ARM_REG_PC):#x}")
    if failure:
        raise DitmosError(f"bench: {elf.name}: {failure[0]}")
    return parts
