"""One wrong input after another, each by its number: a command runs in a process of its own, as a user runs it, and
what it said and wrote is looked at.

    python tests/wrong/wrong_runs.py --count 2000 --json wrong.json    # goes on where it stopped

What must hold of each: an exit code of 0, 1 or 2; no traceback; with 2 one line that says what is wrong; with 0 every
value that it wrote is one that it was given.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import numpy as np
import typer
import wrong_files as files
import wrong_options as options
from ditmos import cli, paths
from ditmos.datasets import load
from ditmos.errors import DitmosError
from numpy.random import Generator

LONG = 3.0  # seconds of the processor: longer, and it is at work, not refused
WAIT = 60.0  # seconds in all, of what waits for something and computes nothing

Check = Callable[[Path, str], str | None]  # what is wrong with what a command wrote in that folder, and said


@dataclass(frozen=True)
class Case:
    """A command line and the file that was spoiled for it."""

    arguments: list[str]
    spoiled: str = ""
    check: Check | None = None


@dataclass(frozen=True)
class Outcome:
    """code: None where it was still at work after `LONG` seconds. wrong: the rule it breaks. seconds: of processor."""

    number: int
    arguments: list[str]
    spoiled: str
    code: int | None
    said: str
    wrong: str | None
    seconds: float


# The cases


def case(number: int, folder: Path) -> Case:
    """The case of that number; its files are written into ``folder``."""
    rng = np.random.default_rng(number)
    kinds = (_text, _text, _text, _import, _dataset, _dataset, _model, _other, _options, _options, _options)
    return kinds[number % len(kinds)](folder, rng)


def _spoil(path: Path, rng: Generator) -> None:
    path.write_bytes(files.spoil(path.read_bytes(), rng))


def _text(folder: Path, rng: Generator) -> Case:
    """A file of text, imported or streamed: each row that comes out stands in the file."""
    name = str(rng.choice(["rec/a_1.csv", "comma.csv", "tabs.tsv", "dates.csv", "wide.csv"]))
    path = folder / name
    encoding = "utf-16" if name == "wide.csv" else "utf-8"
    if rng.random() < 0.7:
        path.write_text(files.spoil_text(path.read_text(encoding), rng), encoding)
    else:
        _spoil(path, rng)
    mark, point = {"comma.csv": (";", ","), "tabs.tsv": ("\t", ".")}.get(name, (",", "."))

    def check(where: Path, said: str) -> str | None:
        if "rows were interpolated" in said:
            return None
        return rows_are_written(load(where / "out.npz").x, path.read_bytes(), mark, point)

    options = ["--label", "a", "--window", "8", "--split", "none"]
    options += ["--time-column", "none"] if rng.random() < 0.3 else []
    return Case(["data", "import", name, "-o", "out.npz", *options], name, check)


def rows_are_written(x: np.ndarray, raw: bytes, mark: str, point: str) -> str | None:
    """What is wrong: a row of windows x (n, time, channels) whose values are those of no line of the text."""
    lines = []
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252", "latin-1"):
        with contextlib.suppress(UnicodeError):
            lines = raw.decode(encoding).splitlines()
            break
    known = set()
    for line in lines:
        numbers = []
        for cell in line.split(mark):
            try:
                group = "." if point == "," else ","  # 1.234,5 or 1,234.5
                in_groups = rf"-?\d{{1,3}}({re.escape(group)}\d{{3}})+{re.escape(point)}\d*"
                grouped = cell.replace(group, "") if re.fullmatch(in_groups, cell.strip()) else cell
                numbers.append(np.float32(grouped.strip().strip('"').replace(point, ".")))
            except (ValueError, OverflowError):
                numbers.append(None)
        known |= {tuple(numbers[i : i + x.shape[2]]) for i in range(len(numbers))}
    for row in x.astype(np.float32).reshape(-1, x.shape[2]):
        if tuple(row) not in known:
            return f"the row {row.tolist()} is in no line of the file"
    return None


def _import(folder: Path, rng: Generator) -> Case:
    """A file of another format, imported or streamed."""
    name = str(
        rng.choice(
            ["sound/a_1.wav", "table.npy", "table.npz", "table.mat", "x.edf", "a.1.json", "e4/EDA.csv", "tape.npz"]
        )
    )
    _spoil(folder / name, rng)
    if rng.random() < 0.3:
        return Case(["stream", "--source", name, options.PORT], name)
    whole = str(Path(name).parent) if name.startswith(("e4", "sound")) else name

    def check(where: Path, _said: str) -> str | None:
        if not name.endswith(".npy"):
            return None
        x, given = load(where / "out.npz").x, np.load(where / name).astype(np.float32)
        same = {tuple(row) for row in given.reshape(-1, x.shape[2])}
        return (
            None if all(tuple(row) in same for row in x.reshape(-1, x.shape[2])) else "a row is in no row of the file"
        )

    rate = ["--rate", "50"] if name.endswith(".npy") else []  # the others say theirs
    return Case(["data", "import", whole, "-o", "out.npz", "--label", "a", "--window", "8", *rate], name, check)


def _dataset(folder: Path, rng: Generator) -> Case:
    """A dataset: what is loaded of it is what it says."""
    path = folder / "data.npz"
    if rng.random() < 0.3:
        _spoil(path, rng)
    else:
        with np.load(path) as archive:
            arrays = files.spoil_arrays({key: archive[key] for key in archive.files}, rng)
        with np.errstate(all="ignore"):
            np.savez(path, **arrays)
    lines = [
        ["data", "info", "data.npz", "--json", "out.json"],
        ["data", "split", "data.npz", "--by", "group", "-o", "out.npz"],
        ["data", "import", "data.npz", "-o", "out.npz", "--split", "none"],
        ["route", "top1", "--model", "run/model.dtm", "--data", "data.npz", "--part", "all"],
        ["verify", "run/model.dtm", "--data", "data.npz", options.PORT],
        ["stream", "--source", "data.npz", options.PORT],
        ["train", "data.npz", "--effort", "quick", "--config", "settings.toml", "--out", "new"],
    ]
    arguments = lines[rng.integers(len(lines))]
    return Case(arguments, "data.npz", dataset_is_kept if arguments[0] == "data" else None)


def dataset_is_kept(where: Path, _said: str = "") -> str | None:
    """What is wrong: a value of the dataset, in real units, that is not the one in its file."""
    made = load(where / ("out.npz" if (where / "out.npz").exists() else "data.npz"))
    with np.load(where / "data.npz") as archive:
        x, y = archive["x"], archive["y"]
        scale = np.asarray(archive["scale"] if "scale" in archive.files else 1.0, np.float64)
        if "class_names" not in archive.files:  # an array of windows, whose labels are names
            return None
        names = [str(name) for name in np.atleast_1d(archive["class_names"])]
    given = np.asarray(x, np.float64) * scale
    now = made.x.astype(np.float64) * made.scale
    if now.shape != given.shape:
        return f"x has shape {now.shape}, {given.shape} in the file"
    if not np.allclose(now, given, rtol=1e-6, atol=1e-30):
        return "a value is another than in the file"
    text = y.dtype.kind in "US"
    said = (
        [item.decode() if isinstance(item, bytes) else str(item) for item in y] if text else [names[int(i)] for i in y]
    )
    if [made.class_names[i] for i in made.y] != said:
        return "a label is another than in the file"
    return None


def _model(folder: Path, rng: Generator) -> Case:
    """A model file, with the checksum mended or not; unmended it is refused."""
    path = folder / "run" / "model.dtm"
    before = path.read_bytes()
    raw = files.spoil(before, rng)
    mended = rng.random() < 0.6
    path.write_bytes(files.with_sum(raw) if mended else raw)
    lines = [
        ["route", "--model", "run/model.dtm", "--data", "data.npz", "--part", "all"],
        ["plan", "run/model.dtm", "--fastest", "-o", "out.dtm", "--json", "out.json"],
        ["verify", "run/model.dtm", "--data", "data.npz", options.PORT],
        ["deploy", "run/model.dtm", options.PORT],
        ["bench", "kernels", "run/model.dtm"],
        ["bench", "estimate", "run/model.dtm"],
    ]

    def check(_where: Path, _said: str) -> str | None:
        return None if mended or raw == before else "a damaged model file was taken"

    return Case(lines[rng.integers(len(lines))], "run/model.dtm", check)


def _other(folder: Path, rng: Generator) -> Case:
    """Settings, sweeps, policies, drivers, takes, tapes, results."""
    lines = {
        "settings.toml": ["train", "data.npz", "--effort", "quick", "--config", "settings.toml", "--out", "new"],
        "sweep.toml": ["sweep", "sweep.toml", "-o", "sweep", "--data-folder", "."],
        "policy.py": ["route", "policy.py", "--model", "run/model.dtm", "--data", "data.npz", "--part", "all"],
        "driver.py": ["record", "--labels", "walk,run", "--out", "own.npz", "--sensor", "driver.py:Mine", options.PORT],
        "slices.json": ["route", "--model", "run/model.dtm", "--data", "data.npz", "--slices", "slices.json"],
        "tape.npz": ["stream", "--replay", "tape.npz"],
        "labels.csv": ["data", "import", "rec", "--labels", "labels.csv", "-o", "out.npz", "--window", "8"],
        "own.takes/0000-walk.npz": [
            "record",
            "--labels",
            "walk,run",
            "--out",
            "own.npz",
            "--takes",
            "0",
            "--window",
            "8",
        ],
        "run/run.json": ["report", "run", "-o", "out.html"],
        "run/network.pt": ["train", "data.npz", "--out", "run", "--resume"],
        "run/settings.toml": ["train", "data.npz", "--config", "run/settings.toml", "--out", "new"],
    }
    name = sorted(lines)[rng.integers(len(lines))]
    _spoil(folder / name, rng)
    return Case(lines[name], name)


def _options(folder: Path, rng: Generator) -> Case:
    name = sorted(options.RIGHT)[rng.integers(len(options.RIGHT))]
    return Case([*name.split(), *options.spoil(name, options.RIGHT[name], options.commands()[name], rng)])


# Running one


def run(number: int, right: Path) -> Outcome:
    """The case of that number."""
    return run_case(number, lambda folder: case(number, folder), right)


def run_case(number: int, make: Callable[[Path], Case], right: Path, long: float = LONG, wait: float = WAIT) -> Outcome:
    """A case in a copy of the folder ``right`` (`prepare`)."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "here"
        shutil.copytree(right, folder)
        made = make(folder)
        code, said, seconds = in_a_process(made.arguments, folder, long, wait)
        wrong = broken_rule(code, said)
        if wrong is None and code == 0 and made.check:
            wrong = made.check(folder, said)
        return Outcome(number, made.arguments, made.spoiled, code, said[-2000:], wrong, round(seconds, 3))


