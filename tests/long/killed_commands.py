"""Commands that are killed at a random moment: each file is then the old one or the new one, whole, and the next call
of the command goes on from there. `record` is killed in tests/sim/test_record.py, `deploy` in killed_deployments.py."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ditmos.atomic import read_json, write_json
from ditmos.bench.golden import Style, random_model
from ditmos.datasets import load, save, synthetic
from ditmos.model import container
from ditmos.model.reader import read_model
from ditmos.model.sections import KNOWN
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from longrun import LongRun, Piece
from small_sweep import sweep_text, write_sweep

KILLS = 50
LONGEST = 600  # seconds of a command that nobody kills

TRAINING = """
threads = 1
views = { count = 2 }
teachers = { count = 1, epochs = 1, widths = [4], kernels = [3] }
fit = { epochs = 30, batch = 32 }
int8 = { epochs = 2, clips = ["error"] }
[network]
classifier = "6k3"
selector = "4k5s2 4k3"
classifiers = 3
start = 1
aggregate = [2]
exit = true
"""


def whole(folder: Path) -> None:
    """Raises where a file of the folder cannot be read to its end. Those whose name begins with a dot were never
    promised to anybody."""
    for file in sorted(folder.rglob("[!.]*")):
        if file.suffix == ".json":
            json.loads(file.read_text())
        elif file.suffix == ".toml":
            tomllib.loads(file.read_text())
        elif file.suffix == ".pt":
            torch.load(file, weights_only=True)
        elif file.suffix == ".npz":
            load(file)
        elif file.suffix == ".dtm":
            read_model(file)


def answers(model: Path) -> dict[bytes, bytes]:
    """The sections that a model's answers depend on; the others say when it was made."""
    data = model.read_bytes()
    return {tag: data[a : a + n] for tag, (a, n) in container.unpack(data, KNOWN).items() if KNOWN.get(tag)}


