"""The module on MicroPython's own qemu boards, a Cortex-M3 and a Cortex-M0, as a part of the firmware and as a native
module: portable kernels, byte for byte.
"""

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
from ditmos.firmware import natmod
from ditmos.firmware.build import build
from ditmos.link.board import Board
from ditmos.link.romfs import romfs_image
from ditmos.model.inputs import quantize_input
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
    native: str = ""  # architecture of the native module, where the firmware has none
    rom: int = 0  # address where a ROMFS is put


MICROBIT = ("-machine", "microbit", "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=262144")
CORES = {
    "cortex-m0": Core("cortex-m0", MICROBIT),
    "cortex-m3": Core("cortex-m3", ("-machine", "mps2-an385")),
    "stock-m0": Core("stock-m0", MICROBIT, "armv6m", 0x80000),
    "stock-m3": Core("stock-m3", ("-machine", "mps2-an385"), "armv7m", 0x21000000),
}
MOUNT = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({rom}, {size})), "/rom")
sys.path.append("/rom")
"""


class StockBoard(Simulator):
    """A board of MicroPython's, without what SIM_F767 adds."""

    def __init__(self, core: Core, elf: Path, image: Path) -> None:
        super().__init__(elf)
        self.core = core
        self.image = image

    def _start(self) -> None:
        self._memory = os.memfd_create("unused")
        line = ["-nographic", "-monitor", "null", "-semihosting", "-serial", "pty", "-kernel", str(self.firmware)]
        if self.core.rom:
            line += ["-device", f"loader,file={self.image},addr={self.core.rom:#x},force-raw=on"]
        self._spawn(["qemu-system-arm", *self.core.arguments, *line])
        self.port = self._pty_name()
        self._line = os.open(self.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(self._line, b"\r")  # its prompt may have come before anybody listened
        self._await_prompt(self._line, START_TIMEOUT, 0.3)


def built(core: Core) -> tuple[Path, Path | None]:
    """The firmware, and the native module for it. Skips without what that takes."""
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        return build(core.target).path, natmod.build([core.native])[0].path if core.native else None
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise


# The smaller core always: it has neither DSP extension nor a load of odd addresses. The others take builds of their
# own.
@pytest.mark.parametrize(
    "name", ["cortex-m0", *(pytest.param(name, marks=pytest.mark.slow) for name in CORES if name != "cortex-m0")]
)
def test_results_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    core = CORES[name]
    elf, module = built(core)
    image = tmp_path / "image"
    if module:
        (tmp_path / "rom").mkdir()
        shutil.copyfile(module, tmp_path / "rom" / module.name)
        image.write_bytes(romfs_image(tmp_path / "rom"))
    rng = np.random.default_rng(11)
    quantized = random_model(rng, SPEC, Style.TRAINED)
    windows = random_windows(rng, SPEC, WINDOWS)
    plans = front(SPEC, quantized)
    with StockBoard(core, elf, image) as stock, Board(stock.port) as board:
        if module:
            board.exec(MOUNT.format(rom=core.rom, size=image.stat().st_size))
        for plan in {plans[0].plan.name: plans[0].plan, plans[-1].plan.name: plans[-1].plan}.values():
            data = encode(quantized, plan)
            board.exec(f"import _ditmos\nfrom array import array\nm = _ditmos.Model({data!r})")
            real = (np.arange(-90, 90, dtype=np.float32) / 8).reshape(-1, SPEC.channels)
            board.exec(f"d = bytearray({real.size})\nm.quantize(array('f', {real.ravel().tolist()}), d)")
            assert board.eval("bytes(d)") == quantize_input(real, quantized.inputs).tobytes()
            for window in windows:
                flat = [int(v) for v in window.reshape(-1)]
                board.exec(f"w = array('b', {flat})")
                model = Model(quantized)
                assert board.eval("list(m.select(w))") == model.select(window).tolist()
                for k in range(SPEC.classifiers):
                    assert board.eval(f"list(m.classify({k}))") == model.classify(k).tolist()
