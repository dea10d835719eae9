"""events.py on MicroPython says what it says on the host, for random settings and logits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ditmos.paths import SOURCES

RUN = """
import sys
from array import array
import ditmos.events as e
case = 0
for line in open(sys.argv[1]):
    scale, on, off, windows, quiet, margin, *logits = line.split()
    classes = 2 + case % 9
    scores = e.soft(float(scale))
    windows, on, off = int(windows), float(on), float(off)
    hears = (
        e.events(on, off, windows, int(quiet), (1,)),
        e.steady(on, off, windows),
        e.majority(windows, windows // 2 + 1),
        e.known(e.events(on, off, windows, int(quiet)), int(margin)),
    )
    values = array("b", [int(v) for v in logits])
    sums, seen = [0] * classes, []
    for at in range(0, len(values) - classes, classes):
        of = scores(memoryview(values)[at : at + classes])
        seen.append(bytes(of))
        print(case, at, list(of), [hear(of) for hear in hears])
    print(case, e.margin_for(seen, on))
    case += 1
"""


def test_host_and_board_agree(micropython: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(40):
        settings = [*np.float32(rng.uniform([0.002, 0.3, 0.1], [0.3, 1, 0.6])), *rng.integers([1, 0, 0], [7, 12, 90])]
        walk = np.cumsum(rng.normal(0, 20, 600)).clip(-128, 127).astype(int)
        lines.append(" ".join(map(str, [*settings, *walk])))
    (tmp_path / "cases").write_text("\n".join(lines) + "\n")
    (tmp_path / "run.py").write_text(RUN)
    arguments = [tmp_path / "run.py", tmp_path / "cases"]
    path = {**os.environ, "MICROPYPATH": f"{SOURCES / 'device'}:.frozen"}
    answers = [
        subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True, env=path).stdout
        for command in ([micropython, "-X", "heapsize=4m"], [sys.executable])
    ]
    assert answers[0] == answers[1]
    assert answers[0].count("None, None, None, None]") < 0.99 * answers[0].count("[None")
    assert sum(label in line for line in answers[0].splitlines() for label in ("[0,", "[2,")) > 20
