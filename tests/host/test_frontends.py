"""The integer specification of front ends: against floats, in pieces, at the limits; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden_fronts import random_eeg, random_front, random_samples, random_sound
from ditmos.datasets import load
from ditmos.errors import DitmosError
from ditmos.frontends import log_bands, log_mel
from ditmos.frontends.frontend import FrontEnd, Stream
from ditmos.frontends.integers import isqrt, log2
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import ONE, Affine, Centre, Norm, Split, Statistics, affine_of
from ditmos.frontends.section import decode, encode
from ditmos.frontends.spectrum import transform


def one(*operations, channels: int = 1) -> FrontEnd:
    return FrontEnd(operations, 50.0, 1.0, "", tuple(map(str, range(channels))))


# ----- arithmetic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [8, 16, 32, 64, 128, 256, 512, 1024, 2048])
def test_transform_against_float(points: int) -> None:
    a = np.random.default_rng(points).integers(-(2**28), 2**28, (20, points))
    re, im = transform(a)
    exact = np.fft.rfft(a) * 4 / points
    # A step of rounding at each of the stages; what comes out has up to 2^30 steps.
    assert np.abs(re + 1j * im - exact).max() < points.bit_length()


def test_nothing_overflows() -> None:
    """Full scale, in the signs that line up with every bin."""
    points = 512
    k, n = np.arange(points // 2 + 1)[:, None], np.arange(points)
    for phase in np.linspace(0, 2 * np.pi, 8, endpoint=False):
        a = np.where(np.cos(2 * np.pi * k * n / points + phase) >= 0, 2**28, -(2**28))
        re, im = transform(a)
        assert max(np.abs(re).max(), np.abs(im).max()) < 2**31 - 8


def test_log2() -> None:
    values = [1, 7, 2**32 - 1, 2**32, 5 + (1 << 42), (2**31) << 32, 3 << 80, ((1 << 62) + 12345) << 32]
    high, low = (np.array(part, np.uint64) for part in zip(*(divmod(v, 1 << 32) for v in values), strict=True))
    exact = np.array([np.log2(float(v)) for v in values])
    assert np.abs(log2(high, low) / 65536 - exact).max() < 8e-5


def test_isqrt() -> None:
    roots = np.array([0, 1, 2, 3, 1000, 2**16, 2**26 + 1, 2**31 - 1], np.int64)
    np.testing.assert_array_equal(isqrt(roots * roots), roots)
    np.testing.assert_array_equal(isqrt(roots[2:] * roots[2:] - 1), roots[2:] - 1)


# ----- operations ---------------------------------------------------------------------------------------------------


def test_split_finds_gravity() -> None:
    t = np.arange(500)[:, None]
    x = np.rint(4096 * np.array([0, 0, 1]) + 500 * np.sin(2 * np.pi * 2 * t / 50)).astype(np.int16)
    y = one(Split(5), Norm(3, 3), channels=3)(x)
    assert y.shape == (500, 7)
    assert np.abs(y[200:, 6].mean() - 4096) < 30 and np.abs(y[200:, 2].mean()) < 30


def test_split_worked_by_hand() -> None:
    """k = 1: halfway to each sample, kept with 12 fraction bits."""
    y = one(Split(1))(np.array([[8], [0], [1], [-32768]], np.int16))
    np.testing.assert_array_equal(y, [[0, 8], [-4, 4], [-1, 2], [-16385, -16383]])


def test_norm() -> None:
    x = np.array([[3, 4, 0], [-32768, -32768, -32768], [0, 0, 7]], np.int16)
    np.testing.assert_array_equal(one(Norm(0, 2), channels=3)(x)[:, 3], [5, 32767, 0])


def test_affine_rounds_half_up_and_saturates() -> None:
    affine = Affine(np.array([10], np.int16), np.array([3], np.int32), np.array([1], np.uint8))
    np.testing.assert_array_equal(affine(np.array([[10], [11], [9], [32767]], np.int16)), [[0], [2], [-1], [32767]])


def test_affine_of_a_mean_and_a_deviation() -> None:
    rng = np.random.default_rng(0)
    x = np.rint(rng.normal([100, -5000, 0, 17], [3, 2000, 20000, 0], (5000, 4))).clip(-32768, 32767).astype(np.int16)
    for affine in (affine_of(x.mean(0), x.std(0)), _statistics(x).affine()):
        y = affine(x).astype(float)
        assert np.abs(y.mean(0)[:3]).max() < 0.3 * ONE / 3 and np.abs(y.std(0)[:3] / ONE - 1).max() < 0.02
        assert (y[:, 3] == 0).all()


def _statistics(x: np.ndarray) -> Statistics:
    statistics = Statistics.none(x.shape[1])
    for part in np.array_split(x, 7):
        statistics.add(part)
    return statistics


def test_centre() -> None:
    x = np.random.default_rng(1).integers(-3000, 3000, (4, 100, 3)).astype(np.int16)
    y = one(Centre(scale=True), channels=3)(x).astype(float)
    assert np.abs(y.mean(1)).max() < 60 and np.abs(y.std(1) - ONE).max() < 12
    assert np.abs(one(Centre(), channels=3)(x).mean(1)).max() <= 1


# ----- whole = pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_pieces_make_the_rows_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front = random_front(rng, longest=128)
    x = random_samples(rng, front.samples(12), front.channels)
    stream, rows, at = Stream(front), [], 0
    while at < len(x):
        n = int(rng.integers(0, 150))
        rows.append(stream.push(x[at : at + n]))
        at += n
    found = np.concatenate(rows)
    np.testing.assert_array_equal(found, front.uncentred(x))
    np.testing.assert_array_equal(front.centre(found) if front.centre else found, front(x))
    assert len(found) == 12


@pytest.mark.parametrize("seed", range(20))
def test_a_section_says_all_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    front = random_front(rng)
    section = decode(encode(front, 4, 8))
    x = random_samples(rng, front.samples(3), front.channels)
    np.testing.assert_array_equal(section.front(x), front(x))
    again = section.front
    assert (section.kept, section.work) == (4, 8)
    assert (again.fs, again.scale, again.units, again.channel_names) == (
        front.fs, front.scale, front.units, front.channel_names,
    )  # fmt: skip
    assert memory(again, 5) == memory(front, 5)


def test_calibration_is_that_of_all_rows_since_the_reset() -> None:
    stranger = affine_of([0, 0], [1, 1], own=True)
    front = one(stranger, channels=2)
    x = np.random.default_rng(2).normal([50, -900], [10, 300], (600, 2)).round().astype(np.int16)
    stream = Stream(front)
    stream.calibrate(x[:200])
    assert stream.calibrate(x[200:]) == 600
    np.testing.assert_array_equal(stream.push(x), _statistics(x).affine()(x))
    stream.reset()
    np.testing.assert_array_equal(stream.push(x), _statistics(x).affine()(x))  # it stays in use
    assert stream.calibrate(x[:10]) == 10  # and the next one starts anew
    with pytest.raises(RuntimeError, match="65535"):
        stream.calibrate(np.zeros((65530, 2), np.int16))
    with pytest.raises(ValueError, match="nothing to calibrate"):
        Stream(one(Split(1))).calibrate(x[:, :1])


# ----- log-mel and band power ----------------------------------------------------------------------------------------

STEP = np.log(2) / 256  # of a row, nat


@pytest.mark.parametrize("fs", [8000.0, 16000.0, 22050.0, 44100.0, 48000.0])
@pytest.mark.parametrize("full", [2048, 32768])
def test_log_mel_against_floats(fs: float, full: int) -> None:
    x = random_sound(np.random.default_rng(4), fs, 6, full)
    found = log_mel.front_end(fs, 1 / full, "", "sound")(x) * STEP
    error = found - log_mel.log_mel(x[..., 0] / full, fs)
    assert np.sqrt((error**2).mean()) < 0.002 and np.abs(error).max() < 0.02


@pytest.mark.parametrize("fs", [128.0, 250.0, 256.0, 500.0])
def test_log_bands_against_floats(fs: float) -> None:
    x = random_eeg(np.random.default_rng(5), fs, 10, 3)
    found = log_bands.front_end(fs, 0.2, "uV", ("a", "b", "c"))(x) * STEP
    error = found - log_bands.log_bands((x * 0.2).transpose(0, 2, 1), fs)
    assert np.sqrt((error**2).mean()) < 0.002 and np.abs(error).max() < 0.02


def test_recordings_against_floats(data_dir: Path) -> None:
    """The bar of the project: 0.002 nat."""
    sound = load(data_dir / "keywords_audio.npz")
    x = np.asarray(sound.x)[:200].reshape(200, -1, 1)
    found = log_mel.front_end(sound.fs, sound.scale, sound.units, "sound")(x) * STEP
    error = found - log_mel.log_mel(x[..., 0] * np.float32(sound.scale))
    assert np.sqrt((error**2).mean()) < 0.002
    eeg = load(data_dir / "eeg_workload.npz")
    x = np.asarray(eeg.x)[:100]
    found = log_bands.front_end(eeg.fs, eeg.scale, eeg.units, eeg.channels)(x) * STEP
    error = found - log_bands.log_bands((x * np.float32(eeg.scale)).transpose(0, 2, 1))
    assert np.sqrt((error**2).mean()) < 0.002


def test_memory_of_log_mel() -> None:
    """As FRONTEND.md plans it: history, block and work, and the newest row."""
    front = log_mel.front_end(16000.0, 2.0**-11, "", "sound")
    needed = memory(front, 49)
    assert (needed.history, needed.block, needed.row, needed.work) == (320, 640, 80, 2056)
    assert needed.total == 3096
    assert (front.samples(49), front.rows(16000), front.hop) == (15840, 49, 320)


# ----- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one(), "0 operations"),
        (lambda: one(Centre(), Split(1)), "not the last"),
        (lambda: one(*[log_bands.front_end(128.0, 1.0, "", ("a",)).operations[0]] * 2), "2 operations are Spectrum"),
        (lambda: one(affine_of([0], [1], own=True), affine_of([0], [1], own=True)), "device's own"),
        (lambda: one(affine_of([0, 0], [1, 1])), "2 channels, the rows have 1"),
        (lambda: one(Norm(0, 2)), "channels 0 to 1, there are 1"),
        (lambda: one(Split(16)), "k is 16"),
        (lambda: one(*[Split(1)] * 8, channels=100), "25600 channels"),
        (lambda: FrontEnd((Split(1),), 0.0, 1.0, "", ("a",)), "fs is 0"),
        (lambda: FrontEnd((Split(1),), 1.0, 0.1, "", ("a",)), "float32"),
        (lambda: one(Split(1))(np.zeros((5, 2), np.int16)), "expected int16"),
        (lambda: log_mel.front_end(16000.0, 1.0, "", "a")(np.zeros((479, 1), np.int16)), "a row needs 480"),
        (lambda: log_mel.front_end(96000.0, 1.0, "", "a"), "log-mel: fs is 96000"),
        (lambda: log_bands.front_end(50.0, 1.0, "", "a"), "log-bands: fs is 50"),
    ],
)
def test_refused(make, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        make()
