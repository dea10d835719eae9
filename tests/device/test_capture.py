"""Samples of a sensor on their way to a model, on MicroPython's unix port: drivers, what is refused, what is spared."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import load
from ditmos.frontends import log_mel
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import affine_of
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import stream_plan, whole_plan
from ditmos.routing import top1

Run = Callable[..., list[str]]
SCALE = 1 / 4096


@pytest.fixture
def run(micropython: Path, tmp_path: Path) -> Run:
    """Run a program beside device/ditmos and the drivers; its lines."""
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")
    for path in ("sensors.py", "motion.py"):
        shutil.copy(SOURCES / "device" / path, tmp_path)

    def start(program: str, fails: bool = False) -> list[str]:
        (tmp_path / "run.py").write_text(program)
        command = [micropython, "-X", "heapsize=1m", "run.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return (done.stdout + done.stderr if fails else done.stdout).splitlines()

    return start


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """For raw samples of an accelerometer, 151 x 3, at 50 Hz."""
    signal = Signal.of((), "xyz", "g", SCALE, 50)
    quantized = made_for(random_model(np.random.default_rng(5), reference_spec(), Style.TRAINED), signal, SCALE * 64)
    write_model(tmp_path / "model.dtm", quantized, stream_plan(quantized.spec))
    return Model(quantized)


@pytest.fixture
def heard(tmp_path: Path) -> Model:
    """For sound of 16 kHz, log-mel, of the scale 1/2048."""
    front = log_mel.front_end(16000.0, 2**-11, "full scale", "mic")
    branch = BranchSpec((ConvSpec(8, 5), ConvSpec(8, 3)), (16,))
    spec = NetworkSpec(49, 40, 6, 3, branch, branch, aggregate=(1,))
    quantized = replace(random_model(np.random.default_rng(6), spec, Style.TRAINED), front_end=front)
    write_model(tmp_path / "model.dtm", quantized, whole_plan(spec, feed=memory(front, spec.window)))
    return Model(quantized)


def save_wav(path: Path, samples: np.ndarray, rate: int = 16000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


FAKE = """
import ditmos
from array import array
from ditmos import capture

class Sensor:
    channels, units, scale, rate = ("x", "y", "z"), "g", 1 / 4096, 50
    def __init__(self, path="samples"):
        self.samples = memoryview(array("h", open(path, "rb").read()))
    def readinto(self, block):
        count = min(len(block), len(self.samples))
        block[:count] = self.samples[:count]
        self.samples = self.samples[count:]
        return count
"""


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ('("uS", "g", "g")', []),
        ('"g"', ["Sensor: x is in g, the model was made for uS"]),
    ],
)
def test_raw_channels_may_have_units_of_their_own(run: Run, units: str, said: list[str]) -> None:
    assert said == run(f"""
from ditmos import capture
class Sensor:
    channels, units, scale, rate = ("x", "y", "z"), {units}, 1, 50
class Model:
    raw_window, raw_channels, raw_units, raw_scale, raw_rate = 10, 3, "uS, g, g", 1, 50
try:
    capture.check(Model, Sensor())
except ValueError as error:
    print(error)
""")


def test_narrow_is_the_rounded_and_limited_shift(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = np.concatenate([rng.integers(-(2**31), 2**31, 500), [2**31 - 1, -(2**31), 0, -1, 1]]).astype(np.int32)
    small = rng.integers(-32768, 32768, 505).astype(np.int16)
    (tmp_path / "words").write_bytes(words.tobytes() + small.tobytes())
    said = run("""
import _ditmos
from array import array
data = open("words", "rb").read()
words, small = array("i", data[:2020]), array("h", data[2020:])
out = array("h", bytes(1010))
for shift in (0, 1, 8, 16, 31):
    print(_ditmos.narrow(words, out, shift), list(out))
for shift in (0, 4, 15):
    print(_ditmos.narrow(small, out, shift), list(out))
_ditmos.narrow(small, small, 4)
print(0, list(small))
for wrong in ((words, out[1:], 1), (words, out, 32), (small, out, 16)):
    try:
        _ditmos.narrow(*wrong)
    except ValueError as error:
        print(error)
