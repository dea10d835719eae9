"""The long runs: what is too long for a test, each with a JSON of what it has done in build/long. `make test-long`.

    python tests/long/run.py [NAME...] [--folder FOLDER]

A run that was stopped goes on, one that has passed is not run again (remove its JSON for that). Some may be started
twice: the processes then share the work.
"""

from __future__ import annotations

import argparse
import signal
import sys
from importlib import import_module
from pathlib import Path

from ditmos.paths import BUILD
from rich.console import Console

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / folder) for folder in (".", "cmodule", "host")]

from longrun import LongRun, carry_on, stop  # noqa: E402

MODULES = (
    "slow_tests",
    "power_cuts",
    "killed_commands",
    "killed_deployments",
    "faulty_line",
    "million_windows",
    "hardware_suite",
    "byte_equality",
    "mutated_models",
)


def runs() -> dict[str, LongRun]:
    """All runs by name, in the order in which they are done."""
    return {run.name: run for module in MODULES for run in import_module(module).RUNS}


def main() -> None:
    known = runs()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(known)}; all by default")
    parser.add_argument("--folder", type=Path, default=BUILD / "long", help="of the JSON files")
    options = parser.parse_args()
    if unknown := set(options.names) - known.keys():
        parser.error(f"no run {', '.join(sorted(unknown))}, expected {', '.join(known)}")
    signal.signal(signal.SIGTERM, stop)
    console = Console(highlight=False)
    verdicts = [carry_on(known[name], options.folder, console.print) for name in options.names or known]
    sys.exit("failed" in verdicts)


if __name__ == "__main__":
    main()
