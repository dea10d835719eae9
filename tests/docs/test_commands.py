"""Every command line in README, docs, examples and docstrings is one that exists: commands, options, values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from ditmos.cli import application
from said import HISTORY, PAGES, ROOT, SOURCES, Command, commands, commands_in_source
from typer.testing import CliRunner


def idle(callback: Callable[..., Any]) -> Callable[..., None]:
    """The same command line, without what it does."""

    @functools.wraps(callback)
    def nothing(*_args: object, **_options: object) -> None:
        return None

    return nothing


def still(app: typer.Typer) -> typer.Typer:
    """The app with commands that parse and check their arguments, and do nothing."""
    for command in app.registered_commands:
        if command.callback:
            command.callback = idle(command.callback)
    for group in app.registered_groups:
        if group.typer_instance:
            still(group.typer_instance)
    return app


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    return still(application())


def problem(app: typer.Typer, command: Command) -> str | None:
    """Why a command line could not run, without running it."""
    if command.text == "COMMAND --help":
        return None
    result = CliRunner(env={"TERM": "dumb", "COLUMNS": "1000"}).invoke(app, command.words())
    if result.exit_code == 0 or (result.exit_code == 2 and "Usage:" in result.stdout):  # its help
        return None
    lines = [line.strip("│╭╮╰╯─ ") for line in result.stderr.splitlines()]
    said = " ".join(line for line in lines if line and not line.startswith(("Usage:", "Try ", "Error")))
    if not command.whole and ("Missing " in said or "requires an argument" in said):
        return None
    return said or f"exit code {result.exit_code}: {result.exception}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in HISTORY], ids=lambda path: str(path.relative_to(ROOT))
)
def test_commands_of_a_page(app: typer.Typer, page: Path) -> None:
    wrong = [f"{c.where}: {why}" for c in commands(page, "ditmos") if (why := problem(app, c))]
    assert not wrong, "\n".join(wrong)


def test_commands_in_docstrings_comments_and_messages(app: typer.Typer) -> None:
    found = [command for path in SOURCES for command in commands_in_source(path, "ditmos")]
    wrong = [f"{c.where}: {why}" for c in found if (why := problem(app, c))]
    assert len(found) > 40 and not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stream --sauce x", "No such option"),
        ("streem", "no such command"),
        ("data infp FILE", "no such command"),
        ("data synth FILE --split sideways", "sideways"),
        ("data synth FILE --window x", "--window"),
        ("train", "missing argument"),
        ("plan MODEL --ram 0", "--ram"),
    ],
)
def test_wrong_command_lines_are_found(app: typer.Typer, text: str, why: str) -> None:
    assert why.lower() in (problem(app, Command("here", text, True)) or "").lower()


def test_make_targets_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    found = [command for page in PAGES for command in commands(page, "make")]
    assert len(found) > 10
    for command in found:
        if words := [w for w in command.words() if "=" not in w and not w.startswith("-")]:
            assert words[0] in known or "ports/" in command.text, f"{command.where}: no target {words[0]}"


def test_scripts_named_in_commands_exist() -> None:
    """`python FILE`, `pytest FILE`, `mpremote ... run FILE` and `cp FILE` name files of the checkout."""
    found = [
        (command.where, name)
        for page in PAGES
        for program in ("python", "pytest", "mpremote")
        for command in commands(page, program)
        for name in re.findall(r"(?<![\w/])(?:tests|device|examples|docs)/[\w./-]+", command.text)
    ]
    assert len(found) > 10
    for where, name in found:
        assert (ROOT / name).exists(), f"{where}: {name} is not there"