def broken_rule(code: int | None, said: str) -> str | None:
    if "Traceback (most recent call last)" in said:
        return "a traceback"
    if code is not None and code not in (0, 1, 2, 130):
        return f"exit code {code}"
    lines = [line for line in said.splitlines() if line.startswith("ditmos: ")]
    if code == 2 and not lines and "Usage:" not in said and "─ Error ─" not in said:  # of the command line itself
        return "exit code 2 and no reason"
    if len(lines) > 1 and not lines[-1].startswith("ditmos: demo stopped"):  # the command that it ran has said why
        return f"{len(lines)} errors"
    if lines and said.rstrip().splitlines()[-1] != lines[-1]:
        return "an error of more than one line"
    return None


def in_a_process(
    arguments: list[str], folder: Path, long: float = LONG, wait: float = WAIT
) -> tuple[int | None, str, float]:
    """Exit code, output and seconds of the processor of a command: in a fork, for the libraries are loaded here. No
    program is found there, so that none is started, and no terminal."""
    output = folder.parent / "output"
    output.touch()  # on a busy machine time may be up before the process has begun
    process = os.fork()
    if process == 0:
        _become(arguments, folder, output, long)
    began, waited = time.monotonic(), False
    while True:
        done, status, used = os.wait4(process, 0 if waited else os.WNOHANG)
        if done:
            break
        if waited := time.monotonic() - began > wait:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
        time.sleep(0.005)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.read_text(errors="replace"))
    code = os.waitstatus_to_exitcode(status)
    return None if waited or code == -signal.SIGPROF else code, text, used.ru_utime + used.ru_stime


