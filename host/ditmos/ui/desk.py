"""What all pages share: folder, boards, and on the host the model and the data. It goes on when a page is closed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ditmos.bench.route import part_of
from ditmos.datasets import Dataset, load
from ditmos.errors import DitmosError
from ditmos.link.repl import BoardError
from ditmos.link.tape import Tape
from ditmos.model.plan import Plan
from ditmos.model.policy import Policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.ui.folder import Folder
from ditmos.ui.history import History
from ditmos.ui.lab import PolicyLab
from ditmos.ui.live_board import LiveBoard, State
from ditmos.ui.player import Supply, supply_of_dataset
from ditmos.ui.training_job import TrainingJob
from ditmos.ui.versions import Versions

POLICIES = "policies"  # folder of versions


class Watched(Protocol):
    """A board, or the tape of one."""

    title: str
    state: State
    message: str
    history: History | None
    policy: Policy | None
    version: int
    trouble: BoardError | None


class Replayed:
    """A tape in a board's place: it can be looked at, and policies can be tried on its windows."""

    def __init__(self, title: str, tape: Tape) -> None:
        self.title = title
        self.state = State.idle
        self.message = "a tape, replayed"
        self.history: History | None = History.of_tape(tape)
        self.policy: Policy | None = None
        self.version = 0
        self.trouble: BoardError | None = None


class Desk:
    """``model`` and ``data``: files that the user has named; either may be missing."""

    def __init__(self, folder: Folder, boards: list[Watched], model: Path | None, data: Path | None, part: str) -> None:
        self.folder = folder
        self.boards = boards
        self.versions = Versions(folder.root / POLICIES)
        self.part = part
        self.model: Path | None = None
        self.reference: Model | None = None
        self.plan: Plan | None = None
        self.data = data
        self.dataset: Dataset | None = load(data) if data else None
        self.lab: PolicyLab | None = None
        self.job: TrainingJob | None = None
        if model:
            self.use(model)

    def use(self, model: Path, data: Path | None = None) -> None:
        """Take a model file for the one that runs on the boards, and windows of ``data`` for what they get.

        Raises:
            DitmosError: a file that is none.
        """
        quantized, plan = read_model(model)
        if data and data != self.data:
            self.dataset, self.data = load(data), data
        self.plan = plan
        self.reference = Model(quantized)
        self.model = model
        if self.job:
            self.job.stop()
        if self.lab:
            self.lab.close()
        self.lab = PolicyLab(model, self.data, self.part)

    def supply(self) -> Supply | None:
        """The data set's windows, for a board."""
        if self.dataset is None:
            return None
        part = self.part if self.dataset.split is not None else "all"
        return supply_of_dataset(self.dataset, part_of(self.dataset, part))

    def board(self, index: int) -> Watched | None:
        return self.boards[index] if 0 <= index < len(self.boards) else None

    def warm(self) -> None:
        """Have model and data read where policies are tried; what does not go together is said when one is tried."""
        if self.lab:
            with suppress(DitmosError):
                self.lab.warm()

    def close(self) -> None:
        for board in self.boards:
            if isinstance(board, LiveBoard):
                board.close()
        if self.job:
            self.job.stop()
        if self.lab:
            self.lab.close()
