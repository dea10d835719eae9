"""Getting MicroPython and building it: what is said when something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware import build, micropython, targets, tools


def tree(folder: Path, major: int = 1, minor: int = 25) -> Path:
    (folder / "py").mkdir(parents=True)
    lines = (f"#define MICROPY_VERSION_MAJOR {major}", f"#define MICROPY_VERSION_MINOR {minor}")
    (folder / "py" / "mpconfig.h").write_text("\n".join(lines))
    return folder


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DITMOS_MICROPYTHON", raising=False)
    monkeypatch.setattr(micropython, "BUILD", tmp_path / "build")
    for module in (build, targets):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    return tmp_path / "build"


def test_a_tree_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = tree(tmp_path / "good")
    assert micropython.source(good) == good
    monkeypatch.setenv("DITMOS_MICROPYTHON", str(good))
    assert micropython.source() == good
    with pytest.raises(DitmosError, match=r"no MicroPython source of version 1\.25"):
        micropython.source(tree(tmp_path / "old", minor=24))
    with pytest.raises(DitmosError, match=r"no MicroPython source of version 1\.25"):
        micropython.source(tmp_path / "none")
    with pytest.raises(DitmosError, match="git submodule lib/stm32lib is missing"):
        micropython.source(good, ["lib/stm32lib"])


def test_fetched_once(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(cache: Path, _submodules: object) -> Path:
        calls.append(cache)
        return tree(cache / "debian")

    monkeypatch.setattr(micropython, "_from_debian", fetch)
    first = micropython.source()
    assert first == micropython.source()
    assert len(calls) == 1


def test_git_where_there_is_no_debian(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_debian(*_: object) -> Path:
        raise DitmosError("apt on this machine knows no Debian archive")

    monkeypatch.setattr(micropython, "_from_debian", no_debian)
    monkeypatch.setattr(micropython, "_from_git", lambda cache, _: tree(cache / "git"))
    assert micropython.source() == outputs / "micropython" / "git"


def test_no_source_names_every_reason(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(reason: str):
        def fetch(*_: object) -> Path:
            raise DitmosError(reason)

        return fetch

    monkeypatch.setattr(micropython, "_from_debian", fail("no archive"))
    monkeypatch.setattr(micropython, "_from_git", fail("no network"))
    with pytest.raises(DitmosError, match=r"no source \(no archive; no network\).*--micropython DIR"):
        micropython.source()


def test_unknown_target_and_firmware_not_built(outputs: Path) -> None:
    with pytest.raises(DitmosError, match="firmware target 'foo', expected one of unix, sim"):
        build.build("foo")
    with pytest.raises(DitmosError, match="not built yet; run: ditmos firmware build sim"):
        build.firmware("sim")


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda tool: None if tool.startswith("arm") else f"/usr/bin/{tool}")
    with pytest.raises(DitmosError, match=r"arm-none-eabi-gcc not found; .*libnewlib-arm-none-eabi"):
        tools.need("make", "arm-none-eabi-gcc")
    tools.need("make")


def test_a_failed_build_says_why(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = tree(tmp_path / "tree") / "ports" / "unix"
    port.mkdir(parents=True)
    (port / "Makefile").write_text("all:\n\t@echo 'main.c:3:1: error: expected something else'; false\n")
    with pytest.raises(DitmosError, match=r"firmware unix: main\.c:3:1: error: expected .* \(whole log: .*unix\.log\)"):
        build.build("unix", tmp_path / "tree")
