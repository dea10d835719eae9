"""Pages hang together: links lead somewhere, files that are named exist, each page can be found."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import yaml
from said import HISTORY, PAGES, ROOT, blocks, links

CODE = re.compile(r"`((?:host|cmodule|device|tests|boards|docs|examples)/[\w./-]+)`")


def anchors(page: Path) -> set[str]:
    """Names that headings get, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page(page: Path) -> None:
    for link in links(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page}: {link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{page}: {link} leads out of the project"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page}: {link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    if page.name in HISTORY:
        return
    for name in CODE.findall(page.read_text()):
        assert (ROOT / name).exists() or "NAME" in name or name.startswith("docs/results/runs"), (
            f"{page}: {name} is not there"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_of_a_page(page: Path) -> None:
    """Blocks of Python parse, also what is typed at a prompt, and what they import from `ditmos` is there."""
    for block in blocks(page.read_text()):
        if block.language != "python":
            continue
        typed = [line[4:] for line in block.text.splitlines() if line.startswith((">>> ", "... "))]
        tree = ast.parse("\n".join(typed) or block.text, f"{page}:{block.line}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ditmos":
                for alias in node.names:
                    assert has(str(node.module), alias.name), f"{page}:{block.line}: no {alias.name} in {node.module}"


def has(module: str, name: str) -> bool:
    """Whether `from module import name` would find something, on the host or in the board's package."""
    if module == "ditmos" and (ROOT / "device" / "ditmos" / f"{name}.py").is_file():
        return True
    if (ROOT / "device" / "ditmos" / f"{module.removeprefix('ditmos.')}.py").is_file():
        source = (ROOT / "device" / "ditmos" / f"{module.removeprefix('ditmos.')}.py").read_text()
        return bool(re.search(rf"^(?:def|class) {name}\b|^{name} =", source, re.M))
    return hasattr(importlib.import_module(module), name)


def test_functions_that_contributing_names_exist() -> None:
    """`name` in `file.py` is a function, class or method there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    pairs = re.findall(r"`([\w.]+)` in `([\w/]+\.py)`", text)
    assert len(pairs) >= 4
    for name, file in pairs:
        tree = ast.parse((ROOT / file).read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert set(name.split(".")) <= defined, f"{file} has no {name}"


def test_citation_names_software_and_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software" and citation["authors"]
    paper = citation["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Ma", "He", "Qiao", "Ma"]
    assert paper["year"] == 2024
