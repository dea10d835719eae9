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
    for name in ("host/setup.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(SOURCES / name, root / name)
    program(root / ".venv" / "bin" / "pip", 'echo "pip $*"')
    return root


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(root: Path, *programs: Path) -> tuple[str, str]:
    """(what pip was asked for, what the script said)"""
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    command = ["sh", str(root / "host" / "setup.sh")]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_macos_is_told_what_there_is(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "uname", "echo Darwin")
    program(tmp_path / "bin" / "arm-none-eabi-gcc", "exit 1")
    installed, said = setup(checkout, tmp_path / "bin")
    assert "--constraint constraints.txt --editable .[dev]" in installed
    assert "the simulated board needs Linux" in said and "brew install --cask gcc-arm-embedded" in said
    assert "apt" not in said
    assert setup(checkout, tmp_path / "bin") == ("", "")  # nothing to do


def test_other_versions_to_install_renew_the_environment(checkout: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "uname", "echo Darwin")
    setup(checkout, tmp_path / "bin")
    with (checkout / "constraints.txt").open("a") as file:
        file.write("# another\n")
    assert "pip install" in setup(checkout, tmp_path / "bin")[0]
