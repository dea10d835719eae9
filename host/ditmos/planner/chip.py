"""From instructions to time and energy on the STM32F767ZI: estimates, none of them measured on a chip.

time   = instructions * cycles per instruction / clock
energy = supply voltage * run current * time
"""

from __future__ import annotations

CORE_HZ = 216_000_000
VOLTS = 3.3
# Run current where none is given: typical, 216 MHz, code and data in TCM, peripherals off, 25 C; STM32F722xx data sheet
# (DocID029808 Rev 3, table 25). Same core and clock as the F767, whose own sheet (DS11532) was not at hand.
TYPICAL_MILLIAMPS = 99.0
# Likewise in Sleep mode, table 30: the core waits, everything else goes on.
ASLEEP_MILLIAMPS = 24.0
# llvm-mca's estimate for the demo's model (docs/board.md, `ditmos bench estimate`): 177,774 cycles for 144,438
# instructions.
CYCLES_PER_INSTRUCTION = 1.23


def microseconds(instructions: float) -> float:
    return instructions * CYCLES_PER_INSTRUCTION / CORE_HZ * 1e6


def within(microseconds: float) -> float:
    """Instructions that fit into so much time: the inverse of `microseconds`."""
    return microseconds * 1e-6 * CORE_HZ / CYCLES_PER_INSTRUCTION


def microjoules(microseconds: float, milliamps: float = TYPICAL_MILLIAMPS) -> float:
    return VOLTS * milliamps * 1e-3 * microseconds


def milliamps(duty: float) -> float:
    """On average, of a core that computes for that share of the time and sleeps else."""
    return duty * TYPICAL_MILLIAMPS + (1 - duty) * ASLEEP_MILLIAMPS
