"""One job of a sweep: `ditmos train` for its data, method and budget, or a model on features made by hand."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

from ditmos.atomic import write_json
from ditmos.errors import DitmosError
from ditmos.forest import forest_run
from ditmos.keep import Keep
from ditmos.study import rivals
from ditmos.study.sweepfile import FORESTS, HANDMADE, Job, SweepFile
from ditmos.study.trainings import LEARNERS
from ditmos.training.learn import Report, Task, learn, quiet
from ditmos.training.predictions import Predictions
from ditmos.training.results import confusion
from ditmos.training.run import REQUEST, ROW, prepare_task, train
from ditmos.training.score import value

WORK = "work"  # what the jobs of a sweep share: pools, searches


def run_job(sweep: SweepFile, job: Job, folder: Path, out: Path, report: Report = quiet) -> dict[str, Any]:
    """Train into ``out``/KEY, going on where it was stopped; returns the row, which run.json there holds."""
    own, request = out / sweep.key(job), sweep.request(job, folder)
    names: dict[str, Any] = {"key": sweep.key(job), "data": job.data, "method": job.method}
    if job.split_seed is not None:
        names["split_seed"] = job.split_seed
    if job.way in HANDMADE:
        task, _ = prepare_task(request, Keep(), report)
        row, predictions = _handmade(task, cast(Literal["forest", "mlp"], job.way))
        predictions.save(own)
    else:
        resume = (own / REQUEST).exists() or (own / ROW).exists()
        if job.way in FORESTS:
            behind = out / job.behind if job.behind else None
            if behind and not (behind / ROW).exists():
                raise DitmosError(f"{behind}: the job whose network {job.method} asks has no result; run that first")
            row = forest_run.train(request, own, behind, resume=resume, work=out / WORK, report=report)
        else:
            row = train(request, own, LEARNERS.get(job.way, learn), resume=resume, work=out / WORK, report=report)
    row |= names
    write_json(own / ROW, row)
    return row


def _handmade(task: Task, kind: Literal["forest", "mlp"]) -> tuple[dict[str, Any], Predictions]:
    """The row, and the answers. ``board`` of it: instructions of the model alone on the simulated board, or why there
    are none."""
    started, parts = time.monotonic(), task.parts
    found = rivals.learn(kind, parts.train, parts.test, task.seed, balanced=task.balanced)
    y = parts.test.y.numpy()
    int8, real = (value(answer == y, y, task.balanced) for answer in (found.converted, found.original))
    figures = {
        "split": task.settings.data.split,
        "metric": task.settings.data.metric,
        "seed": task.seed,
        "budget": task.budget.limits,
        "int8": int8,
        "float": real,
        "macs": found.macs,
        "worst_macs": found.macs,
        "feature_macs": found.feature_macs,
        "arena_bytes": found.ram,
        "flash_bytes": found.flash,
        "shape": found.shape,
        "test": {"int8": int8, "float": real, "macs": found.macs, "union": None, "usage": (1.0,), "windows": len(y)},
        "board": found.board if isinstance(found.board, str) else asdict(found.board),
        "confusion": confusion(found.converted, y, task.dataset.classes).tolist(),
        "class_names": list(task.dataset.class_names),
        "seconds": round(time.monotonic() - started, 1),
    }
    return figures, Predictions.of(task.dataset, found.converted)
