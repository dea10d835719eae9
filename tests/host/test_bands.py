"""Log band power of EEG, and features on each subject's own scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets import Dataset, load, save
from ditmos.datasets.features import Prepared, samples_of, standardise_subjects, to_log_bands
from ditmos.errors import DitmosError
from ditmos.frontends.log_bands import BANDS, EDGES_HZ, FLOOR, log_bands
from ditmos.frontends.operations import ONE, Affine
from ditmos.training.data import DataConfig, load_data, load_prepared


def _eeg(windows: int = 24, subjects: int = 4) -> Dataset:
    """Noise at 128 Hz; every subject's electrodes have a gain of their own, and class 1 a little more of it."""
    rng = np.random.default_rng(0)
    subject = np.arange(windows) % subjects
    y = np.arange(windows) // subjects % 2
    gain = np.exp(subject + 0.2 * y)[:, None, None] * [1.0, 3.0]
    x = (rng.normal(size=(windows, 512, 2)) * gain).astype(np.float32)
    split = np.array([0, 0, 1, 2], np.int8)[subject]
    return Dataset(x, y, subject, subject, ("rest", "work"), ("Fz", "Cz"), 0.5, "uV", 128.0, split, "eeg")


def test_band_power_equals_a_direct_sum() -> None:
    x = np.random.default_rng(1).normal(0, 10, (2, 3, 512))
    found = log_bands(x)
    assert found.shape == (2, 13, 3 * len(BANDS)) and found.dtype == np.float32
    n = np.arange(128)
    hann = np.sin(np.pi * n / 128) ** 2
    for frame, channel, band in ((0, 0, 0), (5, 1, 3), (12, 2, 6)):
        part = hann * x[1, channel, 32 * frame : 32 * frame + 128]
        power = 0.0
        for hz in range(EDGES_HZ[band], EDGES_HZ[band + 1]):
            power += 2 * abs((part * np.exp(-2j * np.pi * hz * n / 128)).sum()) ** 2 / (128 * (hann**2).sum())
        assert found[1, frame, channel * len(BANDS) + band] == pytest.approx(np.log(power + FLOOR), rel=1e-5)


def test_a_sine_is_the_power_of_its_band() -> None:
    time = np.arange(512) / 128
    found = np.exp(log_bands(20 * np.sin(2 * np.pi * 16 * time + 1)[None, None]))[0]
    assert found[:, BANDS.index("13-20Hz")] == pytest.approx(np.full(13, 20**2 / 2), rel=1e-4)
    assert np.delete(found, BANDS.index("13-20Hz"), axis=1).max() < 2 * FLOOR
    np.testing.assert_allclose(log_bands(np.zeros((1, 1, 128))), np.log(FLOOR), rtol=1e-6)


def test_band_power_of_a_data_set() -> None:
    """Integer rows: half a step of 1/256 octave from the floats."""
    prepared = to_log_bands(_eeg())
    found = prepared.dataset
    assert found.x.shape == (24, 13, 14) and found.x.dtype == np.int16
    assert (found.fs, found.scale) == (4, np.float32(np.log(2) / 256))
    assert found.channels[:2] == ("Fz 1-4Hz", "Fz 4-8Hz") and found.channels[7] == "Cz 1-4Hz"
    assert found.units == "ln(band power in uV^2 + 0.001)"
    np.testing.assert_allclose(found.x * found.scale, log_bands(_eeg().real()), atol=0.02)
    samples, scale = samples_of(_eeg())
    assert prepared.front is not None and prepared.front.scale == scale
    np.testing.assert_array_equal(prepared.front(samples), found.x)
    assert to_log_bands(found) == Prepared(found, None)
    with pytest.raises(DitmosError, match=r"log-bands: fs is 50 Hz, expected 90 to 2048 Hz"):
        to_log_bands(replace(_eeg(), fs=50.0))
    with pytest.raises(DitmosError, match="eeg: front end: 127 samples, a row needs 128"):
        to_log_bands(replace(_eeg(), x=_eeg().x[:, :127]))


def _own(dataset: Dataset) -> Dataset:
    return standardise_subjects(Prepared(dataset, None)).dataset


def test_every_subject_is_on_a_scale_of_its_own() -> None:
    given = _eeg()
    given.x[..., 1] = 7
    found = _own(given)
    for subject in range(4):
        own, before = (d.x[given.subject == subject, :, 0] for d in (found, given))
        np.testing.assert_allclose(own / ONE, (before - before.mean()) / before.std(), atol=0.02)
    assert (found.x[..., 1] == 0).all()  # a channel that does not change
    assert found.scale == 1 / ONE and found.x.dtype == np.int16 and found.units == "deviations of the subject, of uV"
    assert _own(found) is found
    volts = _own(replace(given, scale=given.scale * 2.0**-30))
    np.testing.assert_array_equal(volts.x, found.x)  # whatever the unit
    relabelled = _own(replace(given, y=1 - given.y))
    np.testing.assert_array_equal(relabelled.x, found.x)
    with pytest.raises(DitmosError, match="1 subject, standardise = subject needs at least 2"):
        _own(replace(given, subject=np.zeros(24, np.int64)))


def test_a_stranger_is_on_the_scale_of_the_training_subjects() -> None:
    """The front end of the model: band power, then an Affine that the device can calibrate."""
    prepared = standardise_subjects(to_log_bands(_eeg()))
    assert prepared.front is not None
    stranger = prepared.front.operations[-1]
    assert isinstance(stranger, Affine) and stranger.own
    rows = to_log_bands(_eeg()).dataset
    train = [rows.x[rows.subject == subject] for subject in (0, 1)]
    y = np.concatenate([stranger(x) for x in train]).reshape(-1, 14) / ONE
    np.testing.assert_allclose(y.mean(0), 0, atol=0.02)
    within = np.sqrt(np.mean([stranger(x).std((0, 1)) ** 2 for x in train], 0)) / ONE
    np.testing.assert_allclose(within, 1, atol=0.02)


def test_the_configuration_asks_for_both(tmp_path: Path) -> None:
    file = save(_eeg(), tmp_path / "eeg.npz")
    prepared = load_prepared(DataConfig(front_end="log-bands", standardise="subject"), file)
    found = prepared.dataset
    np.testing.assert_array_equal(found.x, standardise_subjects(to_log_bands(_eeg())).dataset.x)
    assert found.units == "deviations of the subject, of ln(band power in uV^2 + 0.001)"
    assert prepared.front is not None and len(prepared.front.operations) == 2
    plain = load_data(DataConfig(front_end="log-bands"), file)
    assert plain.sha256 != found.sha256  # pools and models are not mistaken for each other


def test_band_power_of_the_real_set(data_dir: Path) -> None:
    """Alpha is strongest at the back of the head, as the textbooks have it."""
    path = data_dir / "eeg_workload.npz"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    found = to_log_bands(load(path)).dataset
    assert found.x.shape == (2132, 13, 133)
    alpha = {c.split()[0]: found.x[:, :, i].mean() for i, c in enumerate(found.channels) if c.endswith("10-13Hz")}
    assert min(alpha["O1"], alpha["O2"]) > max(alpha["T3"], alpha["T4"], alpha["C3"], alpha["C4"])
