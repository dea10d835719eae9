"""The command line: one module of this package per group of commands, each with an ``add(app)`` function."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo, TyperInfo

from ditmos import __version__
from ditmos.errors import DitmosError
from ditmos.extras import extra_of, how_to_get

# What `ditmos --help` shows, in this order: panels, and of each the modules and what their commands are for.
STORY = {
    "Start": {
        "demo": "Everything at once: train, run on the simulated board.",
        "doctor": "What is missing between you and a running board.",
    },
    "Data": {
        "data": "Look at recordings, make a data set of them.",
        "record": "Labelled recordings from a sensor on the board.",
    },
    "Train": {
        "train": "From a data set to a model file, within a budget.",
    },
    "Model": {
        "plan": "Trade the model's memory against its time.",
        "route": "Compare routing policies on a data set.",
    },
    "Board": {
        "sim": "Start a simulated board.",
        "ports": "List the boards that are plugged in.",
        "firmware": "Build the board's firmware, and flash it.",
        "deploy": "Put a model on a board.",
        "verify": "Check a board against the reference, byte for byte.",
        "stream": "Send samples to a board, get labels back.",
        "device": "Where the board's own scripts are, for mpremote.",
    },
    "Study": {
        "study": "Who is better at a budget: sweeps, reports.",
        "bench": "Measure kernels, models and the line; estimate time and energy.",
    },
}
# Modules whose commands are in a group that another module makes. Each of them also stands, unseen, beside the group.
GROUPS = {"study": ("sweep", "report"), "bench": ("estimate",), "firmware": ("release",)}


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP end a command as Ctrl-C does: with what it has so far written."""
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, signal.default_int_handler)


class Story(TyperGroup):
    """Commands in the order of `STORY`, those that it does not name last."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [name for commands in STORY.values() for name in commands]
        return sorted(super().list_commands(ctx), key=lambda name: order.index(name) if name in order else len(order))


def application() -> typer.Typer:
    """Every command."""
    app = typer.Typer(
        name="ditmos",
        cls=Story,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(ditmos)
    for commands in STORY.values():
        for name in commands:
            _module(name).add(app)
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    for group, names in GROUPS.items():
        for name in names:
            _module(name).add(groups[group])
            _module(name).add(app)
    lines = {name: (panel, line) for panel, commands in STORY.items() for name, line in commands.items()}
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
    for info in infos:
        name = str(info.name or getattr(info.callback, "__name__", ""))
        info.hidden = name not in lines
        if name in lines:
            info.rich_help_panel, info.short_help = lines[name]
    return app


def _module(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"ditmos {__version__}")
        raise typer.Exit


def ditmos(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Many tiny classifiers and a selector that picks one: from recordings to a microcontroller."""


def main() -> None:
    """Entry point: user errors are one line and exit code 2."""
    try:
        application()()
    except DitmosError as error:
        sys.exit(_complain(str(error)))
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        sys.exit(_complain(f"this needs {(error.name or '').partition('.')[0]}: {how_to_get(extra)}"))


def _complain(text: str) -> int:
    print(f"ditmos: {text}", file=sys.stderr)
    return 2
