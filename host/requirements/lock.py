"""Renew the lock files beside this one, after a change of ``pyproject.toml``: ``make lock``.

| file | holds |
|---|---|
| ``packages.txt`` | all that ``pip install --editable '.[dev]'`` brings, on any system, but torch |
| ``torch.txt`` | torch: hashes of the index's builds, and of builds that machines with torch of their own gave |
| ``cuda.txt`` | what the index's build of torch needs besides, on Linux: some gigabytes that a CPU build does without |

Versions stay as they are unless ``--upgrade`` asks for newer ones. The resolver is uv (``pip install uv``), which asks
the index that it is configured for; torch is asked for with pip, too, which may be configured for another.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("packages", "torch", "cuda")
PYTHON = "3.11"  # the oldest that pyproject.toml allows
_HEADER = "# Made by `make lock` from pyproject.toml (host/requirements/lock.py says what lies where).\n"
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def pins(text: str) -> dict[str, str]:
    """Each pinned package of a lock file's text: its whole entry, by ``name==version ; marker``."""
    entries: dict[str, str] = {}
    for entry in re.findall(r"^\w.*(?:\n[ \t].*)*", text, flags=re.M):
        entries[entry.split("\\")[0].strip()] = entry + "\n"
    return entries


def name(pin: str) -> str:
    """The name in ``name==version ; marker``."""
    return pin.split("==")[0]


def place(package: str) -> str:
    """The one of `FILES` that holds the package ``package``."""
    if package.startswith(("nvidia-", "cuda-")) or package == "triton":
        return "cuda"
    return "torch" if package == "torch" else "packages"


def _fail(message: str) -> None:
    raise SystemExit(f"lock: {message}")


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        _fail(f"{' '.join(map(str, command[:4]))}: {(done.stderr or done.stdout).strip() or done.returncode}")


def resolved(upgrade: bool, work: Path) -> str:
    """What uv makes of ``pyproject.toml``, for all systems and Python versions, by the pins that are there."""
    output = work / "resolved.txt"
    output.write_text("".join(path.read_text() for kind in FILES if (path := HERE / f"{kind}.txt").is_file()))
    command = ["uv", "pip", "compile", "pyproject.toml", "--extra=dev", "--universal", "--generate-hashes", "--quiet"]
    command += [f"--python-version={PYTHON}", "--fork-strategy=fewest", "--no-annotate", "--no-header"]
    command += ["--no-emit-index-url", "--no-emit-find-links", f"--output-file={output}"]
    if find_spec("uv") is None:
        _fail(f"uv is not installed: {sys.executable} -m pip install uv")
    _run(sys.executable, "-m", *command, *(["--upgrade"] if upgrade else []))
    return output.read_text()


def _hashes_here(pin: str, work: Path) -> Iterator[str]:
    """Hashes of the files that this machine's pip gives for ``name==version``."""
    folder = work / "given"
    _run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", pin)
    for path in folder.iterdir():
        with path.open("rb") as file:
            yield f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        texts = dict.fromkeys(FILES, _HEADER)
        for pin, entry in pins(resolved(options.upgrade, work)).items():
            kind = place(name(pin))
            if kind == "torch":
                entry = _torch(pin, entry, work)
            texts[kind] += entry
    for kind, text in texts.items():
        (HERE / f"{kind}.txt").write_text(text)
    print(f"lock: {sum(len(pins(text)) for text in texts.values())} packages in host/requirements")


def _torch(pin: str, entry: str, work: Path) -> str:
    """Torch's entry with the hashes of all builds: the index's, those of this version before, this machine's."""
    path = HERE / "torch.txt"
    before = pins(path.read_text()).get(pin, "") if path.is_file() else ""
    known = {*_HASH.findall(entry), *_HASH.findall(before), *_hashes_here(pin, work)}
    return " \\\n".join([pin, *(f"    --hash={digest}" for digest in sorted(known))]) + "\n"


if __name__ == "__main__":
    main()
