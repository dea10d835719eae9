"""The module on MicroPython's own qemu boards, a Cortex-M3 and a Cortex-M0, as a part of the firmware and as a native
module, from ROM and installed by mip: portable kernels, byte for byte.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import encode
from ditmos.planner import front
from ditmos.routing import top1
from ditmos.simulated.qemu import START_TIMEOUT, Simulator

WINDOWS = 3
SPEC = NetworkSpec(
    40, 3, 5, 3, BranchSpec((ConvSpec(6, 5), ConvSpec(4, 3)), (8,)), BranchSpec((ConvSpec(6, 5),)), aggregate=(1,)
)
# Small: beside module and package the heap of such a board has little left.
SMALL = NetworkSpec(16, 3, 4, 2, BranchSpec((ConvSpec(4, 3),)), BranchSpec((ConvSpec(4, 3),)), aggregate=(1,))


@dataclass(frozen=True)
class Core:
    target: str
    arguments: Sequence[str]  # of qemu
    native: str = ""  # architecture of the native module, where the firmware has none
    rom: int = 0  # address where a ROMFS is put
    ram: int = 0  # of memory that MicroPython leaves alone


MICROBIT = ("-machine", "microbit", "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=262144")
CORES = {
    "cortex-m0": Core("cortex-m0", MICROBIT),
    "cortex-m3": Core("cortex-m3", ("-machine", "mps2-an385")),
    "stock-m0": Core("stock-m0", MICROBIT, "armv6m", 0x80000),
    "stock-m3": Core("stock-m3", ("-machine", "mps2-an385"), "armv7m", 0x21000000, 0x21400000),
}
MOUNT = """
import sys, uctypes, vfs
vfs.mount(vfs.VfsRom(uctypes.bytearray_at({rom}, {size})), "/rom")
sys.path.append("/rom")
"""


# These boards have no file system. This one keeps files in memory beside the heap's, as a board's flash would; `table`
# says where. Small ones are read from a copy: byte by byte through Python they would leave the heap in pieces.
FILES = """
import io, sys, uctypes, vfs
memory = memoryview(uctypes.bytearray_at({ram}, 1 << 20))
table = {table}
class File(io.IOBase):
    def __init__(self, start, end):
        self.at, self.end = start, end
    def readinto(self, buffer):
        count = min(len(buffer), self.end - self.at)
        buffer[:count] = memory[self.at : self.at + count]
        self.at += count
        return count
    def ioctl(self, request, argument):
        return 0
class New:
    def __init__(self, path):
        self.path = path
        self.start = self.end = max(place[1] for place in table.values())
    def write(self, data):
        memory[self.end : self.end + len(data)] = data
        self.end += len(data)
        return len(data)
    def close(self):
        table[self.path] = self.start, self.end
class Files:
    def mount(self, readonly, mkfs):
        pass
    def place(self, path):
        if path not in table:
            raise OSError(2)
        return table[path]
    def open(self, path, mode):
        if "w" in mode:
            return New(path)
        start, end = self.place(path)
        return File(start, end) if end - start > 8192 else io.BytesIO(memory[start:end])
    def mkdir(self, path):
        table[path] = 0, 0
    def stat(self, path):
        start, end = self.place(path)
        return (0x8000 if end else 0x4000, 0, 0, 0, 0, 0, end - start, 0, 0, 0)
vfs.mount(Files(), "/ram")
sys.path.append("/ram/lib")
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


def check(board: Board, quantized: QuantizedModel, windows: np.ndarray) -> None:
    """The board's model `m` against the reference."""
    board.exec("from array import array")
    real = (np.arange(-90, 90, dtype=np.float32) / 8).reshape(-1, quantized.spec.channels)
    board.exec(f"d = bytearray({real.size})\nm.quantize(array('f', {real.ravel().tolist()}), d)")
    assert board.eval("bytes(d)") == quantize_input(real, quantized.inputs).tobytes()
    for window in windows:
        flat = [int(v) for v in window.reshape(-1)]
        board.exec(f"w = array('b', {flat})")
        model = Model(quantized)
        assert board.eval("list(m.select(w))") == model.select(window).tolist()
        for k in range(quantized.spec.classifiers):
            assert board.eval(f"list(m.classify({k}))") == model.classify(k).tolist()


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
            board.exec(f"import _ditmos\nm = _ditmos.Model({encode(quantized, plan)!r})")
            check(board, quantized, windows)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, core in CORES.items() if core.ram])
def test_mip_brings_inference_to_a_firmware_that_is_there(name: str, tmp_path: Path) -> None:
    """`mpremote mip install` of the native module's package, then a decision by the package's own engine."""
    core = CORES[name]
    elf, module = built(core)
    assert module
    rng = np.random.default_rng(12)
    quantized = random_model(rng, SMALL, Style.TRAINED)
    windows = random_windows(rng, SMALL, WINDOWS)
    (tmp_path / "model.dtm").write_bytes(encode(quantized, front(SMALL, quantized)[-1].plan))
    with StockBoard(replace(core, rom=0), elf, tmp_path) as stock:
        with Board(stock.port) as board:
            with pytest.raises(DitmosError, match="ImportError"):
                board.exec("import _ditmos")
            board.exec(FILES.format(ram=core.ram, table={"/": (0, 0)}))
        mip = ["mip", "install", str(module.parent / "package.json"), "+", "cp", str(tmp_path / "model.dtm"), ":/ram/"]
        command = [sys.executable, "-m", "mpremote", "connect", stock.port, "resume", *mip]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        with Board(stock.port, soft_reset=False) as board:
            table = board.eval("table")
        with Board(stock.port) as board:  # started afresh, as a board would be
            board.exec(FILES.format(ram=core.ram, table=table))
            board.exec("sys.modules['time'] = sys")  # these boards have no clock, and no such module
            board.exec("import _ditmos, ditmos\nengine = ditmos.load('/ram/model.dtm')\nm = engine.model")
            assert board.eval("_ditmos.__file__") == "/ram/lib/_ditmos.mpy"
            assert board.eval("ditmos.__file__") == "/ram/lib/ditmos/__init__.mpy"
            check(board, quantized, windows)
            for window in windows:
                flat = [int(v) for v in window.reshape(-1)]
                label, who = top1(Model(quantized), window)
                assert board.eval(f"engine(array('b', {flat}))") == (quantized.class_names[label], who)
