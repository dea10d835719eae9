"""The firmware of the real board, as it is flashed, on the emulated one: mpremote, models, streams, what it takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.atomic import read_json
from ditmos.bench.golden import Style, for_samples, random_model, random_windows
from ditmos.emulator import EmulatedBoard
from ditmos.errors import DitmosError
from ditmos.firmware import nucleo
from ditmos.firmware.memorymap import ITCM, ROMFS
from ditmos.firmware.nucleo import Image
from ditmos.firmware.targets import NUCLEO
from ditmos.frontends import log_bands, log_mel, vitals
from ditmos.frontends.memory import memory
from ditmos.link.board import Board
from ditmos.link.romfs import romfs_image
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import whole_plan
from elftools.elf.elffile import ELFFile

TIMEOUT = 120.0
BOOT_SECONDS = 5.0


class Recording:
    """A folder with a model and windows, and what the reference says of them."""

    def __init__(self, folder: Path, windows: np.ndarray) -> None:
        self.folder, self.windows = folder, windows
        spec = reference_spec()
        quantized = for_samples(random_model(np.random.default_rng(7), spec, Style.TRAINED), 1 / 256)
        write_model(folder / "model.dtm", quantized, whole_plan(spec))
        np.save(folder / "windows.npy", windows)
        self.model = Model(quantized)
        self.selector = self.model.select_batch(windows)
        self.choice = self.selector.argmax(1)
        self.logits = self.model.classify_batch(windows)[np.arange(len(windows)), self.choice]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    windows = random_windows(np.random.default_rng(8), reference_spec(), 12)
    return Recording(tmp_path_factory.mktemp("rom"), windows)


@pytest.fixture(scope="module")
def emulated(image: Image, recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedBoard]:
    rom = tmp_path_factory.mktemp("image") / "rom.img"
    rom.write_bytes(romfs_image(recording.folder))
    with EmulatedBoard(image.folder / "firmware.dfu", romfs=rom, lose=2000) as emulated:
        yield emulated


@pytest.fixture
def board(emulated: EmulatedBoard) -> Iterator[Board]:
    with Board(emulated.port) as board:
        yield board


@pytest.fixture
def mpremote(emulated: EmulatedBoard) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "mpremote", "connect", emulated.port, *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}  # mpremote's own output and the board's in order
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=SOURCES, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_sizes_are_within_bounds(image: Image) -> None:
    """`build` raises otherwise; here so that the figures are seen in the log."""
    print(image.usage)
    assert image.usage.text <= nucleo.MAX_TEXT
    assert image.usage.heap >= nucleo.MIN_HEAP
    assert 0 < image.usage.itcm < ITCM.size


def test_checks_see_what_is_missing(image: Image, tmp_path: Path) -> None:
    elf, binary = image.folder / "firmware.elf", tmp_path / "firmware.bin"
    content = bytearray((image.folder / "firmware.bin").read_bytes())
    binary.write_bytes(content)
    nucleo.check(elf, binary)
    code = content.find(itcm_bytes(elf))
    content[code] ^= 0xFF
    binary.write_bytes(content)
    with pytest.raises(DitmosError, match=r"bytes of \.itcm are not at 0x080"):
        nucleo.check(elf, binary)


def itcm_bytes(elf: Path) -> bytes:
    with elf.open("rb") as file:
        return ELFFile(file).get_section_by_name(".itcm").data()


def test_boots_in_time_and_touches_nothing_unknown(emulated: EmulatedBoard) -> None:
    """Processor seconds: other tests run beside it."""
    assert emulated.boot_cpu_seconds <= BOOT_SECONDS
    assert emulated.messages() == []


def test_bin_boots_as_the_dfu(image: Image) -> None:
    with EmulatedBoard(image.folder / "firmware.bin") as emulated, Board(emulated.port) as board:
        assert board.eval("6 * 7") == 42


def test_kernels_run_in_itcm(board: Board, image: Image) -> None:
    board.exec("import tcm, binascii")
    assert all(address in ITCM for address in board.eval("tcm.kernels()"))
    assert board.eval("binascii.crc32(tcm.code)") == zlib.crc32(itcm_bytes(image.folder / "firmware.elf"))


def test_heap_is_large_enough(board: Board) -> None:
    board.exec("import gc; gc.collect()")
    assert board.eval("gc.mem_free() + gc.mem_alloc()") >= nucleo.MIN_HEAP


def test_copies_in_dtcm_come_and_go(board: Board) -> None:
    board.exec("import tcm, gc; a = tcm.copy(b'1234' * 8192); b = tcm.copy(memoryview(b'56' * 16384))")
    assert board.eval("(bytes(a)[:4], bytes(b)[:4], len(bytes(b)))") == (b"1234", b"5656", 32768)
    assert "no place for 4 bytes" in board.exec("try:\n tcm.copy(b'1234')\nexcept MemoryError as error:\n print(error)")
    board.exec("a = None; gc.collect(); c = tcm.copy(b'78' * 16384)")
    assert board.eval("(bytes(b)[:4], bytes(c)[:4])") == (b"5656", b"7878")
    board.exec("try:\n memoryview(c)[0] = 1\n raise SystemError\nexcept TypeError:\n pass")


def test_infer_equals_reference(mpremote: Callable[..., str], recording: Recording) -> None:
    output = mpremote("exec", "import sys; sys.argv[:] = ['infer.py', '--json']", "run", "device/infer.py")
    _, *rows = map(json.loads, output.splitlines())
    assert len(rows) == len(recording.windows)
    for row, choice, selector, logits in zip(rows, recording.choice, recording.selector, recording.logits, strict=True):
        assert row["k"] == choice
        assert bytes.fromhex(row["selector"]) == selector.tobytes()
        assert bytes.fromhex(row["logits"]) == logits.tobytes()


def test_benchmark_says_instructions(mpremote: Callable[..., str]) -> None:
    arguments = "import sys; sys.argv[:] = ['bench.py', '--json', '--repeat', '3']"
    result = json.loads(mpremote("exec", arguments, "run", "device/bench.py"))
    assert result["unit"] == "instructions, not cycles"
    parts = result["parts"]
    slices = sum(part["median"] for name, part in parts.items() if name.startswith("slice"))
    whole = parts["select"]["median"] + parts["classify"]["median"]
    assert slices == pytest.approx(whole, rel=0.05)
    assert parts["policy"]["median"] > whole


FRONTS = {
    "log-mel": (log_mel.front_end(16e3, 1 / 2048, "full scale", "mic"), 6),
    "log-bands": (log_bands.front_end(128.0, 0.2, "uV", ("Fz", "Cz")), 5),
    "vitals": (vitals.front_end(16.0, 1.0, "", ("BVP", "EDA", "x", "y", "z"), 2), 5),
}


@pytest.mark.parametrize("name", FRONTS)
def test_front_ends_make_the_rows_of_the_reference(name: str, board: Board, tmp_path: Path) -> None:
    """Those that training chooses, row by row, and logits behind them."""
    front, rows = FRONTS[name]
    branch = BranchSpec((ConvSpec(3, 3, pool=1),))
    spec = NetworkSpec(rows, front.channels_out, 3, 2, branch, branch)
    rng = np.random.default_rng(3)
    model = replace(random_model(rng, spec), front_end=front)
    write_model(tmp_path / "fed.dtm", model, whole_plan(spec, feed=memory(front, rows)))
    report = verify(board, tmp_path / "fed.dtm", random_windows(rng, spec, 2), stepped=1)
    assert report.equal and report.rows is not None
    assert report.rows.bytes >= 2 * rows * spec.channels and report.rows.differences == 0


def test_stream_survives_lost_bytes(emulated: EmulatedBoard, board: Board, recording: Recording) -> None:
    """One byte in 2000 is lost in reception: every result still comes, once, in order, with the reference's logits."""
    windows = np.concatenate([recording.windows] * 2)
    results = []
    for result in classify(board, windows, logits=True):
        if not results:
            emulated.disturb()
        results.append(result)
        if len(results) == len(windows) - 2:
            emulated.disturb()
    assert [result.number for result in results] == list(range(len(windows)))
    for result in results:
        assert result.classifier == recording.choice[result.number % len(recording.windows)]
    assert any("bytes lost" in message for message in emulated.messages())


