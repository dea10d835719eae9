"""Get the source of MicroPython: Debian's source package or git, 1.25.0 of both, or a directory that is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.firmware import provenance
from ditmos.firmware.targets import Target
from ditmos.locks import locked
from ditmos.paths import BUILD

VERSION = "1.25.0"  # what is fetched; built is what there is
OLDEST = (1, 25)
GIT_URL = "https://github.com/micropython/micropython"
# Debian 13 carries exactly this version; its source package serves any machine with apt and Debian's keys.
DEBIAN_SUITE = "trixie"
DEBIAN_VERSION = f"{VERSION}+ds-1"
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TIMEOUT = 600  # seconds for one download


def source(micropython: Path | None = None, target: Target | None = None) -> Path:
    """The source tree to build from, fetched on the first call and kept under ``build/micropython``.

    Args:
        micropython: a tree to use as it is; also taken from the environment variable ``DITMOS_MICROPYTHON``. Without
            one, a firmware that was built from a tree of one's own stays with that tree.
        target: what is to be built. Where it needs git submodules, the tree comes from git: Debian's package has none.

    Raises:
        DitmosError: the directory holds no MicroPython of 1.25 or later, or no source can be reached.
    """
    given = micropython or (Path(value) if (value := os.environ.get("DITMOS_MICROPYTHON")) else None)
    if given:
        return _checked(given.expanduser().resolve(), target)
    cache = BUILD / "micropython"
    with locked(cache):
        if tree := present(target):
            return tree
        reasons = []
        for fetch in (_from_git,) if target and target.submodules else (_from_debian, _from_git):
            try:
                return _checked(fetch(cache, target), target)
            except (DitmosError, OSError, subprocess.SubprocessError) as error:
                reasons.append(str(error).strip().splitlines()[-1])
    raise DitmosError(
        f"MicroPython {VERSION}: no source ({'; '.join(reasons)}). Give a source tree with --micropython DIR"
    )


def present(target: Target | None = None) -> Path | None:
    """The tree that `source` takes without fetching one, if no other is given."""
    cache = BUILD / "micropython"
    if target and (own := _own(target, cache)):
        return own
    trees = (tree for tree in (cache / "debian", cache / "git") if tree.is_dir())
    return next((tree for tree in trees if not _missing(tree, target)), None)


def submodules(tree: Path, target: Target | None) -> tuple[str, ...]:
    """The git submodules that ``target`` needs of this tree: those of `Target.submodules` that its port names.

    They differ from version to version: 1.27 wants lib/tinyusb, 1.29 lib/CMSIS_6.
    """
    makefile = tree / "ports" / target.port / "Makefile" if target else None
    if target is None or makefile is None or not makefile.is_file():
        return target.submodules[:1] if target else ()
    lines = re.findall(r"^GIT_SUBMODULES \+= (.*)$", makefile.read_text(errors="replace"), flags=re.M)
    return tuple(name for name in target.submodules if name in " ".join(lines).split())


def _own(target: Target, cache: Path) -> Path | None:
    """The tree of the user's that ``target`` was built from the last time, where it can still be used."""
    try:
        tree = Path(atomic.read_json(target.provenance_file)["tree"])
    except (DitmosError, OSError, ValueError, KeyError, TypeError):
        return None
    if tree.is_relative_to(cache) or (provenance.version(tree) or (0,)) < OLDEST or _missing(tree, target):
        return None
    return tree


def _missing(tree: Path, target: Target | None) -> list[str]:
    return [part for part in submodules(tree, target) if not (tree / part).is_dir() or not any((tree / part).iterdir())]


def _checked(tree: Path, target: Target | None) -> Path:
    if (provenance.version(tree) or (0,)) < OLDEST:
        raise DitmosError(f"{tree}: no MicroPython source of version 1.25 or later (py/mpconfig.h says otherwise)")
    if missing := _missing(tree, target):
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


def _from_debian(cache: Path, _: Target | None) -> Path:
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


def _from_git(cache: Path, target: Target | None) -> Path:
    """Clone the release's tag, and check that it is the commit that it was when this was written.

    Submodules are named by that commit, so git itself checks them.
    """
    tree = cache / "git"
    cache.mkdir(parents=True, exist_ok=True)
    if not tree.is_dir():
        partial = cache / "git.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _run(["git", "clone", "--quiet", "--depth=1", f"--branch=v{VERSION}", GIT_URL, partial.name], cache)
        found, (expected, _) = provenance.commit_of(partial), provenance.RELEASES[VERSION]
        if found != expected:
            raise DitmosError(f"{GIT_URL}: v{VERSION} is commit {found or '?'}, expected {expected}: not used")
        partial.rename(tree)
    if parts := submodules(tree, target):
        _run(["git", "submodule", "--quiet", "update", "--init", "--depth=1", *parts], tree)
    return tree
