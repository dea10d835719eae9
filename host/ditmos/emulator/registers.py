"""Several registers in one call.

``Uc.reg_read_batch`` prepares its arguments afresh in each call, which costs more than reading the registers one by
one; here they are prepared once. An interrupt is taken for each byte received, so this is what reception costs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from unicorn import Uc, UcError


class Registers:
    """A fixed list of registers, of up to 64 bits each."""

    def __init__(self, uc: Uc, registers: Sequence[int]) -> None:
        count = len(registers)
        # The calls behind `reg_read_batch`; unicorn's annotations do not know them.
        self._uc: Any = uc
        self._count = count
        self._identifiers = (ctypes.c_int32 * count)(*registers)
        self._values = (ctypes.c_uint64 * count)()
        base = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * count)(*(base + 8 * index for index in range(count)))

    def read(self) -> list[int]:
        if error := self._uc._do_reg_read_batch(self._identifiers, self._pointers, self._count):
            raise UcError(error)
        return list(self._values)

    def write(self, values: Sequence[int]) -> None:
        self._values[:] = list(values)
        if error := self._uc._do_reg_write_batch(self._identifiers, self._pointers, self._count):
            raise UcError(error)
