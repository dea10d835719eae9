"""The module on MicroPython's own qemu boards, a Cortex-M3 and a Cortex-M0: portable kernels, byte for byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.errors import DitmosError
from ditmos.firmware.build import build
from ditmos.link.board import Board
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import encode
from ditmos.planner import front
from ditmos.simulated.qemu import START_TIMEOUT, Simulator

WINDOWS = 3
SPEC = NetworkSpec(
    40, 3, 5, 3, BranchSpec((ConvSpec(6, 5), ConvSpec(4, 3)), (8,)), BranchSpec((ConvSpec(6, 5),)), aggregate=(1,)
)


@dataclass(frozen=True)
class Core:
    target: str
    arguments: Sequence[str]  # of qemu


MICROBIT = ("-machine", "microbit", "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=262144")
CORES = {
    "cortex-m0": Core("cortex-m0", MICROBIT),
    "cortex-m3": Core("cortex-m3", ("-machine", "mps2-an385")),
}


class StockBoard(Simulator):
    """A board of MicroPython's, without what SIM_F767 adds."""

    def __init__(self, core: Core, elf: Path) -> None:
        super().__init__(elf)
        self.core = core

    def _start(self) -> None:
        self._memory = os.memfd_create("unused")
        line = ("-nographic", "-monitor", "null", "-semihosting", "-serial", "pty", "-kernel", str(self.firmware))
        self._spawn(["qemu-system-arm", *self.core.arguments, *line])
        self.port = self._pty_name()
        self._line = os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(self._line, b"\r")  # its prompt may have come before anybody listened
        self._await_prompt(self._line, START_TIMEOUT, 0.3)


# The smaller core always: it has neither DSP extension nor a load of odd addresses. The other takes a build of its own.
@pytest.mark.parametrize(
    "core", [CORES["cortex-m0"], pytest.param(CORES["cortex-m3"], marks=pytest.mark.slow)], ids=lambda core: core.target
)
def test_results_are_those_of_the_reference(core: Core) -> None:
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        elf = build(core.target).path
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise
    rng = np.random.default_rng(11)
    quantized = random_model(rng, SPEC, Style.TRAINED)
    windows = random_windows(rng, SPEC, WINDOWS)
    plans = front(SPEC, quantized)
    with StockBoard(core, elf) as stock, Board(stock.port) as board:
        for plan in {plans[0].plan.name: plans[0].plan, plans[-1].plan.name: plans[-1].plan}.values():
            data = encode(quantized, plan)
            board.exec(f"import _ditmos\nfrom array import array\nm = _ditmos.Model({data!r})")
            for window in windows:
                flat = [int(v) for v in window.reshape(-1)]
                board.exec(f"w = array('b', {flat})")
                model = Model(quantized)
                assert board.eval("list(m.select(w))") == model.select(window).tolist()
                for k in range(SPEC.classifiers):
                    assert board.eval(f"list(m.classify({k}))") == model.classify(k).tolist()
