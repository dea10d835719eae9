"""The command line: one module of this package per group of commands, each with an ``add(app)`` function."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo, TyperInfo

from ditmos import __version__
from ditmos.errors import DitmosError
from ditmos.extras import extra_of, how_to_get

# The first screen of `ditmos --help`: panels in the order of the story, and of each the modules and what their commands
# are for. About ten: what people use every day.
STORY = {
    "Start": {
        "demo": "Everything at once: train, run on the simulated board.",
    },
    "Data": {
        "data": "Import recordings, look at them, make a data set.",
        "record": "Labelled recordings from a sensor on the board.",
    },
    "Train": {
        "train": "From a data set to a model file, within a budget.",
    },
    "Model": {
        "plan": "Trade the model's memory against its time.",
    },
    "Board": {
        "sim": "Start a simulated board.",
        "deploy": "Put a model on a board.",
        "verify": "Check a board against the reference, byte for byte.",
        "stream": "Send samples to a board, get labels back.",
        "ui": "A board in the browser: signal, routing, policy.",
    },
    "Study": {
        "report": "Trainings and sweeps as one page.",
    },
}
# The other commands, named in a line below.
ALSO = {
    "import-model": "ONNX, TFLite",
    "route": "compare policies",
    "live": "hours of signal",
    "doctor": "what is missing",
    "ports": "plugged-in boards",
    "firmware": "build, flash",
    "device": "the board's scripts",
    "sweep": "many trainings",
    "bench": "measure, estimate",
}


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP end a command as Ctrl-C does: with what it has so far written."""
    for name in ("SIGTERM", "SIGHUP"):
        if number := getattr(signal, name, None):  # Windows has no SIGHUP
            signal.signal(number, signal.default_int_handler)


class Story(TyperGroup):
    """Commands in the order of `STORY` and `ALSO`; help lists those of `STORY` only."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*(name for commands in STORY.values() for name in commands), *ALSO]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for name in ALSO:
            self.commands[name].hidden = True  # here alone: completion offers them
        super().format_help(ctx, formatter)


def application() -> typer.Typer:
    """Every command."""
    app = typer.Typer(
        name="ditmos",
        cls=Story,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog=f"Also: {', '.join(f'{name} ({what})' for name, what in ALSO.items())}. ditmos COMMAND -h says more.",
    )
    app.callback()(ditmos)
    for name in (*(name for commands in STORY.values() for name in commands), *ALSO):
        import_module(f"{__name__}.{name.replace('-', '_')}").add(app)
    lines = {name: (panel, line) for panel, commands in STORY.items() for name, line in commands.items()}
    infos: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
    for info in infos:
        name = str(info.name or getattr(info.callback, "__name__", ""))
        if name in lines:
            info.rich_help_panel, info.short_help = lines[name]
    return app


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
    except OSError as error:  # a name that no file system takes, a disk that is gone
        sys.exit(_complain(f"{error.filename or 'system'}: {error.strerror or error}"))
    except MemoryError:
        sys.exit(_complain("there is not enough memory for that; take less at a time"))
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        sys.exit(_complain(f"this needs {(error.name or '').partition('.')[0]}: {how_to_get(extra)}"))


def _complain(text: str) -> int:
    """In one line, whatever a name in it is made of."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(f"ditmos: {line}", file=sys.stderr)
    return 2
