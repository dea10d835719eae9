"""Fits the constants of `ditmos.cost` to the bench: `python tests/cmodule/m7/calibrate.py [CASES]`.

The cost is linear in them, so a least-squares fit of relative errors gives each. Prints what to write into the file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from bench import Case, build, run
from cases import random_cases
from ditmos import cost, packings
from ditmos.lanes import lane_channels


def predicted(case: Case) -> int:
    """What `cost` says about a case."""
    if case.shape.kind == "fc":
        return cost.call_instructions(case.shape, cost.Call(1))
    lanes = int(lane_channels(case.shape, case.layer).sum())
    joined = case.gap == 0 or len(case.x) == 1 or case.x[0].shape[1] + case.gap == 0
    call = cost.Call(0, carry=case.carry, scratch=case.scratch, lanes=lanes, joined=joined)
    return cost.layer_instructions(case.shape, case.chunk or case.shape.rows_out, call)


def calibration_cases(seed: int, count: int) -> list[Case]:
    """Cases that `cost` has something to say about: the packings of the M7, inputs in one aligned run."""
    cases = []
    for case in random_cases(seed, count):
        case.packing = packings.best(case.shape)
        if case.shape.kind == "fc":
            if len(case.x) > 1:
                continue
            case.gap = case.offset = 0
        cases.append(case)
    return cases


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    cases = calibration_cases(1, count)
    with tempfile.TemporaryDirectory() as folder:
        measured = np.array([result.instructions for result in run(build(Path(folder)), cases)], float)
    names = [name for name in vars(cost) if name.startswith("_") and name[1:].isupper()]

    def all_predicted(**constants: int) -> np.ndarray:
        vars(cost).update(dict.fromkeys(names, 0) | constants)
        cost.call_instructions.cache_clear()
        return np.array([predicted(case) for case in cases], float)

    base = all_predicted()
    terms = np.stack([all_predicted(**{name: 1}) - base for name in names], axis=1)
    found = np.linalg.lstsq(terms / measured[:, None], (measured - base) / measured, rcond=None)[0]
    for name, value in zip(names, found, strict=True):
        print(f"{name} = {round(value)}")
    error = np.abs(base + terms @ np.round(found) - measured) / measured
    print(f"relative error: mean {error.mean():.2%}, largest {error.max():.2%}")


if __name__ == "__main__":
    main()
