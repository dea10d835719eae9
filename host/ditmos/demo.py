"""From recordings to labels on the simulated board: what `make demo` does, step by step.

Training and the firmware build are the very commands that a user types; the board then runs ``mpremote run
device/infer.py``, and what it prints is compared with the reference, byte for byte.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ditmos import __version__
from ditmos.atomic import write_json
from ditmos.bench.route import Decisions, decide, of_strangers, quantized_windows
from ditmos.datasets import TEST, Dataset, load, save
from ditmos.datasets.board_files import write_windows
from ditmos.datasets.features import Prepared
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.datasets.tensors import Windows
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware
from ditmos.model.policy import own_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.paths import BUILD, SOURCES, checkout, commit, data_folders
from ditmos.progress import Report
from ditmos.simulated.qemu import ROMFS_SIZE, Simulator
from ditmos.training.data import load_prepared
from ditmos.training.run import MODEL, NETWORK, load_network, read_run
from ditmos.training.score import answer_float, score

FOLDER = BUILD / "demo"
BOARD = "SIM_F767"
EFFORT = "quick"
MOST_WINDOWS = 3000
ROOM = ROMFS_SIZE - (2 << 20)  # bytes of windows, beside the model
SILENCE = 120.0  # seconds without a line from the board


@dataclass(frozen=True)
class Device:
    """What the board said of n windows: logits int8 (n, K) and (n, classes), choice and label (n,), ticks (n, 3).

    ticks: instructions of select, of classify and of the whole policy.
    """

    arena_bytes: int
    selector: NDArray[np.int8]
    logits: NDArray[np.int8]
    choice: NDArray[np.int64]
    label: NDArray[np.int64]
    ticks: NDArray[np.int64]


def find_data(named: Path | None) -> Path:
    """``named``, else sisfall.npz in DITMOS_DATA or beside the checkout, else a synthetic set written here.

    Raises:
        DitmosError: ``named`` is not there.
    """
    if named:
        if not named.is_file():
            raise DitmosError(f"{named}: no such file, expected a dataset (.npz)")
        return named
    for folder in data_folders():
        if (file := folder / "sisfall.npz").is_file():
            return file
    return save(split(generate(), "subject"), FOLDER / "synthetic.npz")


def ditmos(*arguments: str | Path) -> None:
    """Run a command of this package as a user would, its output to the terminal.

    Raises:
        DitmosError: it failed; it has said why.
    """
    print(f"$ ditmos {' '.join(map(str, arguments))}", flush=True)
    code = subprocess.run(
        [sys.executable, "-c", "from ditmos.cli import main; main()", *map(str, arguments)]
    ).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise DitmosError(f"demo stopped: ditmos {arguments[0]} failed")


def trained(run: Path, data: Path, config: Path | None) -> bool:
    """Whether ``run`` is finished and of this data, version and commit, with no settings of its own."""
    try:
        row, _ = read_run(run)
    except DitmosError:
        return False
    origin, now = row["origin"], commit()
    return (
        config is None
        and (now != "" or checkout() is None)
        and not now.endswith("+")
        and row["effort"] == EFFORT
        and (origin["git_commit"], origin["ditmos"]) == (now, __version__)
        and origin["raw_sha256"] == load(data).sha256
    )


def beside(folder: Path) -> Path:
    """Where the next content of ``folder`` is made: what is there stays until all of the demo went well."""
    return folder.with_name(f"{folder.name}-new")


def take_over(folder: Path) -> None:
    """Put what is `beside` a folder in its place."""
    old = folder.with_name(f"{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside(folder).rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def trained_run(run: Path, data: Path, config: Path | None) -> Path:
    """``run``, or what is `beside` it, if one of them is `trained`; else `ditmos train` beside it.

    Raises:
        DitmosError: it failed.
    """
    new = beside(run)
    for folder in (run, new):
        if trained(folder, data, config):
            return folder
    shutil.rmtree(new, ignore_errors=True)
    settings: list[str | Path] = ["--config", config] if config else []
    ditmos("train", data, "--effort", EFFORT, "--out", new, *settings)
    return new


def choose_windows(dataset: Dataset) -> NDArray[np.int64]:
    """Indices of the test windows to run: all, or as many as fit, evenly spaced."""
    index = dataset.part(TEST)
    most = min(len(index), MOST_WINDOWS, ROOM // dataset.x[0].nbytes)
    return index[np.linspace(0, len(index) - 1, most).round().astype(int)]


def write_rom(folder: Path, model: Path, dataset: Dataset, index: NDArray[np.int64]) -> None:
    """The files that `device/infer.py` looks for: raw windows, so that the board does all of the work itself."""
    write_windows(folder, dataset, index)
    (folder / "model.dtm").write_bytes(model.read_bytes())


def run_board(rom: Path, report: Report = lambda *_: None) -> Device:
    """``mpremote run device/infer.py`` on a simulated board that counts instructions, with ``rom`` at /rom.

    Raises:
        DitmosError: the board reports an error, falls silent, or says less than it announced.
    """
    with Simulator(romfs=rom, icount=True) as board:
        options = "import sys; sys.argv[:] = ['infer.py', '--json']"
        lines = _mpremote(board.port, "exec", options, "run", str(SOURCES / "device" / "infer.py"))
        head = next(lines)
        rows = []
        for row in lines:
            rows.append(row)
            report("device", len(rows), head["windows"])
    if len(rows) != head["windows"]:
        raise DitmosError(f"{BOARD}: {len(rows)} results, expected {head['windows']}")

    def bytes_of(key: str) -> NDArray[np.int8]:
        return np.array([np.frombuffer(bytes.fromhex(row[key]), np.int8) for row in rows])

    return Device(
        arena_bytes=head["arena"],
        selector=bytes_of("selector"),
        logits=bytes_of("logits"),
        choice=np.array([row["k"] for row in rows]),
        label=np.array([row["label"] for row in rows]),
        ticks=np.array([row["ticks"] for row in rows]),
    )


def _mpremote(port: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """JSON objects that a script on the board prints, one a line."""
    command = [sys.executable, "-m", "mpremote", "connect", port, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        ready = selectors.DefaultSelector()
        ready.register(process.stdout, selectors.EVENT_READ)
        pending = b""
        try:
            while ready.select(SILENCE):
                data = os.read(process.stdout.fileno(), 1 << 16)
                *lines, pending = (pending + data).split(b"\n")
                for line in filter(None, (line.strip() for line in lines)):
                    if not line.startswith(b"{"):
                        rest = b"\n".join([line, pending, process.stdout.read()])
                        raise DitmosError(f"{BOARD}: {rest.decode(errors='replace').strip().splitlines()[-1].strip()}")
                    yield json.loads(line)
                if not data:
                    break
            else:
                raise DitmosError(f"{BOARD}: silent for {SILENCE:.0f} s while running device/infer.py")
        finally:
            process.terminate()


def compare(device: Device, selector: NDArray[np.int8], logits: NDArray[np.int8], decisions: Decisions) -> int:
    """How many windows differ from the reference: in a selector logit, who answered, a class logit, or the label.

    selector: (n, outputs). logits: (n, classes) of the classifier that `device/infer.py` shows them of.
    """
    differs = (
        (device.selector != selector).any(1)
        | (device.choice != decisions.who)
        | (device.logits != logits).any(1)
        | (device.label != decisions.label)
    )
    return int(differs.sum())


def figures(
    data: Path, run: Path, prepared: Prepared, index: NDArray[np.int64], device: Device
) -> dict[str, Any]:  # fmt: skip
    """What goes to result.json; every accuracy is over the windows that the board ran."""
    model = run / MODEL
    reference = Model(read_model(model)[0])
    dataset = prepared.dataset
    x = quantized_windows(reference, prepared.sent, index)
    selector, classes = reference.select_batch(x), reference.classify_batch(x)
    decisions = decide(own_policy(reference.model), reference, x)
    liked = selector[:, : reference.routes].argmax(1) if reference.routes else np.zeros(len(x), np.int64)
    shown = np.where(decisions.who < reference.classifiers, decisions.who, liked)
    y = dataset.y[index]
    answers = classes.argmax(2)
    windows = Windows(torch.from_numpy(dataset.real(index)), torch.from_numpy(y))
    floats = score(answer_float(load_network(run / NETWORK), windows))
    select, classify, policy = np.median(device.ticks, axis=0)
    return {
        "board": BOARD,
        "data": data.name,
        "data_sha256": dataset.sha256,
        "windows": len(index),
        "classes": dataset.classes,
        "classifiers": classes.shape[1],
        "mismatches": compare(device, selector, classes[np.arange(len(x)), shown], decisions),
        "classifiers_used": len(np.unique(device.choice)),
        "float_accuracy": floats.value,
        "reference_accuracy": float((decisions.label == y).mean()),
        "device_accuracy": float((device.label == y).mean()),
        "strangers": of_strangers(reference, prepared.sent),
        "union_accuracy": float((answers == y[:, None]).any(1).mean()),
        "instructions_select": int(select),
        "instructions_classify": int(classify),
        "instructions_python": int(policy - select - classify),
        "macs": reference.spec.macs,
        "arena_bytes": device.arena_bytes,
        "model_bytes": model.stat().st_size,
        "firmware_bytes": firmware("sim").bytes,
        "git_commit": read_run(run)[0]["origin"]["git_commit"],
    }


def demo(named: Path | None, config: Path | None = None, report: Report = lambda *_: None) -> dict[str, Any]:
    """Run the whole path; returns what it writes to ``build/demo/result.json``.

    Args:
        named: a dataset, see :func:`find_data`.
        config: a settings file for `ditmos train`.

    Raises:
        DitmosError: a step failed; model, windows and result of the last good demo stay, and a training that went well
            is not made again.
    """
    began = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = find_data(named).resolve()
    ditmos("firmware", "build", "sim")
    run, rom = trained_run(FOLDER / "run", data, config), beside(FOLDER / "rom")
    prepared = load_prepared(read_run(run)[1].data, data)
    index = choose_windows(prepared.sent)
    shutil.rmtree(rom, ignore_errors=True)
    write_rom(rom, run / MODEL, prepared.sent, index)
    print("$ mpremote run device/infer.py", flush=True)
    device = run_board(rom, report)
    result = figures(data, run, prepared, index, device)
    result["seconds"] = round(time.monotonic() - began, 1)
    if run == beside(FOLDER / "run"):
        take_over(FOLDER / "run")
    take_over(FOLDER / "rom")
    write_json(FOLDER / "result.json", result)
    return result


def rows(result: dict[str, Any]) -> Sequence[tuple[str, str]]:
    """The result as a table for people."""
    own = " (each person on a scale of their own)" if result["strangers"] else ""
    strange = " (strangers: the board is not calibrated)" if result["strangers"] else ""
    return (
        ("board", result["board"]),
        ("data", result["data"]),
        ("test windows", f"{result['windows']:,} of {result['classes']} classes"),
        ("mismatches against the reference", f"{result['mismatches']}"),
        ("classifiers used", f"{result['classifiers_used']} of {result['classifiers']}"),
        ("accuracy: float", f"{result['float_accuracy']:.4f}{own}"),
        ("accuracy: int8 reference", f"{result['reference_accuracy']:.4f}"),
        ("accuracy: device", f"{result['device_accuracy']:.4f}{strange}"),
        ("accuracy: union of all classifiers", f"{result['union_accuracy']:.4f}"),
        ("instructions: select", f"{result['instructions_select']:,}"),
        ("instructions: classify", f"{result['instructions_classify']:,}"),
        ("instructions: routing in Python", f"{result['instructions_python']:,}"),
        ("arena", f"{result['arena_bytes']:,} bytes"),
        ("model", f"{result['model_bytes']:,} bytes of flash"),
        ("firmware", f"{result['firmware_bytes']:,} bytes of flash"),
    )
