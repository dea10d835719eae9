"""Run the jobs of a sweep in parallel processes, here or on a Ray cluster; go on where it stopped.

A job's result is one JSON file, written when it is complete; a job with a result is not run again. A job that fails
leaves a ``.error`` file with its traceback and costs nobody else anything.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from ditmos.atomic import read_json, write_json
from ditmos.errors import DitmosError
from ditmos.study.entries import Job
from ditmos.study.job import run_job
from ditmos.study.sweepfile import SweepFile

JobDone = Callable[[str, bool], None]  # key of a job, and whether it went well


def result_file(out: Path, key: str) -> Path:
    return out / "results" / f"{key}.json"


def _run(sweep: SweepFile, job: Job, folder: Path, out: Path, nice: int) -> tuple[str, bool]:
    """In a worker process: one job, whatever happens to it."""
    if nice:
        os.nice(max(nice - os.nice(0), 0))
    key = sweep.key(job)
    error = out / "results" / f"{key}.error"
    if result_file(out, key).exists():  # another sweep in the same folder was faster
        return key, True
    try:
        row = run_job(sweep, job, folder, out)
        write_json(result_file(out, key), row)
        error.unlink(missing_ok=True)
        return key, True
    except Exception:  # one failed job must not end the others
        error.write_text(traceback.format_exc())
        return key, False


def pending(sweep: SweepFile, out: Path) -> list[Job]:
    """Jobs without a result, in the order of the file, those on the same data and seed together."""
    return [job for job in sweep.jobs if not result_file(out, sweep.key(job)).exists()]


def run(
    sweep: SweepFile, folder: Path, out: Path, *, processes: int = 2, ray: str | None = None, nice: int = 0,
    report: JobDone = lambda key, ok: None,
) -> int:  # fmt: skip
    """Run what is pending; returns the number of failed jobs.

    Args:
        ray: address of a Ray cluster ("local": start one here); None: processes on this machine.

    Raises:
        DitmosError: Ray is asked for and not installed.
    """
    (out / "results").mkdir(parents=True, exist_ok=True)
    jobs = pending(sweep, out)
    calls = [(sweep, job, folder, out, nice) for job in jobs]
    finished = _on_ray(calls, processes, ray) if ray else _in_processes(calls, processes)
    failed = 0
    for key, ok in finished:
        failed += not ok
        report(key, ok)
    return failed


def _in_processes(calls: list[tuple], processes: int) -> Iterator[tuple[str, bool]]:
    # spawn: torch's threads do not survive a fork
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        futures = {executor.submit(_run, *call): call for call in calls}
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():  # a signal may have come to this process alone
                worker.terminate()
            raise


def _on_ray(calls: list[tuple], processes: int, address: str) -> Iterator[tuple[str, bool]]:
    try:
        import ray
    except ImportError:
        raise DitmosError("sweep: ray is not installed; pip install 'ditmos[cluster]'") from None
    local = {"num_cpus": processes, "include_dashboard": False} if address == "local" else {"address": address}
    ray.init(**local, log_to_driver=False, ignore_reinit_error=True)
    try:
        remote = ray.remote(num_cpus=1, max_retries=1)(_run)
        waiting = {remote.remote(*call): call for call in calls}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            call = waiting.pop(done[0])
            try:
                yield ray.get(done[0])
            except ray.exceptions.RayError as error:
                key = call[0].key(call[1])
                (call[3] / "results" / f"{key}.error").write_text(str(error))
                yield key, False
    finally:
        ray.shutdown()


def results(out: Path) -> list[dict[str, Any]]:
    """All rows of a sweep's folder. Raises DitmosError where there are none."""
    rows = [read_json(file) for file in sorted((out / "results").glob("*.json"))]
    if not rows:
        raise DitmosError(f"{out}: no results in it, expected the folder of a sweep")
    return rows
