"""Write ``docs/licences.md``: the licence of each package in the lock files, by its metadata. Part of ``make lock``.

Of a package that is installed here the metadata is read in place. Of others (other systems, the CUDA build) pip is
asked: the newest, in an environment of its own, since older ones do not read the field of SPDX expressions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from lock import FILES, HERE, ROOT, name, pins

PAGE = ROOT / "docs" / "licences.md"
# What metadata leaves out or gets wrong: read in the package's own files.
SAID_OTHERWISE = {
    "axe-playwright-python": "MIT; carries axe-core under MPL-2.0",
    "emlearn": "MIT",
    "unicorn": "GPL-2.0, the emulator's core; its Python bindings: BSD",
}
LONGEST = 60  # characters; longer `License` fields are whole licence texts
_INTRODUCTION = """# Licences of what the project uses

Made by `make lock` from the lock files in `host/requirements` and the metadata of the packages; do not edit it.
Our own code is under the [MIT licence](https://opensource.org/license/mit). None of these packages is copied into it;
`make setup` installs them, and [Install](howto/install.md) says which few of them a command needs.

Only the emulated NUCLEO board needs unicorn, whose core is under GPL-2.0: it is an extra, and nothing else imports it.
"""
_TITLES = {
    "packages": "On every system",
    "torch": "PyTorch",
    "cuda": "What the index's build of PyTorch needs on Linux",
}


def licence(expression: str | None, classifiers: Iterable[str], text: str | None) -> str:
    """What a package's metadata says: the SPDX expression, else a short ``License`` field, else the classifiers."""
    line = (text or "").strip()
    if expression:
        return expression
    if line and "\n" not in line and len(line) <= LONGEST and line != "UNKNOWN":
        return line
    found = [item.split(" :: ")[-1] for item in classifiers if item.startswith("License :: ")]
    return " or ".join(found) or "not said"


def _installed(package: str) -> str | None:
    try:
        found = metadata(package)
    except PackageNotFoundError:
        return None
    expression, line = ((found.get_all(key) or [None])[0] for key in ("License-Expression", "License"))
    return licence(expression, found.get_all("Classifier") or (), line)


def _asked(packages: dict[str, str]) -> dict[str, str]:
    """The licences of packages that are not installed here, from pip's report of what it would install."""
    if not packages:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--python", sys.executable, "pip"]
        what = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report", str(report)]
        subprocess.run([*pip, *what, *packages.values()], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {
        item["name"].lower().replace("_", "-"): licence(
            item.get("license_expression"), item.get("classifier", ()), item.get("license")
        )
        for item in found
    }


def main() -> None:
    """Write the page."""
    text = _INTRODUCTION
    for kind in FILES:
        wanted = {name(pin): pin.split(" ")[0] for pin in pins((HERE / f"{kind}.txt").read_text())}
        known = {package: SAID_OTHERWISE.get(package) or _installed(package) for package in wanted}
        asked = _asked({package: pin for package, pin in wanted.items() if known[package] is None})
        rows = [f"| {package} | {found or asked[package]} |" for package, found in sorted(known.items())]
        text += f"\n## {_TITLES[kind]}\n\n| package | licence |\n|---|---|\n" + "\n".join(rows) + "\n"
    PAGE.write_text(text)
    print(f"licences: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
