"""I2S2 of the emulated board, its DMA and its microphone: alone, and under the firmware with the driver Inmp441."""

from __future__ import annotations

import json
import re
import shutil
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import serial
from ditmos.bench.golden import Style, random_model
from ditmos.emulator import EmulatedBoard
from ditmos.emulator.clock import CORE_HZ, Clock
from ditmos.emulator.dma import Dma
from ditmos.emulator.i2s import I2s, Microphone
from ditmos.emulator.nvic import Nvic
from ditmos.emulator.rcc import Rcc
from ditmos.errors import DitmosError
from ditmos.firmware.nucleo import Image
from ditmos.frontends import log_mel
from ditmos.frontends.memory import memory
from ditmos.link import alone, conversation
from ditmos.link.board import Board
from ditmos.link.deploy import deploy
from ditmos.link.record import Sensor
from ditmos.model.reader import read_model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import stream_plan

RATE = 16000
# Reads blocks of a sound that counts up, whose every sample tells which one it is; with a model in between.
COUNTING = """
import gc, time
from array import array
import ditmos
from ditmos import capture
from ditmos.listen import Listener
from sensors import Inmp441

class Counting(Inmp441):
    channels, units = ("mic",), "full scale"

    def __init__(self):
        super().__init__(gain=1)
        self.next = None
        self.missing = self.taken = 0

    def readinto(self, block):
        super().readinto(block)
        first = block[0] & 0xFFFF
        if self.next is not None:
            self.missing += (first - self.next) & 0xFFFF
        self.next = (first + len(block)) & 0xFFFF
        self.taken += len(block)
"""


def save_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """65,536 samples, each of which is one more than the one before."""
    return save_wav(
        tmp_path_factory.mktemp("sound") / "counting.wav", np.arange(65536).astype(np.uint16).view(np.int16)
    )


class Bench:
    """The peripherals alone, as the firmware sets them: 16 kHz, a circle of 128 halfwords."""

    def __init__(self, sound: Path | None, length: int = 128) -> None:
        self.clock, self.nvic, self.memory, self.said = Clock(), Nvic(), bytearray(2 * length), []
        self.nvic.reset()
        rcc = Rcc()
        rcc.registers |= {0x04: 0x2440_3604, 0x84: 213 << 6 | 2 << 28}  # 8 MHz / 4 * 213 / 2 = 213 MHz
        self.dma = Dma("DMA1", 0x4002_6000, (11, 12, 13, 14, 15, 16, 17, 47), self.nvic, self.store)
        self.i2s = I2s(self.clock, rcc, self.dma, 3, Microphone(sound), self.said.append)
        stream = 0x10 + 3 * 0x18
        for offset, value in ((0x04, length), (0x0C, 0x1000), (0x00, 1 << 8 | 1 << 3 | 1 << 4 | 1)):
            self.dma.write(stream + offset, value)
        self.i2s.write(0x20, 104 | 0 << 8)
        self.i2s.write(0x1C, 1 << 11 | 1 << 10 | 3 << 8 | 1 | 2 << 1)
        self.i2s.write(0x04, 1)

    def store(self, address: int, data: bytes) -> None:
        self.memory[address - 0x1000 : address - 0x1000 + len(data)] = data

    def until_next(self) -> None:
        self.clock.now = self.i2s.due
        self.clock.fire()
        self.i2s.fire()

    @property
    def words(self) -> list[int]:
        """What is in the buffer, left channel: the upper half comes first."""
        halves = np.frombuffer(bytes(self.memory), "<i2").reshape(-1, 4)
        assert not halves[:, 1:].any()
        return halves[:, 0].tolist()


def test_halves_of_the_buffer_come_at_their_time(counting: Path) -> None:
    bench = Bench(counting)
    assert bench.i2s.rate == pytest.approx(213e6 / 2 / 64 / 208 * 2, rel=1e-9)
    period = CORE_HZ / bench.i2s.rate
    for half in range(6):
        bench.until_next()
        assert bench.clock.now == pytest.approx(16 * (half + 1) * period, abs=1)
        flag = (1 << 4, 1 << 5)[half % 2] << 22
        assert bench.dma.read(0x00) == flag and bench.nvic.lines == 1 << 14
        start = half % 2 * 16
        assert bench.words[start : start + 16] == list(range(16 * half, 16 * half + 16))
        bench.dma.write(0x08, flag)
        assert bench.nvic.lines == 0
    assert bench.dma.overruns == 0 and bench.i2s.frames == 96


def test_a_half_that_nobody_empties_is_counted(counting: Path) -> None:
    bench = Bench(counting)
    for _ in range(5):
        bench.until_next()
    assert bench.dma.overruns == 3


def test_a_buffer_that_is_no_circle_ends(counting: Path) -> None:
    bench = Bench(counting)
    bench.dma.write(0x10 + 3 * 0x18, 0)
    bench.dma.write(0x10 + 3 * 0x18 + 4, 128)
    bench.dma.write(0x10 + 3 * 0x18, 1 | 1 << 4)
    for _ in range(4):
        bench.until_next()
    assert bench.dma.read(0x10 + 3 * 0x18) & 1 == 0 and bench.nvic.lines == 1 << 14
    assert bench.dma.overruns == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"RIFF", "no WAV file that can be read"), (None, "no WAV file that can be read")],
)
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "sound.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DitmosError, match=said):
        Microphone(path)


