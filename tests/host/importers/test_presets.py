"""Public sets, each from small files in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from ditmos.datasets import Dataset
from ditmos.datasets.importers import PRESETS, Options, Report, import_recordings
from ditmos.errors import DitmosError
from files import motion, table
from scipy.io import savemat


def imported(known: str, folder: Path, **options: object) -> tuple[Dataset, Report]:
    return import_recordings([folder], Options(**options), known=known)


# UniMiB-SHAR


def unimib(folder: Path, **changes: np.ndarray) -> Path:
    data = np.arange(5 * 453, dtype=np.float64).reshape(5, 453) + 0.5
    labels = np.array([[1, 4, 1], [1, 4, 1], [1, 4, 2], [17, 9, 1], [8, 30, 2]])
    savemat(folder / "acc_data.mat", {"acc_data": changes.get("data", data)})
    savemat(folder / "acc_labels.mat", {"acc_labels": changes.get("labels", labels)})
    return folder


def test_unimib_shar(tmp_path: Path) -> None:
    dataset, _ = imported("unimib-shar", unimib(tmp_path))
    assert dataset.x.shape == (5, 151, 3)
    np.testing.assert_array_equal(dataset.x[2, :, 1], 2 * 453 + 151.5 + np.arange(151))  # y follows all of x
    assert [dataset.class_names[y] for y in dataset.y] == ["StandingUpFS"] * 3 + ["FallingLeft", "LyingDownFS"]
    np.testing.assert_array_equal(dataset.subject, [4, 4, 4, 9, 30])
    assert dataset.group[0] == dataset.group[1] and len(set(dataset.group)) == 4
    assert dataset.fs == 50 and dataset.units == "m/s^2"


def test_unimib_shar_errors(tmp_path: Path) -> None:
    with pytest.raises(DitmosError, match=r"acc_data\.mat: no such file"):
        imported("unimib-shar", tmp_path)
    with pytest.raises(DitmosError, match=r"acc_data is \(5, 150\)"):
        imported("unimib-shar", unimib(tmp_path, data=np.zeros((5, 150))))
    with pytest.raises(DitmosError, match="row 1 has class 18, expected 1 to 17"):
        imported("unimib-shar", unimib(tmp_path, labels=np.array([[1, 1, 1], [18, 1, 1], *[[2, 1, 1]] * 3])))
    with pytest.raises(DitmosError, match="5 windows in acc_data and 2 in acc_labels"):
        imported("unimib-shar", unimib(tmp_path, labels=np.ones((2, 3))))
    (tmp_path / "acc_data.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really" * 9)
    with pytest.raises(DitmosError, match=r"acc_data\.mat: not readable|variable acc_data missing"):
        imported("unimib-shar", tmp_path)


# SisFall


def sisfall(path: Path, rows: np.ndarray, end: str = "\n", encoding: str = "ascii") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (",".join(f"{v:4d}" for v in (*row, 1, 2, 3, 4, 5, 6)) + ";" for row in rows.astype(int))
    path.write_bytes((end.join(lines) + end + end).encode(encoding))


def walking() -> np.ndarray:
    time = np.arange(2000)
    return np.stack([256 + 0 * time, 100 * np.sin(2 * np.pi * time / 200), 0 * time], axis=1).round()


@pytest.mark.parametrize(("end", "encoding"), [("\n", "ascii"), ("\r\n", "utf-8-sig")])
def test_sisfall(tmp_path: Path, end: str, encoding: str) -> None:
    falling = np.tile([0.0, -256.0, 0.0], (2000, 1))
    falling[1500:1510, 0] = 3000
    sisfall(tmp_path / "SA01" / "D01_SA01_R01.txt", walking(), end, encoding)
    sisfall(tmp_path / "SA01" / "F05_SA01_R02.TXT", falling, end, encoding)
    sisfall(tmp_path / "SE03" / "D01_SE03_R01.txt", walking(), end, encoding)
    sisfall(tmp_path / "SE03" / "D19_SE03_R01.txt", walking()[:100], end, encoding)  # too short for a window
    (tmp_path / "Readme.txt").write_text("not a recording")
    dataset, report = imported("sisfall", tmp_path)
    assert dataset.class_names == ("fall forward trip jogging", "walk slowly")
    np.testing.assert_array_equal(dataset.y, [1, 1, 1, 0, 1, 1, 1])  # 500 rows at 50 Hz: three windows; a fall: one
    np.testing.assert_array_equal(dataset.subject, [1, 1, 1, 1, 26, 26, 26])
    assert len(set(dataset.group)) == 3
    assert dataset.x.dtype == np.int16 and dataset.units == "g" and dataset.fs == 50
    np.testing.assert_allclose(dataset.real()[1, 0, 20:130], 1.0, atol=0.01)  # 256 counts are 1 g
    assert 70 <= dataset.real()[3, 0].argmax() <= 80  # the fall is in the middle of its window
    assert list(report.dropped) == ["no window: 25 rows in stretches shorter than a window"]


@pytest.mark.parametrize("value", [60000, 5000, -40000])
def test_sisfall_out_of_range_is_left_out_by_name(tmp_path: Path, value: int) -> None:
    sisfall(tmp_path / "D01_SA01_R01.txt", walking())
    wild = walking()
    wild[100:110, 1] = value
    sisfall(tmp_path / "D01_SA02_R01.txt", wild)
    dataset, report = imported("sisfall", tmp_path)
    assert set(dataset.subject) == {1} and np.abs(dataset.x).max() < 400
    ((reason, where),) = report.dropped.items()
    assert reason == f"line 101 has {value}, expected 13 bits (-4096 to 4095)"
    assert where[0].endswith("D01_SA02_R01.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3;\n" * 700, "3 numbers in a line, expected 9"),
        ("1,2,three;\n", "3 numbers in a line, expected 9"),
        ("1.5,2,3,4,5,6,7,8,9;\n" * 9, "not whole numbers only"),
        ("1,2,3,4,5,6,7,8,9;\n" * 9, "rows in stretches shorter than a window"),
    ],
)
def test_sisfall_errors(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DitmosError, match="no SisFall recording"):
        imported("sisfall", tmp_path)
    (tmp_path / "D01_SA01_R01.txt").write_text(content)
    with pytest.raises(DitmosError, match=message):
        imported("sisfall", tmp_path)


# Speech Commands


def test_speech_commands(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for word in ("yes", "no"):
        for speaker in ("0a7c2a8d", "1b88bf70", "c50f55b8"):
            for take in range(2):
                path = tmp_path / word / f"{speaker}_nohash_{take}.wav"
                path.parent.mkdir(exist_ok=True)
                length = 12000 if take else 16000
                soundfile.write(path, rng.integers(-9000, 9000, length).astype(np.int16), 16000)
    (tmp_path / "_background_noise_").mkdir()
    soundfile.write(tmp_path / "_background_noise_" / "pink_noise.wav", np.zeros(99), 16000)
    (tmp_path / "validation_list.txt").write_text(
        "".join(f"{w}/1b88bf70_nohash_{t}.wav\n" for w in ("yes", "no") for t in (0, 1))
    )
    (tmp_path / "testing_list.txt").write_text(
        "".join(f"{w}/c50f55b8_nohash_{t}.wav\n" for w in ("yes", "no") for t in (0, 1))
    )
    dataset, report = imported("speech-commands", tmp_path)
    assert dataset.x.shape == (12, 16000, 1) and dataset.x.dtype == np.int16
    assert dataset.class_names == ("no", "yes") and len(np.unique(dataset.subject)) == 3
    assert report.padded == 6
    for part, speaker in ((0, "0a7c2a8d"), (1, "1b88bf70"), (2, "c50f55b8")):
        assert [report.subjects[s] for s in np.unique(dataset.subject[dataset.part(part)])] == [speaker]
    first = soundfile.read(tmp_path / "no" / "0a7c2a8d_nohash_0.wav", dtype="int16")[0]
    np.testing.assert_array_equal(dataset.x[0, :, 0], first)


# WISDM


def test_wisdm(tmp_path: Path) -> None:
    values = motion(1200)
    lines = [
        f"{33 + i // 600},{'Jogging' if i % 600 < 300 else 'Walking'},{49105962326000 + (i % 7) * 1000},"
        f"{x:.4f},{y:.4f},{z:.4f};"
        for i, (x, y, z) in enumerate(values)
    ]
    lines[10] += lines.pop(11)  # two rows on one line, as some are
    lines[650] = lines[650].replace(";", ",;")  # and some end in a comma
    (tmp_path / "WISDM_ar_v1.1_raw.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "readme.txt").write_text("about")
    dataset, _ = imported("wisdm", tmp_path)
    assert dataset.class_names == ("Jogging", "Walking") and dataset.fs == 20
    np.testing.assert_array_equal(np.unique(dataset.subject), [33, 34])
    assert dataset.x.shape == (4, 200, 3) and dataset.channels == ("acc_x", "acc_y", "acc_z")
    np.testing.assert_allclose(dataset.x[0], values[:200], rtol=1e-6)
    np.testing.assert_allclose(dataset.x[3], values[900:1100], rtol=1e-6)


# PAMAP2


def test_pamap2(tmp_path: Path) -> None:
    rows = 4500
    values = motion(rows, channels=51)
    activity = np.repeat([0, 1, 4], rows // 3)
    values[1700:1703] = np.nan  # the radio lost three rows
    values[4200:4220, :17] = np.nan
    for person in (101, 102):
        lines = [
            " ".join(
                [f"{8.38 + i / 100:.2f}", str(activity[i]), "NaN" if i % 11 else "104", *(f"{v:.5f}" for v in row)]
            )
            for i, row in enumerate(values)
        ]
        path = tmp_path / "Protocol" / f"subject{person}.dat"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines).replace("nan", "NaN") + "\n")
    dataset, report = imported("pamap2", tmp_path)
    assert dataset.class_names == ("lying", "walking") and dataset.x.shape[1:] == (512, 18)
    assert dataset.channels[:4] == ("hand_acc_x", "hand_acc_y", "hand_acc_z", "hand_gyro_x")
    assert dataset.units.split(", ")[:4] == ["m/s^2", "m/s^2", "m/s^2", "rad/s"]
    np.testing.assert_array_equal(np.unique(dataset.subject), [101, 102])
    first = values[1500:2012][
        :, [1, 2, 3, 7, 8, 9]
    ]  # temperature comes first, then both accelerations, then the gyroscope
    good = np.isfinite(first).all(1)
    np.testing.assert_allclose(dataset.x[0][good][:, :6], first[good], rtol=1e-5)
    assert np.isfinite(dataset.x).all()  # three rows are bridged, twenty are not
    assert report.lost["without a value (gaps, NaN)"] == pytest.approx(2 * 0.2)


# UCI HAR


def test_uci_har_raw(tmp_path: Path) -> None:
    raw = tmp_path / "RawData"
    values = {person: motion(900, seed=person, channels=6) for person in (1, 2)}
    for person, rows in values.items():
        table(raw / f"acc_exp0{person}_user0{person}.txt", rows[:, :3], head="", separator=" ")
        table(raw / f"gyro_exp0{person}_user0{person}.txt", rows[:, 3:], head="", separator=" ")
    (raw / "labels.txt").write_text("1 1 5 101 356\n1 1 7 501 700\n2 2 5 1 400\n")
    (tmp_path / "activity_labels.txt").write_text("  5 STANDING  \n 7 STAND_TO_SIT \n")
    dataset, _ = imported("uci-har", tmp_path)
    assert dataset.class_names == ("stand to sit", "standing") and dataset.fs == 50
    assert [dataset.class_names[y] for y in dataset.y] == ["standing"] * 3 + ["stand to sit"] * 2 + ["standing"] * 5
    np.testing.assert_allclose(dataset.x[0], values[1][100:228], rtol=1e-6)
    np.testing.assert_allclose(dataset.x[3], values[1][500:628], rtol=1e-6)
    assert dataset.units == "g, g, g, rad/s, rad/s, rad/s"


def test_uci_har_first_release(tmp_path: Path) -> None:
    (tmp_path / "activity_labels.txt").write_text("1 WALKING\n2 WALKING_UPSTAIRS\n")
    signals = {}
    for part, person in (("train", 1), ("test", 2)):
        folder = tmp_path / part / "Inertial Signals"
        for n, stem in enumerate(("total_acc", "body_gyro", "body_acc")):
            for axis in "xyz":
                values = motion(4, seed=n + ord(axis), channels=128)
                signals[part, stem, axis] = values
                lines = (" ".join(f"{v: .7e}" for v in row) for row in values)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{stem}_{axis}_{part}.txt").write_text("\n".join(lines) + "\n")
        (tmp_path / part / f"y_{part}.txt").write_text("1\n1\n2\n1\n")
        (tmp_path / part / f"subject_{part}.txt").write_text(f"{person}\n" * 4)
    dataset, _ = imported("uci-har", tmp_path)
    assert dataset.x.shape == (8, 128, 6) and dataset.class_names == ("walking", "walking upstairs")
    train = dataset.part(0)
    assert set(dataset.subject[train]) == {1} and len(train) == 4
    np.testing.assert_allclose(dataset.x[train[2], :, 0], signals["train", "total_acc", "x"][2], rtol=1e-6)
    np.testing.assert_allclose(dataset.x[train[2], :, 5], signals["train", "body_gyro", "z"][2], rtol=1e-6)
    assert len(np.unique(dataset.group[train])) == 3  # windows that overlap keep together


def test_preset_names(tmp_path: Path) -> None:
    assert list(PRESETS) == ["pamap2", "sisfall", "speech-commands", "uci-har", "unimib-shar", "wisdm"]
    with pytest.raises(DitmosError, match="preset is 'sis', expected one of pamap2, sisfall"):
        imported("sis", tmp_path)
    with pytest.raises(DitmosError, match=r"neither RawData/labels\.txt nor train/Inertial Signals"):
        imported("uci-har", tmp_path)


def test_options_win_over_a_preset(tmp_path: Path) -> None:
    sisfall(tmp_path / "D01_SA01_R01.txt", walking())
    dataset, _ = imported("sisfall", tmp_path, resample=100.0, window="1s", rename={"walk slowly": "walk"})
    assert dataset.fs == 100 and dataset.window == 100 and dataset.class_names == ("walk",)
    dataset, report = imported("sisfall", tmp_path, subject="7", label="stroll")
    assert report.subjects == {7: "7"} and dataset.class_names == ("stroll",)
    with pytest.raises(DitmosError, match="leave out --pattern, --label-column"):
        imported("sisfall", tmp_path, pattern="{label}_{take}.txt", label_column="activity")
