"""What the site takes from the sources when it is built: a hook of mkdocs (mkdocs.yml).

A page asks for it by a comment of its own line:

    <!-- commands -->              every command's --help
    <!-- configuration -->         the keys of a configuration file, their types and defaults
    <!-- include CONTRIBUTING.md -->   a page from the folder above docs/
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "build" / "site-stubs"  # named in mkdocs.yml


def on_startup(**_: Any) -> None:
    """mkdocs: before anything else. The stub of the C module becomes a module that mkdocstrings finds."""
    STUBS.mkdir(parents=True, exist_ok=True)
    (STUBS / "_ditmos.py").write_text((ROOT / "cmodule" / "_ditmos.pyi").read_text())


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """mkdocs: the text of a page before it is made HTML."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"^<!-- commands -->$", lambda _: commands(), markdown, flags=re.M)
    markdown = re.sub(r"^<!-- configuration -->$", lambda _: configuration(), markdown, flags=re.M)
    return re.sub(r"^<!-- include (\S+) -->$", lambda found: included(found[1], up), markdown, flags=re.M)


def commands() -> str:
    """A section for every command, with what its ``--help`` prints."""
    from ditmos.cli import application

    app = application()
    _plain(app)
    sections = []
    for path in _paths(typer.main.get_command(app), ()):
        result = CliRunner(env={"TERM": "dumb", "COLUMNS": "100"}).invoke(app, [*path, "--help"], prog_name="ditmos")
        text = result.stdout.rstrip().lstrip("\n")
        sections.append(f"## ditmos {' '.join(path)}\n\n```text\n{text}\n```\n" if path else f"```text\n{text}\n```\n")
    return "\n".join(sections)


def _plain(app: typer.Typer) -> None:
    """Help without frames."""
    app.rich_markup_mode = None
    for group in app.registered_groups:
        if group.typer_instance:
            _plain(group.typer_instance)


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in sorted(getattr(command, "commands", {}).items()):
        if not child.hidden:  # old names
            yield from _paths(child, (*path, name))


def configuration() -> str:
    """A section for every table of a settings file."""
    from ditmos.paper.config import PaperConfig
    from ditmos.training.settings import Settings

    return "\n".join((*_tables(Settings, ""), *_tables(PaperConfig, "paper.")))


def _tables(kind: type, prefix: str) -> Iterator[str]:
    hints, inner, rows = get_type_hints(kind), [], []
    for field in dataclasses.fields(kind):
        hint, key = hints[field.name], prefix + field.name
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            inner.append((hint, key))
        else:
            rows.append(f"| `{key}` | `{_type(hint)}` | {_default(field)} |")
    yield f"## {prefix.rstrip('.') or 'At the top'}\n\n{textwrap.dedent(inspect.getdoc(kind) or '')}\n"
    if rows:
        yield "| key | type | default |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    for hint, key in inner:
        yield from _tables(hint, f"{key}.")


def _type(hint: Any) -> str:
    text = hint.__name__ if isinstance(hint, type) else str(hint)
    return re.sub(r"\b(?:typing|types|ditmos)(?:\.\w+)*\.", "", text).replace("|", "or")


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


def included(name: str, up: str) -> str:
    """A page from above docs/, its links as they are from a page that lies ``up`` from docs/."""
    text = (ROOT / name).read_text()
    text = re.sub(r"\]\(docs/", f"]({up}", text)
    # what the site does not have, as text
    return re.sub(r"\[([^]]+)\]\((?!https?:|#|(?:\.\./)*[\w/]+\.md)[^)]*\)", r"\1", text)