""")
    cases = [(words, s) for s in (0, 1, 8, 16, 31)] + [(small, s) for s in (0, 4, 15)] + [(small, 4)]
    for line, (values, shift) in zip(said, cases, strict=False):
        exact = np.floor(values / 2.0**shift + 0.5) if shift else values.astype(np.float64)
        limited = np.clip(exact, -32768, 32767)
        count, _, rest = line.partition(" ")
        assert json.loads(rest) == limited.astype(int).tolist(), shift
        assert int(count) == (exact != limited).sum()
    assert len(said) == len(cases) + 3 and all("narrow: expected" in line for line in said[-3:])


def test_watch_counts(run: Run, tmp_path: Path) -> None:
    """In pieces of any length as in one."""
    rng = np.random.default_rng(2)
    rows = rng.integers(-32768, 32768, (600, 2)).astype(np.int16)
    rows[100:140] = rows[100]
    rows[500:] = (32767, -32768)
    (tmp_path / "samples").write_bytes(rows.tobytes())
    program = """
import _ditmos
from array import array
samples = memoryview(array("h", open("samples", "rb").read()))
state = array("i", bytes(24))
at = 0
for rows in %s:
    _ditmos.watch(samples[at:at + 2 * rows], state)
    at += 2 * rows
    print(list(state))
"""
    sizes = [1, 2, 136, 1, 300, 100, 60]
    at = 0
    for line, size in zip(run(program % sizes), sizes, strict=True):
        block = rows[at : at + size].astype(np.float64)
        at += size
        clipped, still, loudness, count, *last = json.loads(line)
        same = (rows[1:at] == rows[: at - 1]).all(1)[::-1]
        assert still == (len(same) if same.all() else int(np.argmin(same)))
        assert clipped == np.isin(rows[:at], (-32768, 32767)).sum() and count == at and last == rows[at - 1].tolist()
        assert loudness == int(np.sqrt(block.var(0).max()) + 1e-9)


def test_a_window_that_slides_gives_what_the_reference_gives(run: Run, model: Model, tmp_path: Path) -> None:
    samples = np.random.default_rng(3).integers(-9000, 9000, (400, 3)).astype(np.int16)
    (tmp_path / "samples").write_bytes(samples.tobytes())
    said = run(FAKE + "for answer in ditmos.listen(ditmos.load(), Sensor(), hop=8):\n    print(*answer)\n")
    ends = range(152, 401, 8)
    windows = model.quantize(np.array([samples[end - 151 : end] for end in ends]))
    expected = [top1(model, window) for window in windows]
    assert said == [f"{model.class_names[label]} {k}" for label, k in expected] and len(set(said)) > 1


def test_silence_spares_the_inference(run: Run, model: Model, tmp_path: Path) -> None:
    """Windows of which some part was loud are decided on as without a gate, others by nobody."""
    rng = np.random.default_rng(4)
    samples = rng.integers(-3, 4, (800, 3)).astype(np.int16)
    samples[300:340] = rng.integers(-5000, 5000, (40, 3))
    (tmp_path / "samples").write_bytes(samples.tobytes())
    program = FAKE + "for answer in ditmos.listen(ditmos.load(), Sensor(), hop=8, gate=%d):\n    print(*answer)\n"
    free, gated = run(program % 0), run(program % 100)
    ends = list(range(152, 801, 8))
    loud = [end > 300 and end - 151 < 340 for end in ends]
    assert len(free) == len(gated) == len(ends)
    for a, b, end, is_loud in zip(free, gated, ends, loud, strict=True):
        if is_loud:
            assert b == a
        elif not 340 <= end - 151 < 350:  # the gate may stay open for one hop more
            assert b == "None 255", end


def test_the_first_seconds_calibrate(run: Run, heard: Model, tmp_path: Path) -> None:
    """Then windows are those of the reference on the wearer's scale; nothing of before is in them."""
    own = affine_of(np.full(40, -500.0), np.full(40, 900.0), own=True)
    front = heard.model.front_end
    assert front is not None
    front = replace(front, operations=(*front.operations, own))
    quantized = replace(heard.model, front_end=front)
    spec = quantized.spec
    write_model(tmp_path / "model.dtm", quantized, whole_plan(spec, feed=memory(front, spec.window)))
    sound = np.random.default_rng(8).normal(0, 300, (32000, 1)).astype(np.int16)
    save_wav(tmp_path / "sound.wav", 16 * sound)
    said = run("""
import ditmos
from sensors import WavFile
def policy(model, window):
    print(list(model.select(window)))
    return 0, 0
for _ in ditmos.listen(ditmos.load(policy=policy), WavFile("sound.wav"), hop=8, calibrate=0.8):
    pass
""")
    reference = Model(quantized)
    reference.calibrate(sound[:12800])
    reference.feed_reset()
    reference.feed(sound[12800 : 12800 + 15840])
    assert said[0] == str([int(v) for v in reference.select_fed()]) and len(said) == 2
    reference = Model(quantized)
    reference.feed(sound[12800 : 12800 + 15840])
    assert said[0] != str([int(v) for v in reference.select_fed()])


