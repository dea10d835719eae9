"""``make setup`` on another system: a ``uname`` that names it, and a pip that only says what it would install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ditmos.paths import SOURCES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "host").mkdir(parents=True)
    for name in ("host/setup.sh", "pyproject.toml"):
        shutil.copy(SOURCES / name, root / name)
    shutil.copytree(SOURCES / "host" / "requirements", root / "host" / "requirements")
    program(root / ".venv" / "bin" / "pip", 'echo "pip $*"')
    return root


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(root: Path, *programs: Path, fails: bool = False) -> tuple[str, str]:
    """(what pip was asked for, what the script said)"""
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    command = ["sh", str(root / "host" / "setup.sh")]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
    return done.stdout, done.stderr


def test_macos_is_told_what_there_is(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "uname", "echo Darwin")
    program(tmp_path / "bin" / "arm-none-eabi-gcc", "exit 1")
    installed, said = setup(checkout, tmp_path / "bin")
    lines = installed.splitlines()
    assert all("--require-hashes" in line for line in lines if "--requirement" in line) and len(lines) == 4
    assert lines[0].endswith("packages.txt") and lines[-1].endswith("--no-build-isolation --editable .")
    assert "the simulated board needs Linux" in said and "brew install --cask gcc-arm-embedded" in said
    assert "apt" not in said
    assert setup(checkout, tmp_path / "bin") == ("", "")  # nothing to do


def test_other_versions_to_install_renew_the_environment(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "uname", "echo Darwin")
    setup(checkout, tmp_path / "bin")
    with (checkout / "host" / "requirements" / "packages.txt").open("a") as file:
        file.write("# another\n")
    assert "install --no-deps --require-hashes" in setup(checkout, tmp_path / "bin")[0]


# A pip that is given the wheel WHEEL for torch and finds that its hash is none of those it knows.
UNKNOWN = """case "$*" in
*download*) mkdir -p .venv/ditmos-torch; touch .venv/ditmos-torch/WHEEL;;
*--find-links*) echo 'THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1;;
*) echo "pip $*";;
esac"""


@pytest.mark.parametrize(("wheel", "taken"), [("torch-2.13.0+cpu-py3.whl", True), ("torch-2.13.0-py3.whl", False)])
def test_a_torch_of_unknown_hash_is_taken_from_the_machine_itself_alone(
    checkout: Path, tmp_path: Path, wheel: str, taken: bool
) -> None:
    """The public index has no version with a label (``+cpu``), so no file of that name can come from there."""
    program(tmp_path / "bin" / "uname", "echo Darwin")
    program(checkout / ".venv" / "bin" / "pip", UNKNOWN.replace("WHEEL", wheel))
    installed, said = setup(checkout, tmp_path / "bin", fails=not taken)
    assert wheel in said and ("by its version alone" if taken else "not installed") in said
    assert (f"--no-index .venv/ditmos-torch/{wheel}" in installed) == taken
    assert (checkout / ".venv" / "ditmos-setup").exists() == taken
