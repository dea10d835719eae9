"""Which memories an inference uses: bytes fetched, read and written in each, and exact instruction counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from unicorn import UC_HOOK_BLOCK, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE, UC_MEM_WRITE, Uc
from unicorn.arm_const import UC_ARM_REG_XPSR

from ditmos.emulator.clock import Clock
from ditmos.emulator.core import Core
from ditmos.firmware.memorymap import MEMORIES

_IT_BITS = 0x0600_FC00  # of the program status register
# Words that software writes to ITM stimulus port 0.
COUNT_OFF, COUNT_EXACTLY, PROFILE_START, PROFILE_STOP = 0, 1, 2, 3


class Profile:
    """Told by the program on the board what to count: ``command`` takes the words above.

    ``on_result`` gets, for each span between start and stop, ``instructions``, for each memory the bytes ``fetch``,
    ``read`` and ``write``, and ``blocks``: how often each straight run of code [address, size] was entered.
    """

    def __init__(self, core: Core, clock: Clock) -> None:
        self._core, self._clock = core, clock
        self._hooks: list[int] = []
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._blocks: Counter[tuple[int, int]] = Counter()
        self._start = 0
        self._last = COUNT_OFF
        self.on_result: Callable[[dict], None] = lambda result: None

    def command(self, word: int) -> None:
        """A store to the stimulus port. It is executed again after what it asked for: the second time does nothing."""
        if word != self._last:
            self._last = word
            self._core.between_chunks(lambda: self._obey(word))

    def _obey(self, word: int) -> None:
        if word in (COUNT_OFF, COUNT_EXACTLY):
            self._core.count_exactly(word == COUNT_EXACTLY)
        elif word == PROFILE_START and not self._hooks:
            self._begin()
        elif word == PROFILE_STOP and self._hooks:
            self._end()

    def _begin(self) -> None:
        self._bytes.clear()
        self._blocks.clear()
        uc = self._core.uc
        self._hooks = [
            uc.hook_add(UC_HOOK_BLOCK, self._fetch),
            uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._access),
        ]
        self._core.count_exactly(True)
        self._start = self._clock.now

    def _end(self) -> None:
        result: dict = {"instructions": self._clock.now - self._start}
        for hook in self._hooks:
            self._core.uc.hook_del(hook)
        self._hooks.clear()
        self._core.count_exactly(False)
        for memory in (*(memory.name for memory in MEMORIES), "registers"):
            counts = {kind: self._bytes[memory, kind] for kind in ("fetch", "read", "write")}
            if any(counts.values()):
                result[memory] = counts
        result["blocks"] = [[*block, count] for block, count in sorted(self._blocks.items())]
        self.on_result(result)

    def _fetch(self, uc: Uc, address: int, size: int, data: object) -> None:
        self._bytes[_memory(address), "fetch"] += size
        self._blocks[address, size] += 1

    def _access(self, uc: Uc, access: int, address: int, size: int, value: int, data: object) -> None:
        # Before it calls, unicorn restores the If-Then state of the instruction and does not take it back: the next
        # block would start within an IT block (unicorn's issue 2309).
        status = uc.reg_read(UC_ARM_REG_XPSR)
        if status & _IT_BITS:
            uc.reg_write(UC_ARM_REG_XPSR, status & ~_IT_BITS)
        self._bytes[_memory(address), "write" if access == UC_MEM_WRITE else "read"] += size


def _memory(address: int) -> str:
    return next((memory.name for memory in MEMORIES if address in memory), "registers")
