"""Getting MicroPython and building it: what is said when something is missing."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware import build, micropython, provenance, release, targets, tools
from ditmos.paths import SOURCES


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
        micropython.source(good, targets.NUCLEO)


def test_fetched_once(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(cache: Path, _target: object) -> Path:
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


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=x", "-c", "tag.gpgSign=false"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def committed(folder: Path) -> str:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "x")
    git(folder, "tag", f"v{micropython.VERSION}")
    return git(folder, "rev-parse", "HEAD").strip()


def test_a_tag_that_is_another_commit_is_not_used(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = committed(tree(tmp_path / "host"))
    monkeypatch.setattr(micropython, "GIT_URL", (tmp_path / "host").as_uri())
    monkeypatch.setattr(micropython, "_from_debian", lambda *_: tree(tmp_path / "none", minor=24))
    with pytest.raises(DitmosError, match=f"v1.25.0 is commit {commit}, expected f498a16c7d.*: not used"):
        micropython.source()
    assert not (outputs / "micropython" / "git").exists()
    monkeypatch.setattr(provenance, "RELEASES", {"1.25.0": (commit, 5)})
    assert micropython.source() == outputs / "micropython" / "git"


def test_what_was_built_is_read_from_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tree(tmp_path / "sources", minor=29)
    with (sources / "py" / "mpconfig.h").open("a") as file:
        file.write("\n#define MICROPY_VERSION_MICRO 0\n#define MICROPY_VERSION_PRERELEASE 1\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").touch()
    around = committed(tmp_path)  # a tree inside of another checkout does not take that one's commit
    found = provenance.of(sources)
    assert (found.version, found.commit, found.release, found.date) == ("1.29.0-preview", "", False, 0)
    commit = committed(sources)
    found = provenance.of(sources)
    assert found.commit == commit != around and not found.release
    assert found.date == int(git(sources, "log", "-1", "--format=%ct")) > 0
    monkeypatch.setattr(provenance, "RELEASES", {"1.29.0-preview": (commit, 5)})
    found = provenance.of(sources)
    assert found.release and found.date == 5 and str(found) == f"1.29.0-preview ({commit[:10]})"
    with (sources / "py" / "mpconfig.h").open("a") as file:
        file.write("// changed\n")
    found = provenance.of(sources)
    assert found.commit == f"{commit}+" and not found.release and str(found).endswith("+)")
    with pytest.raises(DitmosError, match="no MicroPython source"):
        provenance.of(tmp_path)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("lib/libhydrogen lib/stm32lib", ("lib/stm32lib",)),  # 1.25
        ("lib/libhydrogen lib/stm32lib lib/tinyusb", ("lib/stm32lib", "lib/tinyusb")),  # 1.27
        ("lib/CMSIS_6 lib/stm32lib lib/tinyusb", ("lib/stm32lib", "lib/tinyusb", "lib/CMSIS_6")),  # 1.29
    ],
)
def test_submodules_are_those_that_the_port_of_this_version_names(
    tmp_path: Path, named: str, expected: tuple[str, ...]
) -> None:
    port = tree(tmp_path / "tree") / "ports" / "stm32"
    port.mkdir(parents=True)
    (port / "Makefile").write_text(f"FOO = 1\nGIT_SUBMODULES += {named}\n")
    assert micropython.submodules(tmp_path / "tree", targets.NUCLEO) == expected
    assert micropython.submodules(tmp_path / "tree", targets.UNIX) == ()
    with pytest.raises(DitmosError, match=f"submodule {', '.join(expected)} is missing"):
        micropython.source(tmp_path / "tree", targets.NUCLEO)


def test_a_build_of_ones_own_sources_stays_with_them(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the tests, and the commands that bring a firmware up to date, leave a build of another version what it is."""
    monkeypatch.setattr(micropython, "_from_debian", lambda cache, _: tree(cache / "debian"))
    own = tree(tmp_path / "own", minor=28)
    for port in ("unix", "qemu"):
        (own / "ports" / port).mkdir(parents=True)
    (own / "ports" / "unix" / "Makefile").write_text("all:\n\tmkdir -p $(BUILD); echo made > $(BUILD)/micropython\n")
    monkeypatch.setattr(build, "_size", lambda path: 1)
    build.build("unix", own)
    assert micropython.source(target=targets.UNIX) == micropython.present(targets.UNIX) == own
    assert json.loads(targets.UNIX.provenance_file.read_text())["version"] == "1.28.0"
    assert micropython.source(target=targets.SIM) == outputs / "micropython" / "debian"
    own.rename(tmp_path / "gone")
    assert micropython.source(target=targets.UNIX) == outputs / "micropython" / "debian"


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


def test_a_firmware_without_anything_of_ours_gets_all_that_is_imported() -> None:
    device = SOURCES / "device"
    halves = release.packages(device, "_ditmos.mpy", ".mpy")
    first, second = ({Path(file).stem for _, file in json.loads(half)["urls"]} for half in halves.values())
    assert first | second == {"_ditmos", *(path.stem for path in (device / "ditmos").glob("*.py"))}
    for stem in first - {"_ditmos"}:
        text = (device / "ditmos" / f"{stem}.py").read_text()
        wanted = set(re.findall(r"^from \.(\w+) import", text, re.MULTILINE))
        wanted |= {
            name for names in re.findall(r"^from \. import (.+)$", text, re.MULTILINE) for name in names.split(", ")
        }
        assert wanted <= first, f"{stem}.py imports {wanted - first}"
