"""What a benchmark of kernels knows of one model under one plan."""

from __future__ import annotations

from dataclasses import dataclass

from ditmos.bench import baremetal
from ditmos.model.plan import Plan


@dataclass(frozen=True)
class Measured:
    """One model under one plan: bytes, instructions by slice, equal to the reference or not."""

    plan: Plan
    run: baremetal.ModelRun

    @property
    def instructions(self) -> int:
        return self.run.instructions