def test_one_file_stands_in_for_one_frozen_module(
    mpremote: Callable[..., str], board: Board, recording: Recording, tmp_path: Path
) -> None:
    """On the board, and in a mounted folder that holds nothing else (device/import_hook.c)."""
    board.close()
    edited = tmp_path / "ditmos" / "routing.py"
    edited.parent.mkdir()
    text = (SOURCES / "device" / "ditmos" / "routing.py").read_text()
    edited.write_text(text + "\n\ndef top1(model, window):\n    return 0, 5\n")
    code = "import ditmos; print(ditmos.load()(ditmos.windows()[3])[1])"
    assert mpremote("mount", str(tmp_path), "exec", code).splitlines()[-1] == "5"
    mpremote("fs", "mkdir", ":ditmos")
    mpremote("fs", "cp", str(edited), ":/flash/ditmos/routing.py")
    assert mpremote("exec", code).splitlines()[-1] == "5"
    mpremote("fs", "rm", "-r", ":ditmos")
    assert mpremote("exec", code).splitlines()[-1] == str(recording.choice[3]) != "5"


def test_an_event_lights_a_led_for_a_while(board: Board) -> None:
    program = """
import time
from ditmos.alone import Lamp
lamp, pin, seen = Lamp("LED2"), __import__("machine").Pin("LED2"), []
seen.append(pin.value())
lamp.flash(40)
for _ in range(6):
    lamp.tick()
    seen.append(pin.value())
    time.sleep_ms(20)
print(seen)
"""
    assert json.loads(board.exec(program)) == [0, 1, 1, 0, 0, 0, 0]


