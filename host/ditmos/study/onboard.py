"""Every model of a sweep on the simulated board: what an inference takes in instructions, counted exactly.

As `ditmos bench kernels` measures it: bytes equal to the reference's, the plan that the model file carries, without
MicroPython around it. One JSON file a model beside the results; a model that has one is not run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ditmos.atomic import write_json
from ditmos.bench import baremetal
from ditmos.bench.measured import run_plans
from ditmos.errors import DitmosError
from ditmos.model.reader import read_model
from ditmos.planner.price import read_features
from ditmos.study.counted import board_file
from ditmos.study.sweep import results
from ditmos.training.run import MODEL


def pending(out: Path) -> list[Mapping[str, Any]]:
    """Rows whose model has not been measured. Raises DitmosError for a folder without results."""
    return [
        row for row in results(out) if (out / row["key"] / MODEL).exists() and not board_file(out, row["key"]).exists()
    ]


def measure(out: Path, report: Callable[[str, str], None] = lambda key, problem: None) -> int:
    """Run what is pending; returns the number of models that could not be measured.

    report: called with each key, and what went wrong or "".

    Raises:
        DitmosError: compiler or emulator are missing, or the folder holds no results.
    """
    if missing := baremetal.missing_tools():
        raise DitmosError(f"bench: not installed: {', '.join(missing)}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        elf = baremetal.build_models(folder=Path(folder))
        for row in pending(out):
            problem = ""
            try:
                figures = _figures(elf, out / row["key"] / MODEL)
                write_json(board_file(out, row["key"]), figures)
            except DitmosError as error:  # of this model
                failed, problem = failed + 1, str(error)
            report(row["key"], problem)
    return failed


def _figures(elf: Path, file: Path) -> dict[str, Any]:
    """Instructions to load a window, to select, and of one classifier run; of features that the network reads, the
    planner's price."""
    model, plan = read_model(file)
    run = run_plans(elf, model, [plan])[0].run
    parts = {"select": 0, "classify": 0}
    for part, count in zip(plan.slices, run.slices, strict=True):
        parts[part.phase] += count
    features = round(read_features(model.front_end)) if model.front_end else 0
    return {"features": features, "load": run.load, **parts, "arena_bytes": run.arena_bytes}
