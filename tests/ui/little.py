"""A training that takes seconds: its data and its settings."""

from __future__ import annotations

from pathlib import Path

from ditmos.datasets import save, synthetic
from ditmos.datasets.splits import split

SETTINGS = """
threads = 1
views.count = 2
teachers = {count = 1, epochs = 1, widths = [4], kernels = [3]}
fit = {epochs = 4.0, batch = 32}
int8 = {epochs = 1, clips = ["error"]}
network = {classifier = "6k3", selector = "4k5s2 4k3", classifiers = 3, start = 1, aggregate = [2], exit = true}
"""


def write_little(folder: Path) -> None:
    """motion.npz and small.toml."""
    made = synthetic.generate(subjects=8, activities=3, recordings=2, windows=3, window=48)
    save(split(made, "subject"), folder / "motion.npz")
    (folder / "small.toml").write_text(SETTINGS)
