"""The table of mutants still fits the sources, and its runner tells what is noticed from what is not."""

from __future__ import annotations

from pathlib import Path

import mutants
import pytest
from mutants import Mutant
from python_mutants import changed


def test_each_mutant_can_be_made() -> None:
    table = mutants.mutants()
    assert len({mutant.name for mutant in table}) == len(table) >= 60
    for mutant in table:
        mutant.changed((mutants.ROOT / mutant.path).read_text())
        assert mutant.old != mutant.new and mutant.tests
        for test in mutant.tests:
            if test.startswith("tests/"):
                path, *names = test.split("::")
                assert all(f"def {name.split('[')[0]}(" in (mutants.ROOT / path).read_text() for name in names), test


def test_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_sums.py").write_text("import sums\n\n\ndef test():\n    assert sums.add(2, 2) == 4\n")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    changes = {"minus": "a - b", "times": "a * b", "plus": "b + a"}
    table = [
        Mutant(name, "sums.py", "a + b", new, ("test_sums.py",), "the same" * (name == "plus"))
        for name, new in changes.items()
    ]
    results = list(mutants.run(table, tmp_path, {}))
    assert [row["result"] for row in results] == ["killed", "survived", "equivalent"]
    known = {str(row["name"]): row for row in results}
    assert list(mutants.run(table, tmp_path, known)) == []  # all known
    (tmp_path / "test_sums.py").write_text("import sums\n\n\ndef test():\n    assert sums.add(2, 3) == 5\n")
    assert [row["result"] for row in mutants.run(table, tmp_path, known)] == ["killed", "killed", "equivalent"]
    with pytest.raises(ValueError, match="has 'a ! b' 0 times, expected once"):
        list(mutants.run([Mutant("x", "sums.py", "a ! b", "", ("test_sums.py",))], tmp_path, {}))


def test_types_that_nothing_evaluates_are_told_from_code() -> None:
    for old, new, expected in (
        ("def f(x: int | None = None):", "def f(x: int & None = None):", True),
        ("bits = a | b", "bits = a & b", False),
    ):
        change = changed("f.py", "f", f"--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-  {old}\n+  {new}\n")
        assert (change.old, change.new, change.of_a_type) == (old, new, expected)
