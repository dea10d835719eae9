"""Loaders of public sets on small files fabricated in the official formats, and the log-mel front end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from ditmos.cli import data as data_cli
from ditmos.datasets import load, sisfall, unimib_shar
from ditmos.errors import DitmosError
from ditmos.frontends import log_mel
from scipy.io import savemat
from typer.testing import CliRunner


def unimib(folder: Path, **changes: np.ndarray) -> Path:
    data = np.arange(5 * 453, dtype=np.float64).reshape(5, 453)
    labels = np.array([[1, 4, 1], [1, 4, 1], [1, 4, 2], [17, 9, 1], [8, 30, 2]])
    savemat(folder / "acc_data.mat", {"acc_data": changes.get("data", data)})
    savemat(folder / "acc_labels.mat", {"acc_labels": changes.get("labels", labels)})
    return folder


def test_unimib_shar_layout(tmp_path: Path) -> None:
    dataset = unimib_shar.load(unimib(tmp_path))
    assert dataset.x.shape == (5, 151, 3) and dataset.classes == 17
    np.testing.assert_array_equal(dataset.x[2, :, 1], 2 * 453 + 151 + np.arange(151))  # y follows all of x
    np.testing.assert_array_equal(dataset.y, [0, 0, 0, 16, 7])
    np.testing.assert_array_equal(dataset.subject, [4, 4, 4, 9, 30])
    assert dataset.group[0] == dataset.group[1] and len(set(dataset.group)) == 4
    assert dataset.class_names[2] == "Walking" and dataset.fs == 50


def test_unimib_shar_errors(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match=r"acc_data\.mat: no such file"):
        unimib_shar.load(tmp_path)
    with pytest.raises(DitmosError, match=r"acc_data is \(5, 150\)"):
        unimib_shar.load(unimib(tmp_path, data=np.zeros((5, 150))))
    with pytest.raises(DitmosError, match="row 1 has class 18, expected 1 to 17"):
        unimib_shar.load(unimib(tmp_path, labels=np.array([[1, 1, 1], [18, 1, 1], *[[2, 1, 1]] * 3])))
    with pytest.raises(DitmosError, match="5 windows in acc_data and 2 in acc_labels"):
        unimib_shar.load(unimib(tmp_path, labels=np.ones((2, 3))))
    (tmp_path / "acc_data.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really" * 9)
    with pytest.raises(DitmosError, match=r"not a readable MATLAB file|variable acc_data missing"):
        unimib_shar.load(tmp_path)


def test_import_command(tmp_path: Path) -> None:
    app = typer.Typer()
    data_cli.add(app)
    app.callback()(lambda: None)
    out = tmp_path / "out.npz"
    arguments = ["data", "import", "unimib-shar", str(unimib(tmp_path)), str(out), "--split", "none"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert load(out).sha256 == unimib_shar.load(tmp_path).sha256


def recording(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (",".join(f"{v:d}" for v in (*row, 1, 2, 3, 4, 5, 6)) + ";" for row in rows.astype(int))
    path.write_text("\n".join(lines) + "\n\n")


def test_sisfall_text_files(tmp_path: Path) -> None:
    time = np.arange(2000)
    walking = np.stack([256 + 0 * time, 100 * np.sin(2 * np.pi * time / 200), 0 * time], axis=1).round()
    falling = np.tile([0.0, -256.0, 0.0], (2000, 1))
    falling[1500:1510, 0] = 3000
    recording(tmp_path / "SA01" / "D01_SA01_R01.txt", walking)
    recording(tmp_path / "SA01" / "F05_SA01_R02.txt", falling)
    recording(tmp_path / "SE03" / "D01_SE03_R01.txt", walking)
    recording(tmp_path / "SE03" / "D19_SE03_R01.txt", walking[:100])  # too short for a window
    (tmp_path / "Readme.txt").write_text("not a recording")
    seen = []
    dataset = sisfall.load(tmp_path, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert dataset.class_names == ("walk slowly", "fall forward trip jogging")
    np.testing.assert_array_equal(dataset.y, [0, 0, 0, 1, 0, 0, 0])  # 500 rows at 50 Hz: three windows; a fall: one
    np.testing.assert_array_equal(dataset.subject, [1, 1, 1, 1, 26, 26, 26])
    np.testing.assert_array_equal(dataset.group, [0, 0, 0, 1, 2, 2, 2])
    np.testing.assert_allclose(dataset.real()[1, 0, 20:130], 1.0, atol=0.01)  # 256 counts are 1 g
    peak = dataset.real()[3, 0].argmax()
    assert 70 <= peak <= 80  # the fall is in the middle of its window
    assert dataset.units == "g" and dataset.fs == 50


def test_sisfall_errors(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match="no SisFall recording"):
        sisfall.load(tmp_path)
    path = tmp_path / "D01_SA01_R01.txt"
    path.write_text("1,2,3;\n" * 700)
    with pytest.raises(DitmosError, match="3 numbers in a line, expected 9"):
        sisfall.load(tmp_path)
    path.write_text("1,2,three;\n")
    with pytest.raises(DitmosError, match="not a SisFall recording"):
        sisfall.load(tmp_path)
    recording(path, np.zeros((10, 3)))
    with pytest.raises(DitmosError, match="no recording of at least 604 samples"):
        sisfall.load(tmp_path)
    recording(tmp_path / "D77_SA01_R01.txt", np.zeros((10, 3)))
    with pytest.raises(DitmosError, match="activity D77"):
        sisfall.load(tmp_path)


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
    assert log_mel.to_log_mel(sound).x.shape == (3300, 49, 40)