@pytest.mark.parametrize("value", [0, -1, 77])
def test_a_sensor_that_sends_nothing_is_an_error(run: Run, model: Model, tmp_path: Path, value: int) -> None:
    samples = np.random.default_rng(3).integers(-9000, 9000, (300, 3)).astype(np.int16)
    samples[200:] = value
    (tmp_path / "samples").write_bytes(samples.tobytes())
    said = run(FAKE + "for answer in ditmos.listen(ditmos.load(), Sensor(), hop=25):\n    print(*answer)\n", fails=True)
    assert said[-1] == (
        f"OSError: Sensor sends nothing: 50 rows in a row are {value}, {value}, {value}; check its wiring and supply"
    )
    assert len([line for line in said if " " in line and "File" not in line and "Trace" not in line]) < 6


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("rate = 100", "rate of Sensor is 100 Hz, the model was made for 50"),
        ("scale = 1 / 2048", "Sensor: scale of x is 0.000488281, the model was made for 0.000244141"),
        ("channels = ('x', 'y')", "Sensor has 2 channels, the model was made for 3"),
        ("channels = ('x', 'z', 'y')", "channel 1 of Sensor is z, the model was made for y"),
        ("units = 'm/s2'", "Sensor: x is in m/s2, the model was made for g"),
    ],
)
def test_samples_of_another_kind_are_refused_by_name(
    run: Run, model: Model, tmp_path: Path, what: str, said: str
) -> None:
    (tmp_path / "samples").write_bytes(bytes(6 * 400))
    program = FAKE + f"Base = Sensor\nclass Sensor(Base):\n    {what}\n"
    lines = run(program + "next(ditmos.listen(ditmos.load(), Sensor(), hop=25))\n", fails=True)
    assert lines[-1] == "ValueError: " + said


def test_seconds_go_on_over_rows_that_were_lost(run: Run, model: Model, tmp_path: Path) -> None:
    """20 s of them after 300 rows; the window then starts anew."""
    samples = np.random.default_rng(3).integers(-9000, 9000, (600, 3)).astype(np.int16)
    (tmp_path / "samples").write_bytes(samples.tobytes())
    said = run(
        FAKE
        + """
from ditmos import alone
class Gap(Sensor):
    @property
    def lost(self):
        return 1000 * (len(self.samples) < 900)
count = 0
def policy(model, window):
    global count
    count += 1
    model.select(window)
    return model.classify(0)[0] * 0 + count % 2, 0
alone.run(Gap, hop=50, policy=policy, restart=0, log="log")
"""
    )
    times = [float(line.split()[0]) for line in said[1:]]
    assert times == [4.0, 5.0, 6.0, 30.0, 31.0, 32.0]


