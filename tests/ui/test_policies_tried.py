"""Policies tried beside the board: what they are worth, where they differ, and where they are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from ditmos.bench.route import decide, quantized_windows
from ditmos.datasets import load, save, synthetic
from ditmos.errors import DitmosError
from ditmos.model.policy import parse_policy
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.ui import lab as lab_module
from ditmos.ui.contract import words
from ditmos.ui.desk import Desk
from ditmos.ui.folder import Folder
from ditmos.ui.lab_worker import Fault, Outcome
from ditmos.ui.training_job import TrainingJob
from ditmos.ui.tryout import try_out
from ditmos.ui.versions import START, Versions, line_on_board

FIRST = "def policy(model, window):\n    model.select(window)\n    return 0, 0\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, QuantizedModel], data: Path) -> Iterator[Desk]:
    made = Desk(Folder(tmp_path_factory.mktemp("desk")), [], model[0], data, "all")
    yield made
    made.close()


def test_over_the_data_set_it_is_what_the_lab_says(desk: Desk, model: tuple[Path, QuantizedModel]) -> None:
    trial = try_out(desk, None, "from ditmos import routing\npolicy = routing.fallback(200)\n", "policy")
    assert trial.fault is None and trial.live is None and trial.data
    reference, dataset = Model(model[1]), load(desk.data or "")
    windows = quantized_windows(reference, dataset, np.arange(len(dataset)))
    expected = decide(parse_policy("fallback(200)"), reference, windows)
    np.testing.assert_array_equal(trial.data.label, expected.label)
    assert trial.data.before == 1.0 and trial.data.accuracy == (expected.label == dataset.y).mean()
    assert trial.data.extra_runs == pytest.approx((expected.runs - 1).mean())
    assert trial.data.lost == (expected.label != dataset.y).sum() <= len(trial.data.differing)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("def policy(model, window):\n    return model.select(window)[999], 0\n", 2, "IndexError"),
        ("import routing\npolicy = routing.top1\n", 1, "No module named"),
        ("x = (\n", 1, "never closed"),
        ("def policy(model, window):\n    return 99999, 0\n", None, "expected 0 to"),
        ("def policy(model, window):\n    raise SystemExit\n", 2, "SystemExit"),
        ("def other(model, window):\n    return 0, 0\n", None, "no policy there"),
    ],
)
def test_errors_are_said_at_their_line(desk: Desk, text: str, line: int | None, message: str) -> None:
    fault = try_out(desk, None, text, "policy").fault
    assert fault and message in fault.message and fault.line == line
    assert str(desk.folder.root) not in fault.message


def test_a_loop_without_an_end_is_ended(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_out(desk, None, START, "policy").fault is None  # model and data are read
    monkeypatch.setattr(lab_module, "PATIENCE", 1.0)
    fault = try_out(desk, None, "def policy(model, window):\n    while True: pass\n", "policy").fault
    assert fault and "without an end" in fault.message
    monkeypatch.undo()
    assert isinstance(try_out(desk, None, START, "policy").data, Outcome)


def test_a_model_that_does_not_fit_the_data_is_said(tmp_path: Path, model: tuple[Path, QuantizedModel]) -> None:
    save(synthetic.generate(subjects=2, recordings=1, windows=1), tmp_path / "d.npz")
    desk = Desk(Folder(tmp_path), [], model[0], tmp_path / "d.npz", "all")
    try:
        fault = try_out(desk, None, START, "policy").fault
        assert isinstance(fault, Fault) and "the model was made for" in fault.message
    finally:
        desk.close()


def test_another_model_ends_no_training(tmp_path: Path, model: tuple[Path, QuantizedModel]) -> None:
    class Job:
        ended = 0

        def stop(self) -> None:
            self.ended += 1

    desk, job = Desk(Folder(tmp_path), [], model[0], None, "all"), Job()
    desk.job = cast(TrainingJob, job)
    desk.use(model[0])
    assert job.ended == 0
    desk.close()
    assert job.ended == 1


def test_versions_are_kept(tmp_path: Path) -> None:
    versions = Versions(tmp_path / "policies")
    assert versions.numbers() == [] and versions.latest() == START
    assert [versions.keep(text) for text in (START, FIRST, START)] == [1, 2, 1]
    assert versions.numbers() == [1, 2] and versions.text(2) == FIRST
    assert versions.policy(2).name == "policy"
    assert versions.latest() == FIRST
    versions.draft("x")
    assert versions.numbers() == [1, 2], "a draft is no version"
    assert versions.latest() == "x", "a page that is closed loses nothing that was written"
    with pytest.raises(DitmosError, match="no such file"):
        versions.policy(3)


def test_lines_of_what_a_board_printed() -> None:
    printed = 'Traceback (most recent call last):\n  File "ditmos/serve.py", line 9, in run\n'
    assert line_on_board(printed + '  File "<string>", line 7, in policy\nIndexError: x') == 7
    assert line_on_board(printed + '  File "<string>", line 3, in <module>\nImportError: x') == 3
    assert line_on_board(printed) is None


def test_completion_knows_the_contract() -> None:
    found = {(word["owner"], word["label"]) for word in words()}
    assert {("model", "select"), ("model", "classify"), ("routing", "fallback"), ("routing", "NOBODY")} <= found
    assert ("routing", "_x") not in found and all(word["info"] for word in words() if word["owner"] == "model")