class Victim(ABC):
    """A command in a folder of its own. `prepare` makes what it needs, `check` raises unless what is there now is what
    was there before or what the command makes, and says which; ``ended``: nobody killed it."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def prepare(self) -> None: ...

    @abstractmethod
    def command(self, number: int) -> list[str | Path]: ...

    @abstractmethod
    def check(self, ended: bool) -> str: ...


class Import(Victim):
    """Files of recordings, by turns with other windows."""

    name = "import"
    hops = (20, 30)

    def prepare(self) -> None:
        rng = np.random.default_rng(0)
        for label in ("walk", "run"):
            for person in range(6):
                place = self.folder / "in" / label / f"S{person}.csv"
                place.parent.mkdir(parents=True, exist_ok=True)
                rows = rng.normal(0, 1, (2000, 3)).cumsum(0)
                times = np.arange(len(rows))[:, None] / 50
                np.savetxt(place, np.hstack([times, rows]), "%.5f", ",", header="t,ax,ay,az", comments="")
        for number in (0, 1):
            subprocess.run(command_line(self.command(number)), check=True, timeout=LONGEST, capture_output=True)
            (self.folder / "out.npz").rename(self.folder / f"made-{number}.npz")

    def command(self, number: int) -> list[str | Path]:
        hop = ("--window", "60", "--hop", str(self.hops[number % 2]))
        return ["data", "import", self.folder / "in", *hop, "--units", "g", "-o", self.folder / "out.npz"]

    def check(self, ended: bool) -> str:
        out = self.folder / "out.npz"
        if not out.exists():
            return "none"
        found = load(out)
        for number in (0, 1):
            made = load(self.folder / f"made-{number}.npz")
            if found.x.shape == made.x.shape:
                assert all(np.array_equal(getattr(found, key), getattr(made, key)) for key in ("x", "y", "subject"))
                return f"made {number}"
        raise AssertionError(f"{out}: {found.x.shape[0]} windows are of neither call")


class Export(Victim):
    """`ditmos plan` writes a model file anew, by turns with another plan."""

    name = "export"

    def prepare(self) -> None:
        spec = reference_spec()
        for number in (0, 1):
            write_model(self.model, random_model(np.random.default_rng(0), spec, Style.TRAINED), whole_plan(spec))
            subprocess.run(command_line(self.command(number)), check=True, timeout=LONGEST, capture_output=True)
            shutil.copy(self.model, self.folder / f"made-{number}.dtm")
        assert (self.folder / "made-0.dtm").read_bytes() != (self.folder / "made-1.dtm").read_bytes()

    @property
    def model(self) -> Path:
        return self.folder / "model.dtm"

    def command(self, number: int) -> list[str | Path]:
        return ["plan", self.model, "--fastest" if number % 2 else "--stream"]

    def check(self, ended: bool) -> str:
        found = self.model.read_bytes()
        return f"made {[(self.folder / f'made-{number}.dtm').read_bytes() for number in (0, 1)].index(found)}"


class Train(Victim):
    """A small training, gone on with until it is finished; then anew."""

    name = "train"

    def prepare(self) -> None:
        made = synthetic.generate(subjects=8, activities=3, recordings=2, windows=3, window=48, seed=3)
        save(made, self.folder / "data.npz")
        (self.folder / "settings.toml").write_text(TRAINING)
        subprocess.run(command_line(self.command(0)), check=True, timeout=LONGEST, capture_output=True)
        self.out.rename(self.folder / "made")

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def command(self, number: int) -> list[str | Path]:
        begun = ["--resume"] if (self.out / "request.json").exists() else []
        if not begun:
            shutil.rmtree(self.out, ignore_errors=True)
        options = ["--config", self.folder / "settings.toml", "--split", "subject", "--out", self.out]
        return ["train", self.folder / "data.npz", *options, *begun]

    def check(self, ended: bool) -> str:
        whole(self.out)
        if not (self.out / "run.json").exists():
            assert not ended, "the training ended without a result"
            return "unfinished"
        assert answers(self.out / "model.dtm") == answers(self.folder / "made" / "model.dtm"), "another model was made"
        if not (self.out / "request.json").exists():
            shutil.rmtree(self.out)
        return "finished"


class Sweep(Victim):
    """Two small jobs, gone on with until both are finished; then anew."""

    name = "sweep"

    def prepare(self) -> None:
        write_sweep(self.folder, sweep_text(seeds=2, fit="epochs = 20"))
        subprocess.run(command_line(self.command(0)), check=True, timeout=LONGEST, capture_output=True)
        self.out.rename(self.folder / "made")

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def command(self, number: int) -> list[str | Path]:
        return ["sweep", self.folder / "sweep.toml", "-o", self.out, "--data-folder", self.folder, "-j", "1"]

    def check(self, ended: bool) -> str:
        whole(self.out)
        made = sorted(file.parent.name for file in (self.folder / "made").glob("*/run.json"))
        done = [name for name in made if (self.out / name / "run.json").exists()]
        for name in done:
            assert answers(self.out / name / "model.dtm") == answers(self.folder / "made" / name / "model.dtm"), name
        assert not ended or done == made, f"the sweep ended after {done} of {made}"
        if done == made:
            shutil.rmtree(self.out)
        return f"{len(done)} jobs"


def command_line(arguments: list[str | Path]) -> list[str]:
    return [sys.executable, "-m", "ditmos", *map(str, arguments)]


def seconds_of(victim: Victim) -> float:
    """What the command takes when nobody kills it; made ready for that the first time."""
    kept = victim.folder / "seconds.json"
    if not kept.is_file():
        for left in victim.folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        victim.prepare()
        began = time.monotonic()
        subprocess.run(command_line(victim.command(0)), check=True, timeout=LONGEST, capture_output=True)
        seconds = time.monotonic() - began
        victim.check(ended=True)
        write_json(kept, seconds)
    return read_json(kept)


def kill(victim: Victim, number: int) -> tuple[int, dict[str, Any]]:
    """Start the command, and kill it and its workers at a moment of its own."""
    chance = random.Random(f"{victim.name} {number}")
    seconds, began = seconds_of(victim), time.monotonic()
    process = subprocess.Popen(
        command_line(victim.command(number)),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    ended = False
    try:
        process.wait(chance.uniform(0.2, 1.0) * seconds)
        ended = True
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    errors = process.communicate()[1]
    assert not ended or process.returncode == 0, errors[-500:]
    if ended:  # a machine that has become faster
        write_json(victim.folder / "seconds.json", time.monotonic() - began)
    left = victim.check(ended)
    return int(not ended), {"killed" if not ended else "ended before": 1, f"left: {left}": 1}


def long_run(victim: type[Victim]) -> LongRun:
    @contextmanager
    def opened(folder: Path) -> Iterator[Piece]:
        chosen = victim(folder)
        seconds_of(chosen)
        yield lambda number: kill(chosen, number)

    return LongRun(f"killed-{victim.name}", KILLS, "kills", opened)


RUNS = [long_run(victim) for victim in (Import, Export, Train, Sweep)]
