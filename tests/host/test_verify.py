"""`ditmos verify`: what it compares of a slice, and the command. Against boards: tests/sim, tests/emulator."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from ditmos.bench.golden import random_model
from ditmos.cli import verify as command
from ditmos.link import board, verify
from ditmos.model.plan import layer_table
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average, depthwise
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from typer.testing import CliRunner

SPEC = NetworkSpec(64, 2, 3, 1, BranchSpec((ConvSpec(4, 5), depthwise(3), average(4))))


def test_every_kind_of_layer_is_compared() -> None:
    plan, layers = whole_plan(SPEC), layer_table(SPEC)
    found = [[layer.name for layer, _ in verify._outputs(plan, piece, layers)] for piece in plan.slices]
    assert found == [["classifier.1"], ["classifier.2"], ["classifier.3"], ["classifier.fc1"]]


def test_the_command_shows_any_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Front ends and forests have stages of their own."""
    path = tmp_path / "model.dtm"
    write_model(path, random_model(np.random.default_rng(0), SPEC), whole_plan(SPEC))

    def compared(board: object, model: Path, windows: np.ndarray, progress: Any, **_: object) -> verify.Verification:
        for stage in ("front end", "slice by slice", "forest", "end to end"):
            progress(stage, 1, 1)
        return verify.Verification(str(model), "RAM", [], windows=len(windows))

    monkeypatch.setattr(board, "Board", lambda *_, **__: nullcontext())
    monkeypatch.setattr(verify, "verify", compared)
    app = typer.Typer()
    command.add(app)
    result = CliRunner().invoke(app, [str(path), "--count", "2"], catch_exceptions=False)
    assert result.exit_code == 0 and "2 windows" in result.output and "equal, byte for byte" in result.output
