"""Get the source of MicroPython 1.25.0: Debian's source package, git, or a directory that is already there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ditmos.errors import DitmosError
from ditmos.locks import locked
from ditmos.paths import BUILD

VERSION = "1.25.0"
RELEASED = "1744675200"  # 2025-04-15: the build date in every image, so that equal sources give equal bytes
GIT_URL = "https://github.com/micropython/micropython"
# Debian 13 carries exactly this version; its source package serves any machine with apt and Debian's keys.
DEBIAN_SUITE = "trixie"
DEBIAN_VERSION = f"{VERSION}+ds-1"
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TIMEOUT = 600  # seconds for one download


def source(micropython: Path | None = None, submodules: Sequence[str] = ()) -> Path:
    """The source tree to build from, fetched on the first call and kept under ``build/micropython``.

    Args:
        micropython: a tree to use as it is; also taken from the environment variable ``DITMOS_MICROPYTHON``.
        submodules: git submodules that the build needs, such as ``lib/stm32lib``. Debian's package has none, so a
            tree with submodules comes from git.

    Raises:
        DitmosError: the directory holds no MicroPython of 1.25 or later, or no source can be reached.
    """
    given = micropython or (Path(value) if (value := os.environ.get("DITMOS_MICROPYTHON")) else None)
    if given:
        return _checked(given.expanduser().resolve(), submodules)
    with locked(BUILD / "micropython"):
        cache = BUILD / "micropython"
        for tree in (cache / "debian", cache / "git"):
            if tree.is_dir() and not _missing(tree, submodules):
                return tree
        reasons = []
        for fetch in (_from_git,) if submodules else (_from_debian, _from_git):
            try:
                return _checked(fetch(cache, submodules), submodules)
            except (DitmosError, OSError, subprocess.SubprocessError) as error:
                reasons.append(str(error).strip().splitlines()[-1])
    raise DitmosError(
        f"MicroPython {VERSION}: no source ({'; '.join(reasons)}). Give a source tree with --micropython DIR"
    )


def version(tree: Path) -> tuple[int, int]:
    """Major and minor version of a source tree; (0, 0) where there is none."""
    header = tree / "py" / "mpconfig.h"
    text = header.read_text(errors="replace") if header.is_file() else ""
    found = [re.search(rf"define MICROPY_VERSION_{part} (\d+)", text) for part in ("MAJOR", "MINOR")]
    return tuple(int(match[1]) if match else 0 for match in found)  # type: ignore[return-value]


def _missing(tree: Path, submodules: Sequence[str]) -> list[str]:
    return [name for name in submodules if not (tree / name).is_dir() or not any((tree / name).iterdir())]


def _checked(tree: Path, submodules: Sequence[str]) -> Path:
    if version(tree) < (1, 25):
        raise DitmosError(f"{tree}: no MicroPython source of version 1.25 or later (py/mpconfig.h says otherwise)")
    if missing := _missing(tree, submodules):
        raise DitmosError(f"{tree}: git submodule {', '.join(missing)} is missing: git submodule update --init")
    return tree


def _run(command: Sequence[str | Path], cwd: Path) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError:
        raise DitmosError(f"{command[0]} is not installed") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise DitmosError(f"{command[0]} {command[-1]}: {last}")
    return done.stdout


def _debian_archive(apt: Sequence[str], work: Path) -> str:
    """Base address of the Debian archive that this machine's apt already uses.

    ``apt``: apt-get with lists of its own, for machines that have none, as many containers.
    """

    def known(command: Sequence[str]) -> str | None:
        rows = _run([*command, "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"], work)
        return next((row.split()[2] for row in rows.splitlines() if row.startswith("Debian Debian ")), None)

    base = known(["apt-get"])
    if base is None:
        _run([*apt, "update"], work)
        base = known(apt)
    if base is None:
        raise DitmosError("apt on this machine knows no Debian archive")
    return base


def _from_debian(cache: Path, submodules: Sequence[str]) -> Path:
    """Download the source package with apt, which checks its signature; needs no root, changes nothing of apt's."""
    if not DEBIAN_KEYRING.is_file():
        raise DitmosError(f"{DEBIAN_KEYRING} is not there")
    work = cache / "download"
    for folder in ("lists/partial", "archives/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work,
        "APT::Update::Post-Invoke-Success": "",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items() if value != "")]
    base = _debian_archive(apt, work)
    sources = work / "sources.list"
    sources.write_text(f"deb-src [signed-by={DEBIAN_KEYRING}] {base} {DEBIAN_SUITE} main\n")
    apt += [f"-oDir::Etc::sourcelist={sources}", "-oDir::Etc::sourceparts=/dev/null"]
    _run([*apt, "update"], work)
    _run([*apt, "source", "--download-only", f"micropython={DEBIAN_VERSION}"], work)
    archives = list(work.glob("micropython_*.orig.tar.*"))
    if len(archives) != 1:
        raise DitmosError(f"{work}: {len(archives)} source archives, expected 1")
    unpacked = work / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archives[0]) as archive:
        if hasattr(tarfile, "data_filter"):  # not in the Python 3.11.2 of Debian 12
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(unpacked)
    (top,) = unpacked.iterdir()
    tree = top.rename(cache / "debian")
    shutil.rmtree(work)
    return tree


def _from_git(cache: Path, submodules: Sequence[str]) -> Path:
    tree = cache / "git"
    cache.mkdir(parents=True, exist_ok=True)
    if not tree.is_dir():
        partial = cache / "git.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _run(["git", "clone", "--quiet", "--depth=1", f"--branch=v{VERSION}", GIT_URL, partial.name], cache)
        partial.rename(tree)
    if submodules:
        _run(["git", "submodule", "--quiet", "update", "--init", "--depth=1", *submodules], tree)
    return tree
