"""The house of docs/architecture.md: no circles, few loose modules, and who may import whom, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "host" / "ditmos"
LOOSE = 12  # modules beside the packages, at most
# Device files that the host runs as they are (host/ditmos/__init__.py).
SHARED = {"ditmos.events", "ditmos.framing", "ditmos.routing", "ditmos.version"}

Graph = Mapping[str, set[str]]


def module_name(path: Path) -> str:
    return ".".join(("ditmos", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def package(name: str) -> str:
    """The room that a module lies in: a package of `ditmos`, or the loose module itself."""
    return ".".join(name.split(".")[:2])


def nodes_inside_functions(tree: ast.AST) -> set[ast.AST]:
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node for function in functions for node in ast.walk(function)}


def imported(name: str, path: Path, *, inside_functions: bool | None = None) -> Iterator[str]:
    """Modules of ours that a module names in its imports: at the top, inside functions, for types only."""
    tree = ast.parse(path.read_text())
    inner = nodes_inside_functions(tree)
    for node in ast.walk(tree):
        if inside_functions is not None and (node in inner) is not inside_functions:
            continue
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative import"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.append(full if full in MODULES or full in SHARED else base)
        yield from (target for target in found if target.split(".")[0] == "ditmos" and target != name)


@cache
def graph() -> Graph:
    """Who imports whom. Made by the first test that asks: every worker of a run reads this file, one runs it."""
    return {name: {t for t in imported(name, path) if t in MODULES} for name, path in MODULES.items()}


def by_package(names: Graph) -> Graph:
    result: dict[str, set[str]] = {}
    for name, targets in names.items():
        result.setdefault(package(name), set()).update(package(t) for t in targets if package(t) != package(name))
    return result


def circle(names: Graph) -> list[str]:
    """A way from a node back to itself, or nothing."""
    state: dict[str, bool] = {}  # being visited, or done
    path: list[str] = []

    def visit(node: str) -> list[str]:
        if node in state:
            return [*path[path.index(node) :], node] if state[node] else []
        state[node] = True
        path.append(node)
        for target in sorted(names.get(node, ())):
            if found := visit(target):
                return found
        path.pop()
        state[node] = False
        return []

    for node in sorted(names):
        if found := visit(node):
            return found
    return []


def test_the_search_for_circles_finds_one() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circle_among_modules() -> None:
    found = circle(graph())
    assert not found, " -> ".join(found)


def test_no_circle_among_packages() -> None:
    rooms = by_package(graph())
    found = circle({room: targets for room, targets in rooms.items() if room != "ditmos"})
    ways = [f"{a}: {t}" for room, other in pairwise(found) for a in graph() if package(a) == room for t in graph()[a]
            if package(t) == other]  # fmt: skip
    assert not found, f"{' -> '.join(found)}: {ways}"


def test_few_modules_lie_loose() -> None:
    loose = [path.name for path in ROOT.glob("*.py")]
    assert len(loose) <= LOOSE, loose


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("training", ("study", "paper", "cli")),
        ("paper", ("study", "cli")),
        ("quantize", ("study", "paper", "cli")),
        ("link", ("training", "paper", "study", "quantize", "cli")),
        ("planner", ("training", "paper", "study", "quantize", "link", "cli")),
    ],
)
def test_rooms_that_never_look_up(room: str, never: tuple[str, ...]) -> None:
    assert not by_package(graph())[f"ditmos.{room}"] & {f"ditmos.{other}" for other in never}


def test_the_model_stands_on_nothing_but_errors_files_and_front_ends() -> None:
    """A front end is part of a model; those modules of `frontends` stand on errors and files alone."""
    below = {name for name in graph() if package(name) == "ditmos.model"}
    while more := {t for name in below for t in graph()[name]} - below:
        below |= more
    rooms = {package(name) for name in below} - {"ditmos"}
    assert rooms <= {"ditmos.model", "ditmos.frontends", "ditmos.errors", "ditmos.atomic", "ditmos.text"}


def test_imports_inside_functions_are_for_commands() -> None:
    """A command imports what it needs when it runs; everything else says at its top what it stands on."""
    found = {
        name: sorted(targets)
        for name, path in MODULES.items()
        if package(name) != "ditmos.cli" and (targets := set(imported(name, path, inside_functions=True)))
    }
    assert not found


def test_one_name_for_one_module() -> None:
    """Outside of the command line, whose modules are named after what they call."""
    names: dict[str, list[str]] = {}
    for name in MODULES:
        if package(name) != "ditmos.cli" and not name.endswith("__main__") and MODULES[name].name != "__init__.py":
            names.setdefault(name.rsplit(".", 1)[1], []).append(name)
    assert not {short: full for short, full in names.items() if len(full) > 1}


# What Windows lacks, and the one module that may import each, inside of a try.
POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def test_each_posix_module_has_one_door() -> None:
    """Found behind a ``try`` of one module of ours; everything else goes through that one."""
    doors: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text())
        tried = {inner for node in ast.walk(tree) if isinstance(node, ast.Try) for inner in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                found = {node.module} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
                for module in found & POSIX:
                    assert node in tried, f"{name} imports {module}, which Windows lacks, outside of a try"
                    doors.setdefault(module, set()).add(name)
    assert {module: names for module, names in doors.items() if len(names) > 1} == {}
    assert doors["fcntl"] == {"ditmos.locks"} and doors["pty"] == {"ditmos.simulated.terminals"}