def test_a_wav_file_is_a_microphone(run: Run, heard: Model, tmp_path: Path) -> None:
    """Of the model's scale, at its own pace, over and over where it is told so; answers are the reference's."""
    loudness = np.repeat(2.0 ** np.random.default_rng(9).integers(2, 15, 75), 320)[:, None]
    sound = (np.random.default_rng(8).normal(0, 1, (24000, 1)) * loudness).clip(-32768, 32767).astype(np.int16)
    save_wav(tmp_path / "sound.wav", sound)
    save_wav(tmp_path / "short.wav", sound[:3000])
    said = run("""
import time, ditmos
from sensors import WavFile
def policy(model, window):
    print(list(model.select(window)), list(model.classify(0)))
    return 0, 0
began, sound = time.ticks_ms(), WavFile("sound.wav")
for _ in ditmos.listen(ditmos.load(policy=policy), sound, hop=4):
    pass
print(time.ticks_diff(time.ticks_ms(), began), sound.clipped)
from array import array
again, block, got = WavFile("short.wav", loop=True), array("h", bytes(2000)), []
for _ in range(4):
    got += list(block[:again.readinto(block)])
print(got == list(array("h", open("short.wav", "rb").read()[44:])) + got[:1000], len(got))
""")
    samples = np.floor(sound / 16 + 0.5).astype(np.int16)
    expected, missing = [], heard.window
    for piece in samples.reshape(-1, 320):
        missing -= heard.feed(piece)
        if missing <= 0:
            missing += 4
            expected.append(f"{[int(v) for v in heard.select_fed()]} {[int(v) for v in heard.classify(0)]}")
    assert said[:-2] == expected and len(set(expected)) > 1
    took, clipped = map(int, said[-2].split())
    assert took > 1400 and clipped == np.isin(sound, (-32768, 32767)).sum() > 0
    assert said[-1] == "True 4000"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no sound", "sound.wav: no WAV file"),
        (b"RIFF\0\0\0\0WAVE", "sound.wav: no samples in it"),
        (
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8) + b"data\4\0\0\0abcd",
            "sound.wav: format 1 of 8 bits, expected PCM of 16",
        ),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "sound.wav: no format in it"),
    ],
)
def test_what_is_no_sound_is_refused(run: Run, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "sound.wav").write_bytes(content)
    assert run("from sensors import WavFile\nWavFile('sound.wav')\n", fails=True)[-1] == f"ValueError: {said}"


def test_a_file_of_another_rate_is_refused(run: Run, heard: Model, tmp_path: Path) -> None:
    save_wav(tmp_path / "sound.wav", np.zeros((800, 1)), rate=8000)
    program = "import ditmos\nfrom sensors import WavFile\nnext(ditmos.listen(ditmos.load(), WavFile('sound.wav')))\n"
    assert run(program, fails=True)[-1] == "ValueError: rate of WavFile is 8000 Hz, the model was made for 16000"