def _become(arguments: list[str], folder: Path, output: Path, long: float) -> NoReturn:
    """That command, ended by SIGPROF when it has computed for ``long`` seconds."""
    os.setsid()
    os.chdir(folder)
    os.environ["PATH"] = "/nowhere"
    where = os.open(output, os.O_WRONLY | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for at, to in ((nothing, 0), (where, 1), (where, 2)):
        os.dup2(at, to)
    sys.stdin = io.TextIOWrapper(io.FileIO(0))
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w"), "utf-8", "backslashreplace", line_buffering=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), "utf-8", "backslashreplace", line_buffering=True)
    sys.argv = ["ditmos", *arguments]
    signal.setitimer(signal.ITIMER_PROF, long)
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def prepare(folder: Path, *, trained: bool = False) -> Path:
    """The folder of what is right: the files, and a run, of a short training or with a model of random weights."""
    files.make(folder)
    if not trained:
        files.make_run(folder)
        return folder
    how = ["--effort", "quick", "--config", "settings.toml", "--max-macs", "30000"]
    code, said, _ = in_a_process(["train", "data.npz", "--out", "run", *how], folder, 3000, 3000)
    if code != 0:
        raise RuntimeError(said)
    return folder


_LOADED = """ditmos.training.run ditmos.datasets.importers ditmos.study.sweep ditmos.study.page ditmos.bench.route
    ditmos.live.choosing ditmos.live.trial ditmos.planner.picture ditmos.ui.serving ditmos.ui.desk
    ditmos.bench.kernels ditmos.demo matplotlib.figure pandas pyedflib rich.progress scipy.signal typer.rich_utils"""


def isolate(folder: Path, set_name: Callable = setattr, set_variable: Callable = os.environ.__setitem__) -> None:
    """What commands build and keep goes there, not into the checkout; what takes long to load and to build is there
    before the forks."""
    for module in _LOADED.split():
        import_module(module)
    command = typer.main.get_command(cli.application())
    set_name(cli, "application", lambda: command)
    for wrong in (["data", "info", str(folder / "nothing.npz")], ["data", "split", "--seed=x"]):
        with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(DitmosError, SystemExit):
            command(wrong)
    before = paths.BUILD
    for module in [module for name, module in sys.modules.items() if name.startswith("ditmos")]:
        for key, value in list(vars(module).items()):
            if isinstance(value, Path) and value.is_relative_to(before):
                set_name(module, key, folder / "build" / value.relative_to(before))
    for key, value in (("XDG_CACHE_HOME", str(folder / "cache")), ("DITMOS_DATA", str(folder))):
        set_variable(key, value)
    gc.freeze()  # a fork does not copy what nobody collects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--json", type=Path, required=True)
    wanted = parser.parse_args()
    kept = [json.loads(line) for line in wanted.json.read_text().splitlines()] if wanted.json.exists() else []
    done = {entry["number"] for entry in kept}
    with TemporaryDirectory() as temporary, wanted.json.open("a") as log:
        isolate(Path(temporary))
        right = prepare(Path(temporary) / "right", trained=True)
        for number in range(wanted.first, wanted.first + wanted.count):
            if number not in done:
                entry = asdict(run(number, right))
                kept.append(entry)
                log.write(json.dumps(entry) + "\n")
                log.flush()
    codes = Counter("at work" if entry["code"] is None else entry["code"] for entry in kept)
    wrong = [entry for entry in kept if entry["wrong"]]
    print(f"{len(kept)} wrong inputs: exit codes {dict(codes)}, {len(wrong)} break a rule")
    for entry in wrong:
        print(f"{entry['number']}: {entry['wrong']}: ditmos {' '.join(entry['arguments'])} ({entry['spoiled']})")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
