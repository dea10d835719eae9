"""The command line: one module of this package per group of commands, each with an ``add(app)`` function."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from ditmos.errors import DitmosError


def terminate_as_interrupt() -> None:
    """From now on SIGTERM and SIGHUP end a command as Ctrl-C does: with what it has so far written."""
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)


def application() -> typer.Typer:
    """All commands, as `main` runs them."""
    app = typer.Typer(name="ditmos", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}").add(app)
    return app


def main() -> None:
    """Entry point: user errors are one line and exit code 2."""
    app = application()
    try:
        app()
    except DitmosError as error:
        print(f"ditmos: {error}", file=sys.stderr)
        sys.exit(2)
