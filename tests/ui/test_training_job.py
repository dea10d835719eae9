"""What becomes of a training that cannot be: a word to the page. One that can be is in test_page.py."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from ditmos.ui import trainer
from ditmos.ui.training_job import TrainingJob, Wanted
from little import write_little

pytest.importorskip("torch", reason="torch is not installed")

pytestmark = pytest.mark.timeout(300)
PATIENCE = 240.0


def test_a_line_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM may stop it between two writes, and the next line would then go on in this one."""
    written: list[str] = []

    class Pieces(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Pieces())
    trainer.say(stage="teachers", done=0.5)
    assert written == ['{"stage": "teachers", "done": 0.5}\n']


@pytest.mark.slow
def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    write_little(tmp_path)
    job = TrainingJob(Wanted(tmp_path / "motion.npz", tmp_path / "run", budget={"instructions": 1}))
    assert job.wait(PATIENCE) and "within 1 instructions" in job.error and "\n" not in job.error
