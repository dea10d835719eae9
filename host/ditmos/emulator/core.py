"""The Cortex-M7: unicorn executes instructions, this file adds what an M-profile core does around them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_BLOCK,
    UC_HOOK_MEM_UNMAPPED,
    UC_HOOK_MEM_WRITE,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    Uc,
    UcError,
)
from unicorn.arm_const import (
    UC_ARM_REG_BASEPRI,
    UC_ARM_REG_D0,
    UC_ARM_REG_FPSCR,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
    UC_ARM_REG_PRIMASK,
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_R12,
    UC_ARM_REG_SP,
    UC_ARM_REG_XPSR,
    UC_CPU_ARM_CORTEX_M7,
)

from ditmos.emulator.bus import Bus
from ditmos.emulator.clock import Clock
from ditmos.emulator.nvic import HARD_FAULT, PRIORITY_MASK, Nvic
from ditmos.emulator.registers import Registers
from ditmos.emulator.scb import Scb
from ditmos.errors import DitmosError
from ditmos.firmware.memorymap import DTCM, FLASH, ITCM, REGISTERS, SRAM, SYSTEM, place

# What exception entry puts on the stack, without the status register; then what else it needs.
_FRAME = (
    UC_ARM_REG_R0,
    UC_ARM_REG_R1,
    UC_ARM_REG_R2,
    UC_ARM_REG_R3,
    UC_ARM_REG_R12,
    UC_ARM_REG_LR,
    UC_ARM_REG_PC,
)
_STATUS = (UC_ARM_REG_XPSR, UC_ARM_REG_SP)
_FLOATS = (*(UC_ARM_REG_D0 + number for number in range(8)), UC_ARM_REG_FPSCR)  # what a handler may overwrite
_THUMB_BIT = 1 << 24
_WFI = b"\x30\xbf"
# Handlers return to this address, in place of EXC_RETURN, which unicorn would act on itself.
_RETURN = 0x1E00_0000
CHUNK = 1000  # instructions between two looks at the clock
HANDLER_CHUNK = 256  # the same in a handler
HANDLER_END = 50  # taken for the instructions of a chunk in which a handler returns: how many there were is not known


class Core:
    """Memories, execution and exceptions. Peripherals are reached through ``bus``."""

    def __init__(self, clock: Clock, nvic: Nvic, bus: Bus, report: Callable[[str], None]) -> None:
        self._clock, self._nvic, self._bus, self._report = clock, nvic, bus, report
        self.scb: Scb  # set by the board, which also tells it what a reset is
        self._stack: list[tuple[int, list[int]]] = []  # for each active exception: bytes on the stack, floats
        self._deferred: list[Callable[[], None]] = []
        self._count_hook: int | None = None
        self._limit = 0
        self._lengths: dict[tuple[int, int], int] = {}
        self._fault_address: int | None = None
        # Not UC_MODE_MCLASS: that forces a Cortex-M33.
        self.uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M7)
        self._buffers: list[ctypes.Array] = []
        self.itcm = self._map(ITCM.start, ITCM.size)
        self.flash = self._map(FLASH.start, FLASH.size)
        self.system = self._map(SYSTEM.start, SYSTEM.size)
        self.ram = self._map(DTCM.start, DTCM.size + SRAM.size)
        self._map(_RETURN, 0x1000)
        for region in REGISTERS:
            self.uc.mmio_map(region.start, region.size, self._read, region.start, self._write, region.start)
        self.uc.hook_add(UC_HOOK_MEM_UNMAPPED, self._note_fault)
        self._entry_registers = Registers(self.uc, (*_FRAME, *_STATUS, *_FLOATS))
        self._jump_registers = Registers(self.uc, (UC_ARM_REG_LR, *_STATUS, UC_ARM_REG_PC))
        self._masks = Registers(self.uc, (UC_ARM_REG_PRIMASK, UC_ARM_REG_BASEPRI))

    def _map(self, start: int, size: int) -> memoryview:
        buffer = (ctypes.c_uint8 * size)()
        self._buffers.append(buffer)  # unicorn keeps only the address
        self.uc.mem_map_ptr(start, size, UC_PROT_ALL, ctypes.addressof(buffer))
        return memoryview(buffer).cast("B")

    def watch_flash(self, programmed: Callable[[int, int, int], None]) -> None:
        """Call ``programmed(address, size, value)`` before each store to flash."""

        def store(uc: Uc, access: int, address: int, size: int, value: int, data: object) -> None:
            programmed(address, size, value)

        self.uc.hook_add(UC_HOOK_MEM_WRITE, store, begin=FLASH.start, end=FLASH.end - 1)

    def forget_code(self, start: int, size: int) -> None:
        """Memory was changed behind unicorn's back."""
        self.uc.ctl_remove_cache(start, start + size)

    @property
    def pc(self) -> int:
        return self.uc.reg_read(UC_ARM_REG_PC)

    def where(self) -> str:
        return f"pc {self.pc:#010x}, lr {self.uc.reg_read(UC_ARM_REG_LR):#010x}"

    def _read(self, uc: Uc, offset: int, size: int, base: int) -> int:
        value = self._bus.read(base + offset, size)
        if self._clock.waited:
            uc.emu_stop()  # this load is executed again, after what is due by then
        return value

    def _write(self, uc: Uc, offset: int, size: int, value: int, base: int) -> None:
        # No emu_stop() for every store, since unicorn executes the store again: an interrupt that a store raises is
        # taken at the end of the chunk.
        self._bus.write(base + offset, size, value)
        if self._deferred:
            uc.emu_stop()

    def _note_fault(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> bool:
        self._fault_address = address
        return False

    def reset(self) -> None:
        """Start from the vector table that the image has at the start of flash."""
        self._stack.clear()
        stack, entry = struct.unpack_from("<2I", self.flash, self.scb.vector_table - FLASH.start)
        if entry not in FLASH or not entry & 1:
            raise DitmosError(f"reset vector {entry:#010x} at {self.scb.vector_table:#010x}: no code address in flash")
        self.uc.reg_write(UC_ARM_REG_SP, stack)
        self.uc.reg_write(UC_ARM_REG_XPSR, _THUMB_BIT)
        self.uc.reg_write(UC_ARM_REG_PRIMASK, 0)
        self.uc.reg_write(UC_ARM_REG_BASEPRI, 0)
        self.uc.reg_write(UC_ARM_REG_PC, entry)

    def execute(self, cycles: int) -> bool:
        """Take a pending exception, then execute for about ``cycles``. Returns whether the core sleeps (WFI)."""
        while self._take_exception():
            pass
        budget = max(1, min(cycles, HANDLER_CHUNK if self._nvic.active else CHUNK))
        self._clock.waited = False
        try:
            if self._count_hook is None:
                self.uc.emu_start(self.pc | 1, _RETURN, count=budget)
            else:
                self._limit = self._clock.now + budget
                self.uc.emu_start(self.pc | 1, _RETURN)  # _count_block ends it
        except UcError as error:
            self._fault(error)
            return False
        pc = self.pc
        returned = pc == _RETURN
        if self._deferred:
            actions, self._deferred = self._deferred, []
            for action in actions:
                action()
        elif self._count_hook is None and not self._clock.waited:
            self._clock.now += min(budget, HANDLER_END) if returned else budget
        if returned:
            self._return_from_exception()
            return False
        return self._sleeps_at(pc) and self._nvic.next_exception() is None

    def _sleeps_at(self, pc: int) -> bool:
        if pc in FLASH:
            offset = pc - FLASH.start
            return self.flash[offset - 2 : offset] == _WFI
        return self.uc.mem_read(pc - 2, 2) == _WFI

    def between_chunks(self, action: Callable[[], None]) -> None:
        """Called by a register: ``action`` before anything else is executed. Code must not be dropped under execution.

        The store that led to the call is executed again afterwards.
        """
        self._deferred.append(action)

    def count_exactly(self, exactly: bool) -> None:
        """Count each instruction when its block is entered, not in chunks: slower, exact, the same in each run."""
        if exactly and self._count_hook is None:
            self._count_hook = self.uc.hook_add(UC_HOOK_BLOCK, self._count_block)
        elif not exactly and self._count_hook is not None:
            self.uc.hook_del(self._count_hook)
            self._count_hook = None
        flush: Callable[[], None] = getattr(self.uc, "ctl_flush_tb")  # noqa: B009 - unicorn's annotations lack it
        flush()

    def _count_block(self, uc: Uc, address: int, size: int, data: object) -> None:
        if self._clock.now >= self._limit:
            uc.emu_stop()  # before this block
            return
        key = address, size
        count = self._lengths.get(key)
        if count is None:
            count = self._lengths[key] = count_instructions(bytes(uc.mem_read(address, size)))
        self._clock.now += count

    def _take_exception(self) -> bool:
        following = self._nvic.next_exception()
        if following is None:
            return False
        priority, number = following
        if priority >= self._nvic.current_priority():
            return False
        if priority >= 0:
            masked, base_priority = self._masks.read()
            base_priority &= PRIORITY_MASK
            if masked & 1 or (base_priority and priority >= base_priority):
                return False
        self._enter_exception(number, priority)
        return True

    def _enter_exception(self, number: int, priority: int) -> None:
        """Armv7-M B1.5.6, with the eight words of the basic frame; floats are kept aside."""
        saved = self._entry_registers.read()
        *frame, status, stack = saved[:9]
        top = (stack - 32) & ~7
        self.uc.mem_write(top, struct.pack("<8I", *frame, status & 0xFFFF_FE00 | _THUMB_BIT))
        self._stack.append((stack - top, saved[9:]))
        self._nvic.enter(number, priority)
        (entry,) = struct.unpack("<I", self.uc.mem_read(self.scb.vector_table + 4 * number, 4))
        self._jump_registers.write((_RETURN | 1, _THUMB_BIT | number, top, entry))

    def _return_from_exception(self) -> None:
        top = self.uc.reg_read(UC_ARM_REG_SP)
        *frame, pc, status = struct.unpack("<8I", self.uc.mem_read(top, 32))
        self._nvic.leave()
        size, floats = self._stack.pop()
        number = self._nvic.active[-1][0] if self._nvic.active else 0
        status = status & 0xFFFF_FE00 | _THUMB_BIT | number
        self._entry_registers.write((*frame, pc | 1, status, top + size, *floats))

    def _fault(self, error: UcError) -> None:
        """What the core cannot do is a HardFault; one more while that is handled is a lock-up."""
        what = place(self._fault_address) if self._fault_address is not None else str(error)
        self._fault_address = None
        message = f"HardFault: {what}, {self.where()}"
        self._report(message)
        if any(number == HARD_FAULT for number, _ in self._nvic.active):
            raise DitmosError(f"the emulated core locked up. {message}")
        self._nvic.system_pending.add(HARD_FAULT)


def count_instructions(code: bytes) -> int:
    """Thumb instructions in a straight run of code: those whose first halfword starts 0b11101, 0b1111 are 32 bits."""
    count = offset = 0
    while offset < len(code):
        offset += 4 if code[offset + 1] >= 0xE8 else 2
        count += 1
    return count
