"""Inputs that are right, one of each kind, and ways to spoil them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import load, save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.datasets.takes import Signal, Take, Takes
from ditmos.link.tape import Tape
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from numpy.random import Generator
from scipy.io import savemat

ROWS, CHANNELS = 120, 3
SETTINGS = "fit.epochs = 1\nteachers.epochs = 1\nint8.epochs = 0\n"
SWEEP = """
seeds = [0]
effort = "quick"

[data.mine]
file = "data.npz"

[[job]]
data = "mine"
method = "best"
macs = 50_000
"""
POLICY = "from ditmos.routing import top1\n\n\ndef policy(model, window):\n    return top1(model, window)\n"
DRIVER = """
class Mine:
    channels = ("x", "y")
    units = "g"
    scale = 0.001
    rate = 50

    def read(self, row):
        row[0] = row[1] = 7
"""


def values(seed: int, rows: int = ROWS) -> np.ndarray:
    """(rows, CHANNELS) with four digits after the point, none of them whole, all of them different."""
    return np.round(np.random.default_rng(seed).normal(size=(rows, CHANNELS)), 3) + 0.0005


def text(
    seed: int, separator: str = ",", decimal: str = ".", stamp: Callable[[int], str] = lambda i: f"{i / 50:.2f}"
) -> str:
    lines = [separator.join(("t", "ax", "ay", "az"))]
    for i, row in enumerate(values(seed)):
        cells = [f"{v:.4f}".replace(".", decimal) for v in row]
        lines.append(separator.join((stamp(i).replace(".", decimal), *cells)))
    return "\n".join(lines) + "\n"


def make(folder: Path) -> None:
    """All of them, in ``folder``."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("a_1", "a_2", "b_1", "b_2")):
        (folder / "rec").mkdir(exist_ok=True)
        (folder / "rec" / f"{name}.csv").write_text(text(seed))
        (folder / "sound").mkdir(exist_ok=True)
        sound = np.random.default_rng(seed).integers(-9000, 9000, 800).astype(np.int16)
        soundfile.write(folder / "sound" / f"{name}.wav", sound, 8000)
    (folder / "comma.csv").write_text(text(0, ";", ","))
    (folder / "tabs.tsv").write_text(text(0, "\t"))
    (folder / "wide.csv").write_bytes(text(0).encode("utf-16"))
    (folder / "dates.csv").write_text(text(0, stamp=lambda i: f"2024-03-01T10:00:{i // 50:02d}.{i % 50 * 20:03d}"))
    (folder / "counts.csv").write_text("x,y\n" + "".join(f"{i * 7 % 311 - 150},{i * 3 % 97}\n" for i in range(ROWS)))
    np.save(folder / "table.npy", values(0))
    np.savez(folder / "table.npz", data=values(0), fs=50.0)
    savemat(folder / "table.mat", {"data": values(0), "fs": 50.0})
    payload = {"interval_ms": 20, "values": values(0).tolist()}
    payload["sensors"] = [{"name": name, "units": "g"} for name in ("ax", "ay", "az")]
    (folder / "a.1.json").write_text(json.dumps({"protected": {"ver": "v1"}, "signature": "0", "payload": payload}))
    for name, rate, width in (("BVP", 64, 1), ("EDA", 4, 1), ("ACC", 32, 3)):
        (folder / "e4").mkdir(exist_ok=True)
        rows = [[1644226061.0] * width, [float(rate)] * width]
        rows += np.random.default_rng(1).integers(-60, 60, (20 * rate, width)).tolist()
        (folder / "e4" / f"{name}.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    (folder / "labels.csv").write_text("start,stop,label\n0,1,walk\n1,2.5,run\n")
    _edf(folder / "x.edf")
    whole = generate(subjects=6, activities=3, recordings=2, windows=2, window=32)
    save(split(whole, "subject"), folder / "data.npz")
    (folder / "settings.toml").write_text(SETTINGS)
    (folder / "sweep.toml").write_text(SWEEP)
    (folder / "policy.py").write_text(POLICY)
    (folder / "driver.py").write_text(DRIVER)
    (folder / "x.onnx").write_bytes(b"no network")
    (folder / "slices.json").write_text(json.dumps({"slices": []}))
    tape = Tape(10, 5, ("a", "b"), 50.0)
    for _ in tape.pass_on([np.arange(90, dtype=np.int16).reshape(30, 3)]):
        pass
    tape.save(folder / "tape.npz")
    store = Takes(folder / "own.npz")
    store.prepare()
    for i, label in enumerate(("walk", "run")):
        store.keep(Take(label, np.full((40, 2), i, np.int16), Signal(("x", "y"), "g", 0.001, 50.0)))
    (folder / "rom").mkdir()
    (folder / "rom" / "notes.txt").write_text("hello\n")


def make_run(folder: Path) -> None:
    """What a training would leave, with random weights, beside the files of `make`."""
    dataset, run = load(folder / "data.npz"), folder / "run"
    branch = BranchSpec((ConvSpec(4, 5), ConvSpec(4, 3)))
    spec = NetworkSpec(dataset.window, len(dataset.channels), dataset.classes, 2, branch, branch, aggregate=(1,))
    model = made_for(random_model(np.random.default_rng(0), spec, Style.TRAINED), dataset.signal)
    run.mkdir()
    write_model(run / "model.dtm", model, whole_plan(spec))
    (run / "settings.toml").write_text(SETTINGS)
    for name in ("run.json", "network.pt"):
        (run / name).write_bytes(b"{}")


def _edf(path: Path) -> None:
    from pyedflib import FILETYPE_EDFPLUS, EdfWriter

    with EdfWriter(str(path), 1, file_type=FILETYPE_EDFPLUS) as file:
        head = {"label": "EEG", "dimension": "uV", "sample_frequency": 50, "transducer": "", "prefilter": ""}
        head |= {"physical_min": -200, "physical_max": 200, "digital_min": -32768, "digital_max": 32767}
        file.setSignalHeader(0, head)
        file.writeSamples([50 * values(0, 200)[:, 0]])


# Spoiling

SPECIAL = (
    b"",
    b"\0",
    b"\xff",
    b",",
    b";",
    b".",
    b"-",
    b"e9",
    b"nan",
    b'"',
    b"\n",
    b"\r",
    b"#",
    b" ",
    b"\t",
    b"99999999999",
)


def spoil(raw: bytes, rng: Generator) -> bytes:
    """One to three changes: cut off, bytes flipped, left out, doubled, or something put in or over."""
    for _ in range(rng.integers(1, 4)):
        if not raw:
            return raw
        a, b = sorted(int(i) for i in rng.integers(0, len(raw) + 1, 2))
        b = min(b, a + int(rng.choice([1, 4, 40, 400])))
        way = rng.integers(7)
        if way == 0:
            raw = raw[: max(a, 1)]
        elif way == 1:
            raw = raw[:a] + bytes(c ^ (1 << int(rng.integers(8))) for c in raw[a : a + 2]) + raw[a + 2 :]
        elif way == 2:
            raw = raw[:a] + raw[b:]
        elif way == 3:
            raw = raw[:b] + raw[a:b] + raw[b:]
        elif way == 4:
            raw = raw[:a] + SPECIAL[rng.integers(len(SPECIAL))] + raw[a:]
        elif way == 5:
            piece = SPECIAL[rng.integers(len(SPECIAL))]
            raw = raw[:a] + piece + raw[a + len(piece) :]
        else:
            raw = raw[:a] + rng.bytes(b - a) + raw[b:]
    return raw


def spoil_text(text: str, rng: Generator) -> str:
    """One to four cells or lines changed as people and loggers change them."""
    lines = text.split("\n")
    for _ in range(rng.integers(1, 5)):
        i = int(rng.integers(len(lines)))
        mark = ";" if ";" in text else "\t" if "\t" in text else ","
        cells = lines[i].split(mark)
        j = int(rng.integers(len(cells)))
        way = rng.integers(12)
        if way == 0:
            cells[j] = str(
                rng.choice(["", "nan", "NaN", "inf", "-", "ERR", "1e5", "1e400", "0x10", "1_000", "--3", "0"])
            )
        elif way == 1:
            cells[j] = str(
                rng.choice(["1,5", "1.5", "1.234,5", "1,234.5", "1 234", '"0.5"', "'0.5'", "0.5g", "٣", "½"])
            )
        elif way == 2:
            cells = cells[:-1]
        elif way == 3:
            cells.append("1")
        elif way == 4:
            cells[j] = f"{rng.normal() * 10.0 ** rng.integers(-12, 30):.6g}"
        elif way == 5:
            cells = [*cells, "", ""]
        elif way == 6:
            cells = ["# " + cells[0], *cells[1:]]
        elif way == 7:
            cells = []
        elif way == 8:
            k = int(rng.integers(len(lines)))
            cells, lines[k] = lines[k].split(mark), lines[i]
        elif way == 9:
            cells[j] = str(int(rng.integers(-(2**40), 2**40)))
        elif way == 10:
            cells = [cell.replace(".", ",") if mark != "," else cell.replace(".", "") for cell in cells]
        else:
            del lines[i]
            continue
        lines[i] = mark.join(cells)
    return "\n".join(lines)


def spoil_arrays(arrays: dict[str, np.ndarray], rng: Generator) -> dict[str, np.ndarray]:
    """One or two entries of a dataset's file with another type, shape or value, gone, or new."""
    changed = dict(arrays)
    for _ in range(rng.integers(1, 3)):
        key = str(rng.choice(sorted(changed)))
        value = np.asarray(changed[key])
        way = rng.integers(9)
        if way == 0:
            del changed[key]
        elif way == 1:
            kind = str(rng.choice(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "u2", "c8", "?", "U8", "S8"]))
            try:
                with np.errstate(all="ignore"):
                    changed[key] = value.astype(kind)
            except (ValueError, OverflowError):
                continue
        elif way == 2:
            changed[key] = value[..., None] if rng.random() < 0.5 else value.reshape(-1)
        elif way == 3:
            changed[key] = value[: len(value) // 2] if value.ndim else np.array([value] * int(rng.integers(0, 4)))
        elif way == 4:
            changed[key] = np.zeros((0, *value.shape[1:]), value.dtype)
        elif way == 5 and value.dtype.kind in "iuf" and value.size:
            flat = value.astype(np.float64).reshape(-1)
            flat[rng.integers(flat.size)] = rng.choice([np.nan, np.inf, -1, 1e30, 70000.0, 0.5, 0])
            changed[key] = flat.reshape(value.shape)
        elif way == 6:
            changed[key] = np.array(rng.choice(["", "x", "a,b", "g\n", "ü", "\0"]))
        elif way == 7:
            changed[str(rng.choice(["fs", "scale", "units", "split"]))] = np.array(
                rng.choice([0.0, -1.0, np.nan, np.inf, 1e-300, 1e300, 7.0])
            )
        else:
            changed[key] = value[::-1].copy() if value.ndim else value.copy()
        if not changed:
            return dict(arrays)
    return changed


def with_sum(raw: bytes) -> bytes:
    """A model file with the checksum that its content has."""
    if len(raw) < 20:
        return raw
    body = bytearray(raw)
    body[8:12] = struct.pack("<I", len(raw))
    body[12:16] = struct.pack("<I", zlib.crc32(bytes(body[16:])))
    return bytes(body)
