"""Every command with arguments that are right, and values that no option takes."""

from __future__ import annotations

from typing import Any

import typer
from ditmos.cli import application
from numpy.random import Generator

# What each command is given when all is well; files are those of wrong_files.py, in the folder that it runs in. A
# command that is not here fails test_wrong_inputs.py.
PORT = "--port=/dev/no-board"
RIGHT: dict[str, list[str]] = {
    "demo": ["--data", "data.npz", "--config", "settings.toml"],
    "doctor": [PORT, "--json", "out.json"],
    "data import": ["rec", "-o", "out.npz", "--json", "out.json"],
    "data info": ["data.npz", "--json", "out.json"],
    "data split": ["data.npz", "--by", "subject", "-o", "out.npz"],
    "data windows": ["data.npz", "--model", "run/model.dtm", "-o", "windows"],
    "data synth": ["out.npz", "--subjects", "4", "--activities", "2", "--recordings", "1", "--window", "16"],
    "record": ["--labels", "walk,run", "--out", "own.npz", "--no-ask", "--sensor", "driver.py:Mine", PORT],
    "train": ["data.npz", "--effort", "quick", "--config", "settings.toml", "--out", "new", "--json", "out.json"],
    "plan": ["run/model.dtm", "--ram", "9000", "-o", "out.dtm", "--json", "out.json"],
    "route": ["fallback(8)", "--model", "run/model.dtm", "--data", "data.npz", "--part", "all", "--json", "out.json"],
    "sim": ["--romfs", "rom"],
    "ports": ["--json", "out.json"],
    "firmware build": ["sim", "--jobs", "1"],
    "firmware flash": ["nucleo", "--yes"],
    "firmware release": ["-o", "release"],
    "deploy": ["run/model.dtm", "--policy", "policy.py", PORT],
    "verify": ["run/model.dtm", "--data", "data.npz", "--part", "test", PORT],
    "import-model": ["x.onnx", "--data", "data.npz", "-o", "out.dtm"],
    "live": ["run/model.dtm", "--data", "data.npz", "--json", "out.json"],
    "ui": ["--no-browser", "--folder", "."],
    "stream": ["--source", "data.npz", "--policy", "policy.py", "--record", "out.npz", PORT],
    "device": ["infer.py"],
    "sweep": ["sweep.toml", "-o", "sweep", "--data-folder", "."],
    "report": ["run", "-o", "out.html", "--json", "out.json"],
    "bench training": ["--repetitions", "1", "--classes", "3", "--batch", "16"],
    "bench kernels": ["run/model.dtm"],
    "bench models": ["sweep"],
    "bench frontend": ["--count", "1"],
    "bench link": ["--windows", "200", "--frames", "100"],
    "bench ui": ["--edits", "1", "--seconds", "1", "--json", "out.json"],
    "bench estimate": ["run/model.dtm", "--json", "out.json"],
}

_WORDS = """0 -1 1 2 1e9 nan inf -inf 0.5 1e-300 99999999999999999999 x a,b 1,2 a=b {label} {label}/{label} { } ü ;
    tab 1s 0.5ms 9999999s ax,ay,az none all nowhere.npz nowhere/at/all.json .. . /dev/null /dev/full
    /proc/self/mem rec rec/a_1.csv data.npz run/model.dtm policy.py driver.py settings.toml sweep.toml
    table.npz table.npy tape.npz labels.csv x.edf own.takes e4 slices.json a.1.json policy.py:nothing
    driver.py:Mine driver.py:Mine( top1 fallback(8) fallback( fallback('x') sticky math:pi os:getcwd
    sys:exit socket://localhost:1 socket://:99999 --- test train [bold] %s"""
_OTHERS = ("", " ", "a b", "\n", "a\nb", "x" * 300, "/" + "d/" * 200, "\udcff", "٣", "1_000", "0x10", "١٢")
ODD = (*_WORDS.split(), *_OTHERS)


def commands() -> dict[str, Any]:
    """Every command of the command line, by its full name."""
    found = {}

    def walk(group: Any, name: str) -> None:
        for key, command in group.commands.items():
            full = f"{name} {key}".strip()
            if hasattr(command, "commands"):
                walk(command, full)
            else:
                found[full] = command

    walk(typer.main.get_command(application()), "")
    return found


def spoil(name: str, arguments: list[str], command: Any, rng: Generator) -> list[str]:
    """One to three options of a command line with odd values, or arguments left out, doubled, in another order."""
    changed = list(arguments)
    options = [p for p in command.params if p.param_type_name == "option"]
    for _ in range(rng.integers(1, 4)):
        way = rng.random()
        if way < 0.7 and options:
            option = options[rng.integers(len(options))]
            flag = str(rng.choice([*option.opts, *option.secondary_opts]))
            changed.append(flag if option.is_flag else f"{flag}={_odd(rng)}" if flag.startswith("--") else flag)
            if not option.is_flag and not flag.startswith("--"):
                changed.append(_odd(rng))
        elif way < 0.85 and changed:
            changed[rng.integers(len(changed))] = _odd(rng)
        elif way < 0.95 and changed:
            del changed[rng.integers(len(changed))]
        else:
            changed.insert(int(rng.integers(len(changed) + 1)), _odd(rng))
    return changed


def _odd(rng: Generator) -> str:
    return ODD[rng.integers(len(ODD))]
