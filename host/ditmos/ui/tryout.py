"""A policy on trial: over the windows that a board has just had, and over the data set, beside what answers now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ditmos.errors import DitmosError
from ditmos.model.policy import Policy
from ditmos.ui.desk import Desk, Watched
from ditmos.ui.history import Answer
from ditmos.ui.lab import PolicyLab
from ditmos.ui.lab_worker import Fault, Outcome
from ditmos.ui.versions import line_of

LIVE = 200  # windows of the stream


@dataclass(frozen=True)
class Trial:
    """Of a policy: over the stream's newest windows, with the answers that came to them, and over the data set. None
    where there are none of these. fault: why it cannot be tried."""

    live: Outcome | None
    answers: Sequence[Answer]
    data: Outcome | None
    fault: Fault | None
    seconds: float


def try_out(desk: Desk, board: Watched | None, text: str, expression: str) -> Trial:
    """Check a policy and try it, without a board; what answers now is what it is compared with. Takes a moment: for a
    thread."""
    began = time.monotonic()
    path = desk.versions.draft(text)

    def failed(fault: Fault) -> Trial:
        return Trial(None, (), None, fault, time.monotonic() - began)

    try:
        policy = desk.versions.of_file(path, expression)
    except DitmosError as error:
        return failed(Fault(_plain(str(error), path), line_of(error, path)))
    lab = desk.lab
    if lab is None:
        return failed(Fault("to try a policy here takes the model's file: ditmos ui --model FILE", None))
    before = board.policy.text if board and board.policy else None
    try:
        data = lab.over_data(policy.text, before)
        live, answers = _over_stream(lab, desk, board, policy, before)
    except DitmosError as error:
        return failed(Fault(str(error), None))
    for found in (data, live):
        if isinstance(found, Fault):
            return failed(Fault(_plain(found.message, path), found.line))
    seconds = time.monotonic() - began
    return Trial(_or_none(live), answers, _or_none(data), None, seconds)


def _over_stream(
    lab: PolicyLab, desk: Desk, board: Watched | None, policy: Policy, before: str | None
) -> tuple[Outcome | Fault | None, Sequence[Answer]]:
    history = board.history if board else None
    model = desk.reference
    if history is None or model is None or history.signal.class_names != model.class_names:
        return None, ()
    answers, windows = history.windows(history.last(LIVE))
    if not answers:
        return None, ()
    y = np.array([-1 if answer.truth is None else answer.truth for answer in answers], np.int64)
    return lab.over(policy.text, before, windows, y), answers


def _or_none(found: Outcome | Fault | None) -> Outcome | None:
    return found if isinstance(found, Outcome) else None


def _plain(message: str, path: Path) -> str:
    """Without the draft's path, which says nothing to whoever wrote it."""
    start = message.find(f"{path}, line ")
    if start >= 0:
        return message[start + len(str(path)) + 2 :]
    return message.replace(f"{path}: ", "").replace(str(path), "the editor")
