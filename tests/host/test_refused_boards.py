"""What a board cannot take is said with what to do, and what it did not run is no estimate."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ditmos.bench import estimate as estimating
from ditmos.bench.golden import random_model
from ditmos.errors import DitmosError
from ditmos.link import deploy as deploying
from ditmos.link.deploy import Place, deploy
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan


@pytest.fixture
def model(tmp_path: Path) -> Path:
    spec = NetworkSpec(20, 2, 3, 1, BranchSpec((ConvSpec(2, 3),)))
    write_model(tmp_path / "m.dtm", random_model(np.random.default_rng(0), spec), whole_plan(spec))
    return tmp_path / "m.dtm"


@pytest.mark.parametrize(
    ("place", "way"),
    [(Place.ram, r"`ditmos deploy .*m\.dtm --to rom`, once, leaves"), (Place.flash, "--to rom leaves")],
)
def test_a_heap_that_is_too_small(model: Path, monkeypatch: pytest.MonkeyPatch, place: Place, way: str) -> None:
    """`verify` has no --to: it names the command that has."""
    monkeypatch.setattr(deploying, "check_firmware", lambda board: None)
    room = {"tcm": 0, "heap": 300, "flash": 10**6, "rom": 10**6}
    board = SimpleNamespace(soft_reset=lambda: None, exec=lambda code: None, eval=lambda code: room)
    with pytest.raises(DitmosError, match=rf"in {place} it takes \d+ bytes of heap, the board has 300; {way}"):
        deploy(board, model, place)  # type: ignore[arg-type]


def test_a_model_that_the_emulated_board_refuses(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It said 0 cycles of a policy that the image lacks."""
    board = SimpleNamespace(run=lambda *_, **__: "starting\nbench: policy first does not take 3 margins\n")

    def emulated(*_: object, profile: Path, **__: object) -> nullcontext[SimpleNamespace]:
        profile.touch()
        return nullcontext(SimpleNamespace(port=""))

    monkeypatch.setattr(estimating, "nucleo_image", lambda kind: Path(kind))
    monkeypatch.setattr(estimating, "EmulatedBoard", emulated)
    monkeypatch.setattr(estimating, "Board", lambda port: nullcontext(board))
    with pytest.raises(DitmosError, match="did not run it, bench: policy first does not take 3 margins"):
        estimating.estimate(model)
