"""What all pages share: folder, boards, and on the host the model and the data. It goes on when a page is closed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ditmos.atomic import read_json
from ditmos.bench.route import part_of
from ditmos.datasets import Dataset, load
from ditmos.errors import DitmosError
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
from ditmos.ui.sensed import SENSORS, Sensed
from ditmos.ui.taking import Taking
from ditmos.ui.training_job import DATA, TrainingJob
from ditmos.ui.versions import Versions

POLICIES = "policies"  # folder of versions


class Watched(Protocol):
    """A board, or the tape of one."""

    title: str
    state: State
    message: str
    history: History | None

    @property
    def policy(self) -> Policy | None:
        """What decides; None: the board's own."""

    @property
    def version(self) -> int:
        """Of the policy."""

    @property
    def source(self) -> str:
        """What is shown."""


class Replayed:
    """A tape in a board's place: it can be looked at, and policies can be tried on its windows."""

    def __init__(self, title: str, tape: Tape) -> None:
        self.title = title
        self.state = State.idle
        self.message = "a tape, replayed"
        self.history: History | None = History.of_tape(tape)
        self.policy: Policy | None = None
        self.version = 0
        self.source = title


class Desk:
    """``model`` and ``data``: files that the user has named; either may be missing. ``given``: what is streamed in the
    place of the data set's windows."""

    def __init__(
        self,
        folder: Folder,
        boards: list[Watched],
        model: Path | None,
        data: Path | None,
        part: str,
        given: Supply | Sensed | None = None,
    ) -> None:
        self.folder = folder
        self.boards = boards
        self.versions = Versions(folder.path(POLICIES))
        self.given = given
        self.part = part
        self.model: Path | None = None
        self.reference: Model | None = None
        self.plan: Plan | None = None
        self.data = self._named = data
        self.dataset: Dataset | None = load(data) if data else None
        self.lab: PolicyLab | None = None
        self.job: TrainingJob | None = None
        self.taking: Taking | None = None
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
        if self.lab:
            self.lab.close()
        self.lab = PolicyLab(model, self.data, self.part)

    def data_of(self, run: Path) -> Path | None:
        """The data set of a finished training: in the folder, or the one that the user has named.

        Raises:
            DitmosError: another one.
        """
        said = self.folder.inside(run / DATA)
        if not said.exists():
            return None
        data = Path(read_json(said)["data"])
        return data if self._named and data.resolve() == self._named.resolve() else self.folder.inside(data)

    def first_supply(self) -> Supply | Sensed | None:
        """For a board that is there for the first time."""
        return self.given or self.supply()

    def sources(self) -> list[str]:
        """Names of what a board can be given."""
        named = [self.given.name] if self.given else []
        data = [self.dataset.name] if self.dataset is not None else []
        return list(dict.fromkeys([*named, *data, *(f"sensor {driver}" for driver in SENSORS)]))

    def named(self, source: str) -> Supply | Sensed:
        """One of `sources`, or another sensor: "sensor FILE.py:Name".

        Raises:
            DitmosError: no such driver, or a file that lies elsewhere.
        """
        if self.given and source == self.given.name:
            return self.given
        if self.dataset is not None and source == self.dataset.name and (supply := self.supply()):
            return supply
        return Sensed(self.folder.driver(source.removeprefix("sensor ")), source)

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
