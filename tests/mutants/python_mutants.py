"""Do tests notice faults in the core's Python? cosmic-ray makes them, one after the other, from the syntax.

    python tests/mutants/python_mutants.py [WORD...] [--json FILE] [--folder FOLDER]

works in a copy of the checkout; `python.toml` has the modules, each with the tests that must notice. Each module has a
session in FOLDER, named by its digest and that of the tests, so a run that was stopped goes on. FILE lists what no test
noticed; `python.toml` says of some why none can.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ditmos.atomic import write_json
from mutants import ROOT, copy_checkout

TABLE = Path(__file__).with_name("python.toml")
SECONDS = 60.0  # for the tests of one mutant
# Of what cosmic-ray can put in the place of an operator: the ones that are mistaken for one another.
_BINARY = "Add_Sub Sub_Add Mul_FloorDiv Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul"
_BITS = "BitAnd_BitOr BitOr_BitAnd BitXor_BitOr LShift_RShift RShift_LShift"
_COMPARISONS = "Eq_NotEq NotEq_Eq Lt_LtE LtE_Lt Gt_GtE GtE_Gt Is_IsNot IsNot_Is"
_UNARY = "USub_UAdd Invert_USub"
_LEFT_OUT = [
    *(
        f"core/Replace{kind}Operator_(?!(?:{'|'.join(pairs.split())})$)"
        for kind, pairs in (("Binary", f"{_BINARY} {_BITS}"), ("Comparison", _COMPARISONS), ("Unary", _UNARY))
    ),
    "core/Variable",
    "core/NumberReplacer",  # most numbers are limits of time and size, which tests do not pin to one
]


@dataclass(frozen=True)
class Module:
    """path: of the module, from the checkout's root. tests: what pytest is told."""

    path: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its session: another one when the module or a test changes."""
        files = [(ROOT / name).read_bytes() for name in (self.path, *self.tests)]
        return f"{Path(self.path).stem}-{hashlib.sha256(bytes(1).join(files)).hexdigest()[:12]}"

    @property
    def config(self) -> str:
        """Of cosmic-ray."""
        test = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *self.tests]
        return (
            f'[cosmic-ray]\nmodule-path = "{self.path}"\ntimeout = {SECONDS}\nexcluded-modules = []\n'
            f'test-command = "{" ".join(test)}"\n[cosmic-ray.distributor]\nname = "local"\n'
            f"[cosmic-ray.filters.operators-filter]\nexclude-operators = {_LEFT_OUT}\n"
        )


@dataclass(frozen=True)
class Change:
    """A line in a function of a module, stripped, before and after."""

    path: str
    function: str
    old: str
    new: str

    @property
    def of_a_type(self) -> bool:
        """`| None` of a type that nothing evaluates became `& None`."""
        return self.old.replace(" | None", " & None") == self.new.replace(" | None", " & None")


def table() -> tuple[list[Module], dict[Change, str]]:
    """The modules, and the changes that no test can notice: why."""
    rows = tomllib.loads(TABLE.read_text())
    modules = [Module(row["path"], tuple(row["tests"].split())) for row in rows["module"]]
    keys = ("path", "function", "old", "new")
    return modules, {Change(*(row[key] for key in keys)): row["why"] for row in rows.get("equivalent", ())}


def changed(path: str, function: str, diff: str) -> Change:
    """The change that a unified diff of one line makes."""
    lines = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    old, new = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return Change(path, function, old, new)


def run(module: Module, copy: Path, folder: Path) -> list[tuple[Change, str]]:
    """Each change and its outcome, ``killed`` or ``survived``."""
    config, session = folder / f"{module.name}.toml", folder / f"{module.name}.sqlite"
    config.write_text(module.config)
    if not session.exists():
        for old in folder.glob(f"{Path(module.path).stem}-*.sqlite"):
            old.unlink()
        begun = session.with_suffix(".begun")
        begun.unlink(missing_ok=True)
        _cosmic_ray(copy, "cosmic-ray", "init", config, begun)
        _cosmic_ray(copy, "cr-filter-operators", begun, config)
        begun.rename(session)
    _cosmic_ray(copy, "cosmic-ray", "baseline", config)
    _cosmic_ray(copy, "cosmic-ray", "exec", config, session)
    found = []
    for line in _cosmic_ray(copy, "cosmic-ray", "dump", session).splitlines():
        item, result = json.loads(line)
        if result and result["worker_outcome"] != "skipped":
            outcome = "survived" if result["test_outcome"] == "survived" else "killed"
            function = item["mutations"][0]["definition_name"] or ""
            found.append((changed(module.path, function, result["diff"] or ""), outcome))
    return found


def _cosmic_ray(copy: Path, program: str, *arguments: str | Path) -> str:
    command = [Path(sys.executable).with_name(program), *arguments]
    environment = os.environ | {"PYTHONPATH": str(copy / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{program} {arguments[0]}: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only modules with one of these words in the path")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "python-mutants.json", help="what survived")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "python-mutants", help="for copy and sessions")
    options = parser.parse_args()
    modules, equivalent = table()
    folder, copy = options.folder.resolve(), options.folder.resolve() / "copy"
    folder.mkdir(parents=True, exist_ok=True)
    known = json.loads(options.json.read_text()) if options.json.is_file() else {}
    survived = 0
    for module in modules:
        if options.words and not any(word in module.path for word in options.words):
            continue
        copy_checkout(copy)
        found = [
            (change, "equivalent" if outcome == "survived" and (change in equivalent or change.of_a_type) else outcome)
            for change, outcome in run(module, copy, folder)
        ]
        counts = Counter(outcome for _, outcome in found)
        noted = [[change.function, change.old, change.new] for change, outcome in found if outcome == "survived"]
        known[module.path] = {**counts, "survivors": noted}
        write_json(options.json, known)
        print(f"{module.path}: {', '.join(f'{count} {word}' for word, count in sorted(counts.items()))}", flush=True)
        for function, old, new in noted:
            print(f"  {function}\n    {old}\n    {new}")
        survived += len(noted)
    sys.exit(survived > 0)


if __name__ == "__main__":
    main()
