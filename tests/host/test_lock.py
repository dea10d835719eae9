"""The lock files of ``host/requirements`` and ``docs/licences.md`` against what is asked for, and what is installed."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from ditmos.paths import SOURCES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = SOURCES / "host" / "requirements"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch):
    """The scripts that write the files."""
    monkeypatch.syspath_prepend(REQUIREMENTS)
    import licences
    import lock

    return lock, licences


@pytest.fixture
def locked(tools) -> dict[str, list[Requirement]]:
    """Name to its pins; more than one where the Python version decides."""
    lock, _ = tools
    pins: dict[str, list[Requirement]] = {}
    for kind in lock.FILES:
        for pin in lock.pins((REQUIREMENTS / f"{kind}.txt").read_text()):
            pins.setdefault(lock.name(pin), []).append(Requirement(pin))
    return pins


def asked() -> list[Requirement]:
    """What ``pip install .[dev]`` is asked for, extras within extras opened."""
    project = tomllib.loads((SOURCES / "pyproject.toml").read_text())["project"]
    extras, found = project["optional-dependencies"], [Requirement(text) for text in project["dependencies"]]
    waiting = ["dev"]
    while waiting:
        for requirement in map(Requirement, extras[waiting.pop()]):
            if requirement.name == "ditmos":
                waiting += requirement.extras
            else:
                found.append(requirement)
    return found


def version(pin: Requirement) -> str:
    return str(pin.specifier).removeprefix("==")


def test_all_that_the_project_asks_for_is_locked_and_so_is_all_that_that_needs(locked) -> None:
    """Down to the last: with ``--no-deps`` nothing else is installed. Say ``make lock`` where this fails."""
    waiting = [(requirement, ()) for requirement in asked()]
    seen: set[str] = set()
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        pins = locked.get(name, [])
        assert any(requirement.specifier.contains(version(pin)) for pin in pins), f"{requirement}: {pins}"
        if (key := f"{name}{sorted(requirement.extras)}") not in seen:
            seen.add(key)
            try:
                needs = distribution(name).requires or ()
            except PackageNotFoundError:
                continue  # for another system
            waiting += [(Requirement(need), tuple(requirement.extras)) for need in needs]
    assert len(seen) > 100


def test_each_file_has_a_hash_and_no_address(tools) -> None:
    lock, _ = tools
    for kind in lock.FILES:
        text = (REQUIREMENTS / f"{kind}.txt").read_text()
        for pin, entry in lock.pins(text).items():
            assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), pin
            assert lock.place(lock.name(pin)) == kind
        assert not re.search(r"https?:|--(extra-)?index|--find-links|--trusted", text)
    # the index's builds for Linux and macOS, and that for the CPU alone
    assert len(re.findall(r"--hash", (REQUIREMENTS / "torch.txt").read_text())) > 20


def test_every_locked_package_has_its_licence(tools, locked) -> None:
    _, licences = tools
    said = dict(re.findall(r"^\| ([\w-]+) \| (.+) \|$", licences.PAGE.read_text(), flags=re.M))
    said.pop("package", None)
    assert set(said) == set(locked), "make lock"
    for name in ("numpy", "pyserial", "rich", "ruff"):
        metadata = distribution(name).metadata
        fields = (metadata.get("License-Expression"), metadata.get_all("Classifier") or (), metadata.get("License"))
        assert said[name] == licences.licence(*fields)


def test_a_licence_is_read_from_whichever_field_says_it(tools) -> None:
    _, licences = tools
    classifiers = ["Topic :: X", "License :: OSI Approved :: BSD License", "License :: OSI Approved :: MIT License"]
    assert licences.licence("MIT OR Apache-2.0", classifiers, "x") == "MIT OR Apache-2.0"
    assert licences.licence(None, classifiers, "BSD") == "BSD"
    assert licences.licence(None, classifiers, "Copyright\nAll rights") == "BSD License or MIT License"
    assert licences.licence(None, (), "UNKNOWN") == "not said"


def test_torch_keeps_the_hashes_of_other_machines(tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is renewed on one machine; a build that another has must still be known."""
    lock, _ = tools
    old, index, here = (letter * 64 for letter in "abc")
    (tmp_path / "torch.txt").write_text(f"torch==2.0 \\\n    --hash=sha256:{old}\n")
    monkeypatch.setattr(lock, "HERE", tmp_path)
    monkeypatch.setattr(lock, "_hashes_here", lambda pin, work: [f"sha256:{here}"])
    entry = lock._torch("torch==2.0", f"torch==2.0 \\\n    --hash=sha256:{index}\n", tmp_path)
    assert entry == "torch==2.0" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in (old, index, here)) + "\n"
    assert old not in lock._torch("torch==2.1", f"torch==2.1 \\\n    --hash=sha256:{index}\n", tmp_path)
