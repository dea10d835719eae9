"""A training in a process of its own: its progress, its result, how it stops and goes on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ditmos.atomic import read_json
from ditmos.ui.training_job import DATA, REPORT, TrainingJob, Wanted
from little import write_little

pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine
PATIENCE = 240.0


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Wanted:
    folder = tmp_path_factory.mktemp("training")
    write_little(folder)
    return Wanted(folder / "motion.npz", folder / "run", settings=folder / "small.toml")


def test_it_is_stopped_goes_on_and_ends(wanted: Wanted) -> None:
    job = TrainingJob(wanted)
    end = time.monotonic() + PATIENCE
    while "teachers" not in job.stages and job.running and time.monotonic() < end:
        time.sleep(0.05)
    job.stop()
    assert "goes on where it was" in job.error and job.result is None
    job = TrainingJob(wanted)
    assert job.wait(PATIENCE) and job.error == "" and job.result
    assert list(job.stages)[-1] == "figures" and job.chosen
    assert read_json(wanted.out / "run.json")["int8"] == job.result["int8"]
    assert read_json(wanted.out / DATA)["data"] == str(wanted.data.resolve())
    assert "<table" in (wanted.out / REPORT).read_text()


def test_what_is_wrong_is_said_in_a_line(wanted: Wanted, tmp_path: Path) -> None:
    job = TrainingJob(Wanted(tmp_path / "nothing.npz", tmp_path / "run"))
    assert job.wait(PATIENCE) and "no such file" in job.error and "\n" not in job.error
    job = TrainingJob(Wanted(wanted.data, tmp_path / "run", budget={"instructions": 1}))
    assert job.wait(PATIENCE) and "within 1 instructions" in job.error
