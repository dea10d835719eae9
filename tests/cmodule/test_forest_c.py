"""Summaries and forests in C are the specification's, bit for bit: on the host under sanitizers, and on the M7."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from ditmos.bench import baremetal, forests
from ditmos.bench.golden_forests import forest_model, random_clusters, random_forest, random_rows
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.window_summary import summary_for

needs_m7 = pytest.mark.skipif(
    bool(baremetal.missing_tools()), reason=f"not installed: {', '.join(baremetal.missing_tools())}"
)


def jobs(seeds: Sequence[int]) -> list[forests.Job]:
    """Random windows, channels and trees, nodes of both forms; windows at the extremes among them."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        model = forest_model(rng, alone=True, most_window=600 if seed % 5 == 0 else 160)
        rows = random_rows(rng, 16, model.spec.window, model.spec.channels)
        classes, eighths, count = model.spec.classes, int(rng.integers(0, 9)), int(rng.integers(1, 17))
        forest = replace(model.forest, clusters=random_clusters(rng, count, classes, model.forest.trees))
        found.append(forests.Job(model.front_end, forest, classes, rows, eighths))
    return found


def usual_job(trees: int = 20, leaves: int = 400) -> forests.Job:
    """A forest of 64 kB on motion with 16 specialists: 151 rows of 3 axes, 34 classes."""
    rng = np.random.default_rng(3)
    front = FrontEnd((summary_for(151),), 50.0, 1 / 256, "g", ("x", "y", "z"))
    rows = random_rows(rng, 40, 151, 3)
    forest = random_forest(rng, front.summary.features(rows), 34, trees=trees, leaves=leaves)
    return forests.Job(front, replace(forest, clusters=random_clusters(rng, 16, 34, trees)), 34, rows)


def test_on_the_host(build_driver: Callable[[str], Path]) -> None:
    every = [*jobs(range(40)), usual_job(3, 1200)]
    assert {job.forest.wide for job in every} == {True, False}
    assert {job.rows.shape[2] % 3 == 0 for job in every} == {True, False}
    data = b"".join(pack("<I", len(job)) + job for job in map(forests.job_bytes, every))
    done = subprocess.run([build_driver("forest_driver.c")], input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().splitlines() == ["0 0 0 0"] * len(every)


@needs_m7
def test_on_the_simulated_m7(tmp_path: Path) -> None:
    """With the instructions of the M7 and without; the bars are for windows of 151 x 3 and 34 classes."""
    usual = usual_job()
    chosen = [*jobs(range(100, 112)), usual]
    for portable in (False, True):
        runs = forests.run(forests.build(portable=portable, folder=tmp_path), chosen)
        assert [run.differing for run in runs] == [0] * len(chosen)
        if not portable:
            assert runs[-1].summary_most <= 9_000
            assert runs[-1].votes_most <= 2_500
            assert runs[-1].both_most <= 1_200
            assert runs[-1].specialist_most <= 1_000
