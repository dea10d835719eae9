"""Run the jobs of a sweep in parallel processes, here or on a cluster (cluster.py); go on where it stopped.

A job's result is the run in a folder of its own; a job with one is not run again, and one that was stopped goes on. A
job that fails leaves a ``.error`` file with its traceback beside it and costs nobody else anything.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from ditmos.atomic import read_json
from ditmos.errors import DitmosError
from ditmos.study.job import run_job
from ditmos.study.sweepfile import Job, SweepFile
from ditmos.training.predictions import Predictions
from ditmos.training.run import ROW

JobDone = Callable[[str, bool], None]  # key of a job, and whether it went well
Call = tuple[SweepFile, Job, Path, Path, int]  # arguments of run_one
Execute = Callable[[list[Call]], Iterator[tuple[str, bool]]]  # runs jobs anywhere; yields each as it ends, as JobDone


def result_file(out: Path, key: str) -> Path:
    return out / key / ROW


def error_file(out: Path, key: str) -> Path:
    """Where a job that failed says why."""
    return out / f"{key}.error"


def run_one(sweep: SweepFile, job: Job, folder: Path, out: Path, nice: int) -> tuple[str, bool]:
    """In a worker process: one job, whatever happens to it."""
    if nice and hasattr(os, "nice"):  # not on Windows
        os.nice(max(nice - os.nice(0), 0))
    key = sweep.key(job)
    error = error_file(out, key)
    if _row(result_file(out, key)):  # another sweep in the same folder was faster
        return key, True
    try:
        run_job(sweep, job, folder, out)
        error.unlink(missing_ok=True)
        return key, True
    except Exception:  # one failed job must not end the others
        error.write_text(traceback.format_exc())
        return key, False


def pending(sweep: SweepFile, out: Path) -> list[Job]:
    """Jobs without a result, by seed and split."""
    return [job for job in sweep.jobs if not _row(result_file(out, sweep.key(job)))]


def run(
    sweep: SweepFile, folder: Path, out: Path, *, processes: int = 2, nice: int = 0, execute: Execute | None = None,
    report: JobDone = lambda key, ok: None,
) -> int:  # fmt: skip
    """Run what is pending; returns the number of failed jobs.

    Args:
        execute: where the jobs run; None: in ``processes`` of this machine.
    """
    out.mkdir(parents=True, exist_ok=True)
    jobs, failed = pending(sweep, out), 0
    for some in ([job for job in jobs if not job.behind], [job for job in jobs if job.behind]):  # networks come first
        calls: list[Call] = [(sweep, job, folder, out, nice) for job in some]
        for key, ok in (execute(calls) if execute else _in_processes(calls, processes)) if calls else ():
            failed += not ok
            report(key, ok)
    return failed


def _in_processes(calls: list[Call], processes: int) -> Iterator[tuple[str, bool]]:
    # spawn: torch's threads do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        futures = {executor.submit(run_one, *call): call for call in calls}
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():  # a signal may have come to this process alone
                worker.terminate()
            raise


def _row(file: Path) -> dict[str, Any] | None:
    """Of a job; None before it has one, or where its training was done and the job was stopped before its end."""
    row = read_json(file) if file.exists() else None
    return row if row and "key" in row else None


def with_predictions(row: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A row as tables and pictures take it. Raises DitmosError for damaged ones."""
    found = Predictions.load(folder)
    return row if found is None else row | {"predictions": found}


def results(out: Path) -> list[dict[str, Any]]:
    """All rows of a sweep's folder, with their ``predictions``, if they have some. Raises DitmosError where there are
    none."""
    found = ((row, file) for file in sorted(out.glob(f"*/{ROW}")) if (row := _row(file)))
    rows = [with_predictions(row, file.parent) for row, file in found]
    if not rows:
        raise DitmosError(f"{out}: no results in it, expected the folder of a sweep")
    return rows
