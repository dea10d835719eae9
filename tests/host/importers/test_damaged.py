"""Files that are damaged at random places: an error of one line or a dataset, never anything else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ditmos.datasets.importers import Options, import_recordings
from ditmos.errors import DitmosError
from ditmos.link.sources import open_source
from files import motion, table
from scipy.io import savemat
from test_formats import e4_folder, edge_json, wav

COUNTS = np.arange(600, dtype=np.int16)


def _text(path: Path) -> None:
    table(
        path, motion(120), head="# rate: 50 Hz\nt [ms];label;ax [g];ay;az", separator=";", first=lambda i: f"{i * 20};a"
    )


def _iso(path: Path) -> None:
    table(
        path,
        motion(120),
        head="date,time,ax,ay,az",
        first=lambda i: f"2024-01-02,12:00:{i / 50:06.3f}",
        encoding="utf-16",
    )


def _edf(path: Path) -> None:
    pyedflib = pytest.importorskip("pyedflib")
    with pyedflib.EdfWriter(str(path), 1) as file:
        head = {"label": "Fz", "dimension": "uV", "sample_frequency": 100, "transducer": "", "prefilter": ""}
        file.setSignalHeader(0, head | {"physical_min": -9, "physical_max": 9, "digital_min": -999, "digital_max": 999})
        file.writeSamples([motion(300, channels=1)[:, 0]])


WRITERS: dict[str, Callable[[Path], object]] = {
    "x.csv": _text,
    "y.txt": _iso,
    "x.wav": lambda path: path.write_bytes(wav(COUNTS)),
    "x.flac": lambda path: soundfile.write(path, COUNTS, 16000),
    "x.npy": lambda path: np.save(path, motion(120)),
    "x.npz": lambda path: np.savez(path, data=motion(120), fs=50, y=np.repeat(["a", "b"], 60)),
    "x.mat": lambda path: savemat(path, {"data": motion(120), "fs": 50.0}),
    "a.b.json": lambda path: path.write_text(edge_json(motion(60).tolist())),
    "x.edf": _edf,
}


def damage(raw: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, cut out, doubled, or put in."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 6)):
        place, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 40))
        match rng.integers(6):
            case 0:
                del data[place:]
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = data[max(0, place - length) : place]
            case 3:
                data[place:place] = bytes(rng.integers(0, 256, length, np.uint8))
            case 4:
                odd = (
                    b"\n",
                    b",",
                    b";",
                    b'"',
                    b"nan",
                    b"1e999",
                    b"-",
                    b"\0",
                    b"\xff\xfe",
                    b"9" * 30,
                    b"\n\n#\n",
                    b"\t ",
                )
                data[place:place] = odd[rng.integers(len(odd))]
            case _:
                for at in rng.integers(max(1, len(data)), size=3):
                    if at < len(data):
                        data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def attempt(path: Path) -> None:
    """Both ways into the readers."""
    for call in (
        lambda: import_recordings([path], Options(label="a", rate=None)),
        lambda: list(open_source(str(path)).blocks),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ResourceWarning)  # numpy leaves a damaged archive open
            try:
                call()
            except DitmosError as error:
                assert "\n" not in str(error)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", list(WRITERS))
def test_damaged_files(tmp_path: Path, name: str, rounds: int = 40) -> None:
    WRITERS[name](tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    for seed in range(rounds):
        (tmp_path / name).write_bytes(damage(raw, np.random.default_rng(seed)))
        attempt(tmp_path / name)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(WRITERS))
def test_many_damaged_files(tmp_path: Path, name: str) -> None:
    test_damaged_files(tmp_path, name, 700)


@pytest.mark.parametrize("part", ["BVP", "ACC", "tags", "EDA"])
def test_damaged_e4_folders(tmp_path: Path, part: str) -> None:
    folder = e4_folder(tmp_path / "S01", seconds=3)
    path = folder / f"{part}.csv"
    raw = path.read_bytes()
    for seed in range(20):
        path.write_bytes(damage(raw, np.random.default_rng(seed)))
        attempt(folder)