def test_takes_without_a_host_are_what_data_import_reads(run: Run, tmp_path: Path) -> None:
    rows = np.random.default_rng(3).integers(-9000, 9000, (600, 3)).astype(np.int16)
    (tmp_path / "samples").write_bytes(rows.tobytes())
    (tmp_path / "takes").mkdir()
    said = run(
        FAKE
        + """
from ditmos import files
sensor = Sensor()
files.record(sensor, "walk", seconds=4, takes=2, folder="takes", gap=0)
files.record(sensor, "walk", 2, folder="takes")
print(files.record(sensor, "rest", seconds=2, folder="takes"))
"""
    )
    assert said[-1] == "['takes/rest-000.csv']" and "takes/walk-002.csv" in said
    for name, first, count in (
        ("walk-000", 0, 200),
        ("walk-001", 200, 200),
        ("walk-002", 400, 100),
        ("rest-000", 500, 100),
    ):
        head, *lines = (tmp_path / "takes" / f"{name}.csv").read_text().splitlines()
        assert head == "x,y,z"
        assert np.array_equal([list(map(int, line.split(","))) for line in lines], rows[first : first + count])
    out = tmp_path / "mine.npz"
    options = ["--pattern", "{label}-{take}.csv", "--rate", "50", "--units", "g", "--scale", str(SCALE)]
    command = [sys.executable, "-m", "ditmos", "data", "import", str(tmp_path / "takes"), *options]
    done = subprocess.run(
        [*command, "--window", "50", "--hop", "50", "-o", str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    data = load(out)
    assert data.class_names == ("rest", "walk") and data.fs == 50 and data.scale == SCALE and data.units == "g"
    assert np.array_equal(data.x[data.y == 0][0], rows[500:550])


def test_sound_without_a_host_is_a_wav_file(run: Run, tmp_path: Path) -> None:
    sound = np.random.default_rng(8).integers(-20000, 20000, (9000, 1)).astype(np.int16)
    save_wav(tmp_path / "sound.wav", sound)
    run("""
from ditmos import files
from sensors import WavFile
files.record(WavFile("sound.wav"), "yes", seconds=0.5, folder=".")
""")
    with wave.open(str(tmp_path / "yes-000.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16000, 8000)
        assert file.readframes(8000) == sound[:8000].tobytes()


def test_a_take_after_999_has_a_number_of_its_own(run: Run, tmp_path: Path) -> None:
    save_wav(tmp_path / "sound.wav", np.random.default_rng(8).integers(-20000, 20000, (9000, 1)))
    for name in ("yes-998.wav", "yes-1000.wav", "yes-x.wav", "yesno-2000.wav"):
        (tmp_path / name).write_bytes(b"")
    said = run("""
from ditmos import files
from sensors import WavFile
files.record(WavFile("sound.wav"), "yes", seconds=0.1, folder=".")
""")
    assert said == ["./yes-1001.wav"]


@pytest.mark.parametrize(("channels", "most"), [(1, 100), (60, 120)])
def test_a_recording_goes_on_behind_a_short_block(run: Run, tmp_path: Path, channels: int, most: int) -> None:
    """A file that begins again gives less than was asked for; rows may be longer than a frame."""
    sound = np.random.default_rng(8).integers(-20000, 20000, (500, channels)).astype(np.int16)
    save_wav(tmp_path / "sound.wav", sound)
    (said,) = run("""
import ditmos.serve
from ditmos import record
from sensors import WavFile
class Line:
    def __init__(self, *given): pass
    def queued(self): return 0
    def send(self, kind, payload):
        if kind == record.SAMPLES:
            sent.append(bytes(payload))
sent = []
ditmos.serve.Link = Line
record.Server.status = lambda self: {}
blocks = record.Blocks(WavFile("sound.wav", loop=True), 1200)
while not blocks.over:
    blocks.step()
open("sent", "wb").write(b"".join(sent))
print(blocks.done, max(len(payload) for payload in sent), sorted(blocks.status()))
""")
    assert said == f"1200 {most} ['clipped', 'lost', 'span']"  # also where the host ends it
    got = np.frombuffer((tmp_path / "sent").read_bytes(), np.int16).reshape(-1, channels)
    assert np.array_equal(got, np.concatenate([sound, sound, sound[:200]]))


def test_a_take_that_comes_to_nothing_leaves_no_file(run: Run, tmp_path: Path) -> None:
    save_wav(tmp_path / "sound.wav", np.random.default_rng(8).integers(-20000, 20000, (9000, 1)))
    said = run("""
from ditmos import files
from sensors import WavFile
for seconds in (0.6, 100):
    try:
        files.record(WavFile("sound.wav"), "no", seconds, folder=".")
    except (OSError, MemoryError) as error:
        print(error)
def full(*what):
    raise OSError(28)
files._write_wav = full
try:
    files.record(WavFile("sound.wav"), "no", 0.5, folder=".")
except OSError as error:
    print(error)
""")
    assert said[0] == "WavFile ended after 9000 of 9600 rows"
    assert said[1].startswith("a take of 1600000 rows, RAM has room for ")
    assert said[2] == "./no-000.wav: no room there for 8000 rows; take another folder, such as /sd"
    assert not list(tmp_path.glob("no-*"))


def test_listen_script_tells_each_change(micropython: Path, run: Run, heard: Model, tmp_path: Path) -> None:
    save_wav(tmp_path / "sound.wav", np.random.default_rng(8).integers(-20000, 20000, (24000, 1)))
    shutil.copy(SOURCES / "device" / "listen.py", tmp_path / "start.py")
    options = ["--sensor", "WavFile('sound.wav')", "--hop", "4", "--events", "majority(windows=2, least=2)"]
    command = [micropython, "-X", "heapsize=1m", "start.py", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "listening to WavFile, every 0.08 s"
    assert re.fullmatch(r"1\.06 s: class \d \(classifier \d\)", lines[1])
