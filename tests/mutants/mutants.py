"""Does a test notice? Each mutant of ``mutants.toml`` is a fault made on purpose, with the tests that must notice it.

    python tests/mutants/mutants.py [WORD...] [--json FILE] [--folder FOLDER]

works in a copy of the checkout, one mutant at a time. FILE lists what was run, each with the digest of the mutant and
of the files that it is about; what it lists and has not changed is not run again, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditmos.atomic import write_json

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("mutants.toml")
SECONDS = 400  # for the tests of one mutant; a mutant that makes them last longer is noticed, too


@dataclass(frozen=True)
class Mutant:
    """name: in a few words. path: of the file, from the checkout's root. old, new: its text, once in there, and the
    fault. tests: what pytest is told. equivalent: why no test can notice, where that has been shown."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def digest(self) -> str:
        """Changes when the mutant, the file or one of its tests does."""
        tests = sorted({test.split("::")[0] for test in self.tests if not test.startswith("-")})
        files = [(ROOT / name).read_bytes() for name in (self.path, *tests) if (ROOT / name).is_file()]
        return hashlib.sha256(b"\0".join([repr(self).encode(), *files])).hexdigest()

    def changed(self, text: str) -> str:
        """The file's text with the fault.

        Raises:
            ValueError: the old text is not there, or more than once.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.path} has {self.old!r} {text.count(self.old)} times, expected once")
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """The table."""
    rows = tomllib.loads(TABLE.read_text())["mutant"]
    return [Mutant(**{**row, "tests": tuple(row["tests"].split())}) for row in rows]


def copy_checkout(folder: Path) -> None:
    """The files of the checkout that git has or does not ignore, and links to what was built and installed there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    shutil.rmtree(folder, ignore_errors=True)
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    (folder / "build" / "micropython").parent.mkdir()
    if (ROOT / "build" / "micropython").is_dir():
        (folder / "build" / "micropython").symlink_to(ROOT / "build" / "micropython")


def passes(folder: Path, tests: Sequence[str]) -> bool:
    """Whether these tests pass in ``folder``."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(folder / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):  # e.g. no such test
        raise RuntimeError(f"{' '.join(tests)}: {(done.stdout + done.stderr)[-500:]}")
    return done.returncode == 0


def run(chosen: Sequence[Mutant], folder: Path, known: dict[str, dict[str, object]]) -> Iterator[dict[str, object]]:
    """Results of the mutants that ``known`` has no result of, in the copy ``folder``."""
    sound: set[tuple[str, ...]] = set()
    for mutant in chosen:
        if known.get(mutant.name, {}).get("digest") == mutant.digest():
            continue
        if mutant.tests not in sound and not passes(folder, mutant.tests):
            raise RuntimeError(f"{' '.join(mutant.tests)}: fails without a mutant, or takes more than {SECONDS} s")
        sound.add(mutant.tests)
        path, start = folder / mutant.path, time.monotonic()
        text = path.read_text()
        path.write_text(mutant.changed(text))
        try:
            killed = not passes(folder, mutant.tests)
        finally:
            path.write_text(text)
        result = "killed" if killed else "equivalent" if mutant.equivalent else "survived"
        seconds = round(time.monotonic() - start, 1)
        yield {"name": mutant.name, "result": result, "seconds": seconds, "digest": mutant.digest()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only mutants with one of these words in name or path")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "mutants.json", help="what was run")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants", help="for the copy")
    options = parser.parse_args()
    table = mutants()
    chosen = [m for m in table if not options.words or any(word in f"{m.name} {m.path}" for word in options.words)]
    known = json.loads(options.json.read_text()) if options.json.is_file() else {}
    copy_checkout(options.folder.resolve())
    for result in run(chosen, options.folder.resolve(), known):
        known[str(result["name"])] = result
        write_json(options.json, known)
        print(f"{result['result']:10} {result['name']} ({result['seconds']} s)", flush=True)
    shutil.rmtree(options.folder)
    results = [known[mutant.name]["result"] for mutant in chosen]
    counts = ", ".join(f"{results.count(word)} {word}" for word in ("killed", "equivalent", "survived"))
    print(f"{len(results)} mutants, {counts}")
    sys.exit("survived" in results)


if __name__ == "__main__":
    main()
