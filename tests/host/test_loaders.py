"""The log-mel front end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets import load
from ditmos.datasets.features import to_log_mel
from ditmos.errors import DitmosError
from ditmos.frontends import log_mel


def test_log_mel_of_a_tone_peaks_at_its_filter() -> None:
    filters = log_mel.mel_filters()
    assert filters.shape == (40, 257) and filters.min() == 0 and filters.max() <= 1
    assert (filters.argmax(1)[1:] >= filters.argmax(1)[:-1]).all()
    for mel in (10, 20, 35):
        hz = filters[mel].argmax() * 16000 / 512
        tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(16000) / 16000)
        result = log_mel.log_mel(tone[None])
        assert result.shape == (1, 49, 40)
        assert (result[0].argmax(1) == mel).all()
        dft = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(480)) / 512)
        hann = np.sin(np.pi * np.arange(480) / 480) ** 2
        power = np.abs(dft @ (hann * tone[320:800])) ** 2
        np.testing.assert_allclose(result[0, 1], np.log(filters @ power + 1e-6), rtol=1e-4)


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel.log_mel(np.zeros((2, 480))), np.log(1e-6), rtol=1e-6)
    with pytest.raises(DitmosError, match="479 samples"):
        log_mel.log_mel(np.zeros((2, 479)))


def test_log_mel_of_real_sound_is_that_of_the_prepared_set(data_dir: Path) -> None:
    """Recordings of keywords_audio are also in keywords40_logmel: each finds itself, up to its 12-bit rounding."""
    paths = [data_dir / f"{name}.npz" for name in ("keywords_audio", "keywords40_logmel")]
    if not all(path.exists() for path in paths):
        pytest.skip("keywords_audio.npz and keywords40_logmel.npz are not both there")
    sound, prepared = (load(path) for path in paths)
    index = np.arange(0, 3000, 150)
    ours = log_mel.log_mel(sound.real(index)[:, 0])
    for i, own in zip(index, ours, strict=True):
        same = np.flatnonzero(prepared.y == prepared.class_names.index(sound.class_names[sound.y[i]]))
        distance = np.abs(prepared.real(same).transpose(0, 2, 1) - own).mean((1, 2))
        order = distance.argsort()
        assert prepared.subject[same[order[0]]] == sound.subject[i]
        assert distance[order[0]] < 0.5 * distance[order[1]]
    few = {name: getattr(sound, name)[:10] for name in ("x", "y", "subject", "group", "split")}
    assert to_log_mel(replace(sound, **few)).dataset.x.shape == (10, 49, 40)
