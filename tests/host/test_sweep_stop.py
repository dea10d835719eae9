"""A sweep that is stopped takes its workers along."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_sweep import sweep_text, write_sweep


def test_a_sweep_that_is_stopped_leaves_no_worker(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, sweep_text(fit="epochs = 100_000"))
    command = [sys.executable, "-m", "ditmos", "sweep", str(file), "-o", str(tmp_path), "--data-folder", str(tmp_path)]
    process = subprocess.Popen([*command, "-j", "1"], stderr=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + 200
        while not list(tmp_path.glob("work/pool-*/figures.pt")):  # the job has begun
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) != 0
        deadline = time.monotonic() + 60  # until the workers have ended, too
        while time.monotonic() < deadline:
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)
        pytest.fail("workers outlived the sweep")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stderr.close()
