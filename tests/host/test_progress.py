"""Progress where stderr is a log."""

from __future__ import annotations

from io import StringIO

import pytest
from ditmos import progress
from ditmos.progress import Stages
from rich.console import Console


def lines(reports: list[tuple], monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """What is printed for reports that are so far apart."""
    clock = iter(seconds * i for i in range(1, 100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    out = StringIO()
    with Stages(console=Console(file=out)) as stages:
        for report in reports:
            stages.report(*report)
    return out.getvalue().splitlines()


def test_a_log_has_a_line_when_a_stage_begins_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [("calibration",), *(("tuning", i, 40) for i in range(41)), ("planning",)]
    assert lines(reports, monkeypatch, 0.01) == [
        "calibration",
        "tuning           0/40",
        "tuning          40/40",
        "planning",
    ]


def test_a_long_stage_prints_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [("strong", i, 100, f"loss {i}") for i in range(8)]
    assert lines(reports, monkeypatch, progress.LOG_SECONDS / 3) == [
        "strong          0/100  loss 0",
        "strong          3/100  loss 3",
        "strong          6/100  loss 6",
    ]
