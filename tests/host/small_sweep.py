"""A sweep that takes seconds: the synthetic set with few people, one weak teacher, small networks."""

from __future__ import annotations

from pathlib import Path

from ditmos.datasets import save, synthetic

WIDE = """
[[job]]
data = "synthetic"
method = "wide"
macs = 12_000
settings.network = { classifier = "4k5s2 6k3 8k3" }
"""


def sweep_text(jobs: str = WIDE, *, seeds: int = 1, fit: str = "epochs = 2", settings: str = "") -> str:
    """A sweep file. ``fit`` and ``settings``: of every job."""
    return f"""
seeds = {list(range(seeds))}
[settings]
threads = 1
views = {{ count = 2 }}
teachers = {{ count = 1, epochs = 1, widths = [4], kernels = [3] }}
fit = {{ {fit}, batch = 64 }}
int8 = {{ epochs = 0, clips = ["error"] }}
{settings}
[data.synthetic]
file = "synthetic.npz"
split = "subject"
{jobs}
"""


def write_sweep(folder: Path, text: str) -> Path:
    """The sweep file and its data in a folder; returns the file."""
    save(synthetic.generate(subjects=6, activities=3, recordings=2, windows=4, window=64), folder / "synthetic.npz")
    file = folder / "sweep.toml"
    file.write_text(text)
    return file