def test_a_program_that_hangs_is_reset_and_the_log_says_so(emulated: EmulatedBoard) -> None:
    """One that goes on is not, and with the program its watchdog ends."""
    fed = "dog = Dog(0.3, Log('/flash/dog.log'), False)\nfor _ in range(20):\n dog.feed()\n time.sleep_ms(50)\n"
    with Board(emulated.port) as board:
        board.exec("import os, time\nfrom ditmos.alone import Dog, Log\n" + fed + "dog.stop()\ntime.sleep(1)")
        assert "dog.log" not in board.eval("os.listdir('/flash')")
        board.start("kept = 1\ndog = Dog(0.3, Log('/flash/dog.log'), False)\nwhile True: pass")
        emulated.wait_while_running(2)  # of the board's own time
    with Board(emulated.port, soft_reset=False) as board:
        assert board.eval("'kept' in globals()") is False
        assert "the watchdog resets the board" in board.get("/flash/dog.log").decode()
        board.exec("import os\nos.remove('/flash/dog.log')")


def test_the_watchdog_of_the_chip_resets_what_does_not_feed_it(emulated: EmulatedBoard) -> None:
    with Board(emulated.port) as board:
        board.exec("import time\nfrom ditmos.alone import Dog\ndog = Dog(0.2, print, True)\ndog.stop()\nkept = 1")
        board.exec("for _ in range(20):\n dog.feed()\n time.sleep_ms(50)")
        assert board.eval("kept") == 1
        board.start("import machine\nstate = machine.disable_irq()\nwhile True: pass")
        emulated.wait_while_running(2)
    with Board(emulated.port, soft_reset=False) as board:
        assert board.eval("'kept' in globals()") is False
    assert not [line for line in emulated.messages() if "IWDG" in line]


def test_files_and_rom_outlive_the_board(image: Image, tmp_path: Path) -> None:
    flash, rom = tmp_path / "flash.bin", tmp_path / "rom"
    rom.mkdir()
    (rom / "hello.txt").write_text("from ROM")
    dfu = image.folder / "firmware.dfu"
    with EmulatedBoard(dfu, flash=flash) as emulated:
        with Board(emulated.port) as board:
            board.put(b"here", "/flash/note")
        command = [sys.executable, "-m", "mpremote", "connect", emulated.port, "romfs"]
        picture = tmp_path / "rom.romfs"
        subprocess.run([*command, "-o", str(picture), "build", str(rom)], check=True, timeout=TIMEOUT)
        subprocess.run([*command, "deploy", str(picture)], check=True, timeout=TIMEOUT)
        with pytest.raises(DitmosError, match="in use by another"), EmulatedBoard(dfu, flash=flash):
            pass
    with EmulatedBoard(dfu, flash=flash) as emulated, Board(emulated.port) as board:
        assert board.get("/flash/note") == b"here"
        assert board.eval("open('/rom/hello.txt').read()") == "from ROM"
        board.exec("import uctypes")
        assert board.eval("uctypes.addressof(memoryview(open('/rom/hello.txt', 'rb')))") in ROMFS


@pytest.mark.slow
def test_two_builds_are_the_same(image: Image) -> None:
    """Built again from the same sources in an emptied folder."""
    tree = Path(read_json(NUCLEO.provenance_file)["tree"])  # may be a user's own
    shutil.rmtree(NUCLEO.folder)
    again = nucleo.build(tree)
    assert again.sha256 == image.sha256