def test_sound_of_another_rate_is_reported(tmp_path: Path) -> None:
    bench = Bench(save_wav(tmp_path / "slow.wav", np.ones(100), 8000))
    assert re.fullmatch(r"I2S2: runs at 160\d\d Hz, the sound it is given has 8000", bench.said[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For sound of 16 kHz, random weights."""
    front = log_mel.front_end(float(RATE), 2**-15, "full scale", "mic")
    branch = BranchSpec((ConvSpec(8, 5), ConvSpec(8, 3)), (16,))
    spec = NetworkSpec(49, 40, 6, 3, branch, branch, aggregate=(1,))
    quantized = replace(random_model(np.random.default_rng(6), spec, Style.TRAINED), front_end=front)
    path = tmp_path_factory.mktemp("model") / "model.dtm"
    write_model(path, quantized, stream_plan(spec, memory(front, spec.window)))
    return path


@pytest.fixture(scope="module")
def start(image: Image, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., EmulatedBoard]:
    flash = tmp_path_factory.mktemp("flash") / "flash.bin"
    with EmulatedBoard(image.folder / "firmware.dfu", flash=flash) as emulated, Board(emulated.port) as board:
        board.put(SOURCES / "device" / "sensors.py", "/flash/sensors.py")
        board.put(model, "/flash/model.dtm")

    def begin(sound: Path | None) -> EmulatedBoard:
        own = tmp_path_factory.mktemp("board") / "flash.bin"
        shutil.copy(flash, own)
        return EmulatedBoard(image.folder / "firmware.dfu", flash=own, sound=sound, hurry=True)

    return begin


@pytest.fixture(scope="module")
def emulated(start: Callable[..., EmulatedBoard], counting: Path) -> Iterator[EmulatedBoard]:
    with start(counting) as emulated:
        yield emulated


def test_the_driver_gives_what_the_microphone_hears(emulated: EmulatedBoard) -> None:
    """In one program: while a board that hurries waits for its host, sound goes on."""
    program = """
import time
from array import array
from sensors import Inmp441
m, b = Inmp441(gain=1), array('h', bytes(3200))
m.readinto(b)
began = time.ticks_us()
first, between = list(b), []
for _ in range(10):
    m.readinto(b)
us = time.ticks_diff(time.ticks_us(), began)
last = list(b)
m.rescale(1 / 2048)
m.readinto(b)
m.close()
print([first, last, list(b), [m.lost, m.clipped, us]])
"""
    with Board(emulated.port) as board:
        first, last, soft, (lost, clipped, us) = json.loads(board.exec(program, timeout=300))
    assert (lost, clipped) == (0, 0) and us == pytest.approx(1e6, rel=0.02)
    assert np.array_equal(np.diff(np.array(first)) & 0xFFFF, np.ones(1599))
    assert last[0] & 0xFFFF == first[0] + 16000 & 0xFFFF
    heard = (np.array(last) + 1600).astype(np.uint16).view(np.int16)
    assert np.array_equal(soft, np.floor(heard / 16 + 0.5))
    assert not [line for line in emulated.messages() if "not modelled" in line]


def test_what_the_ring_has_no_room_for_is_counted(emulated: EmulatedBoard) -> None:
    program = """
m, b = Counting(), array('h', bytes(640))
m.readinto(b)
m.readinto(b)
time.sleep_ms(800)
for _ in range(40):
    m.readinto(b)
m.close()
print(m.lost, m.missing)
"""
    with Board(emulated.port) as board:
        lost, missing = map(int, board.exec(COUNTING + program, timeout=300).split())
    assert missing == pytest.approx(0.8 * RATE - 4096, abs=700)
    assert missing <= lost <= missing + 600


def test_clipping_is_counted(emulated: EmulatedBoard) -> None:
    """Of a sound that goes through all values once, all but an eighth at a gain of 8."""
    program = """
from array import array
from sensors import Inmp441
m, b = Inmp441(gain=8), array('h', bytes(2048))
for _ in range(64):
    m.readinto(b)
m.close()
print(m.clipped)
"""
    with Board(emulated.port) as board:
        assert int(board.exec(program, timeout=300)) == pytest.approx(65536 * 7 / 8, abs=20)


def test_a_soft_reset_stops_the_microphone(emulated: EmulatedBoard) -> None:
    """Its DMA would write into the heap of the next program, and its interrupt through a pointer to nothing."""
    with Board(emulated.port) as board:
        board.exec("from sensors import Inmp441\nm = Inmp441()")
        for _ in range(2):
            board.soft_reset()
            board.exec("import time\nfrom sensors import Inmp441\nm = Inmp441()\ntime.sleep_ms(20)", timeout=60)
        board.soft_reset()
        board.exec("import time\ntime.sleep_ms(20)\na = [bytes(1000) for _ in range(200)]\ntime.sleep_ms(20)")
        assert board.eval("any(any(x) for x in a)") is False
    assert not [line for line in emulated.messages() if "Fault" in line]


def test_a_microphone_that_is_not_there_is_an_error(start: Callable[..., EmulatedBoard]) -> None:
    program = "import ditmos\nfrom sensors import Inmp441\nfor x in ditmos.listen(ditmos.load(), Inmp441()): print(x)"
    said = r"Inmp441 sends nothing: 1\d{4} rows in a row are 0; check its wiring"
    with start(None) as emulated, Board(emulated.port) as board, pytest.raises(DitmosError, match=said):
        board.exec(program, timeout=300)


def test_deploy_run_listens_to_the_microphone(start: Callable[..., EmulatedBoard], model: Path, counting: Path) -> None:
    """It says what it hears and for how much of the time the core was awake; after a reset, too."""
    with start(counting) as emulated:
        with Board(emulated.port) as board:
            deploy(board, model)
            settings = alone.Settings("Inmp441(gain=1)", events="majority(windows=2, least=2)", led="LED2")
            alone.install(board, read_model(model)[0], settings)
            main = board.get(alone.MAIN)
            board.put(b"from ditmos import alone\nalone.REPORT = 5\n" + main, alone.MAIN)
            alone.start(board, print)
        with serial.Serial(emulated.port, timeout=60) as line:
            for _ in range(2):
                said = line.read_until(b"bytes free").decode().splitlines()[-1]
                print(said)
                found = re.search(r"(\d+) windows, 0 spared, \d+ events; awake ([\d.]+) %, about [\d.]+ mA; \d+", said)
                assert found and int(found[1]) > 40 and 1 < float(found[2]) < 50 and " clipped, 0 lost; " in said
                line.write(b"\x03")
                line.read_until(b">>> ")
                line.write(b"import machine; machine.reset()\r")
                assert re.search(rb"\d\.\d\d s: class \d \(classifier", line.read_until(b"(classifier"))


@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seconds", [4, pytest.param(600, marks=pytest.mark.slow)])
def test_no_sample_is_lost_while_the_model_decides(emulated: EmulatedBoard, seconds: int) -> None:
    """Capture at 16 kHz with an inference every 4 rows; the heap stays as it is."""
    program = (
        COUNTING
        + f"""
sensor = Counting()
listener = Listener(ditmos.load(), sensor, hop=4)
marks = []
capture.slept_us = 0
began = time.ticks_ms()
while sensor.taken < {seconds * RATE}:
    listener.step()
    if sensor.taken % {RATE * max(1, seconds // 60)} == 0:
        gc.collect()
        marks.append(gc.mem_free())
        print(sensor.taken)
ms = time.ticks_diff(time.ticks_ms(), began)
sensor.close()
print(sensor.missing, sensor.lost, listener.windows, ms, max(marks[1:]) - min(marks[1:]), marks[-1])
"""
    )
    with Board(emulated.port) as board:
        said = board.exec(program, timeout=600).splitlines()[-1]
    missing, lost, windows, ms, spread, free = map(int, said.split())
    print(f"{seconds} s: {windows} windows, heap {free} free, {spread} between its marks")
    assert (missing, lost) == (0, 0) and spread <= 512 and free > 200000
    assert windows == (seconds * 50 - 1 - 49) // 4 + 1
    assert ms == pytest.approx(1000 * seconds, rel=0.01)


def slower_clock(emulated: EmulatedBoard) -> Callable[[], int]:
    """Milliseconds that pass on the wall and on the board, which a busy machine slows down and a sound hurries on."""
    now, seen = 0.0, (time.monotonic(), emulated.seconds)

    def clock() -> int:
        nonlocal now, seen
        times = time.monotonic(), emulated.seconds
        now += min(later - earlier for later, earlier in zip(times, seen, strict=True))
        seen = times
        return round(1000 * now)

    return clock


def test_sound_is_recorded_at_a_line_that_carries_a_third_of_it(
    emulated: EmulatedBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """115,200 baud: the rows wait in RAM, and none is lost."""
    monkeypatch.setattr(conversation, "clock", slower_clock(emulated))
    with Board(emulated.port) as board:
        sensor = Sensor(board, "Inmp441(gain=1)")
        assert sensor.longest is not None and sensor.longest > 5
        began = board.eval("__import__('time').ticks_ms()")
        rows = np.concatenate(list(sensor.samples(24000)))
        took = board.eval(f"__import__('time').ticks_diff(__import__('time').ticks_ms(), {began})")
        board.exec("_sensor.close()")
    assert len(rows) == 24000 and np.array_equal(np.diff(rows[:, 0].astype(int)) & 0xFFFF, np.ones(23999))
    assert sensor.rate == pytest.approx(RATE, rel=0.01)
    print(f"{2 * len(rows)} bytes in {took} ms of the board's time")
    assert took > 2 * 24000 / 11.52
