"""The site builds, strictly: a dead link, a page outside of the menu, or a name without a docstring fails."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from said import ROOT


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_its_script_draws() -> None:
    assert (ROOT / "docs" / "picture.svg").read_text() == tool("picture").picture(), "run: python docs/tools/picture.py"


def test_reference_of_commands_and_keys() -> None:
    """Every command has a section with its options; every key of a configuration has a row."""
    hook = tool("hook")
    commands = hook.commands()
    assert {"## ditmos train", "## ditmos data info", "## ditmos firmware build"} <= set(commands.splitlines())
    assert "--policy" in commands and "│" not in commands
    rows = re.findall(r"^\| `([\w.]+)` \|", hook.configuration(), re.M)
    assert {"threads", "data.split", "network.classifiers", "paper.adversarial.union"} <= set(rows)
    assert len(rows) == len(set(rows))


def test_links_of_an_included_page_are_those_of_its_new_place() -> None:
    hook = tool("hook")
    assert "](../howto/policy.md)" in hook.included("CONTRIBUTING.md", "../")
    assert "](LICENSE)" not in hook.included("CONTRIBUTING.md", "../")


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason='pip install "ditmos[docs]" brings it')
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    page = unescape(re.sub(r"<[^>]+>", "", (tmp_path / "site/reference/device/index.html").read_text()))
    assert "Average the two best classifiers" in page  # the docstring of ditmos.routing.fallback
