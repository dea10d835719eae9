"""Random tables in random forms of text: every value comes back as it was written, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ditmos.datasets.importers.delimited import read
from ditmos.datasets.importers.options import Options


def write(path: Path, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A file of a random form; its channels' values, and how it was written."""
    rows, width = int(rng.integers(12, 90)), int(rng.integers(1, 8))
    digits = int(rng.integers(1, 8))
    values = np.round(rng.normal(size=(rows, width)) * 10.0 ** rng.integers(-2, 5), digits)
    if whole := rng.random() < 0.2:
        values = np.rint(values)
    separator = str(rng.choice([",", ";", "\t", " ", "|"]))
    decimal = "," if separator != "," and rng.random() < 0.4 and width > 1 else "."
    quote = '"' if rng.random() < 0.2 and separator != " " else ""
    end = str(rng.choice(["\n", "\r\n"]))
    encoding = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    named, stamped = rng.random() < 0.7, rng.random() < 0.5

    def cell(value: float) -> str:
        text = f"{value:.0f}" if whole else f"{value:.{digits}f}"
        return f"{quote}{text.replace('.', decimal)}{quote}"

    names = [f"{quote}ch{i}{quote}" for i in range(width)]
    lines = [f"# note {i} of a logger" for i in range(rng.integers(0, 5))]
    if named:
        lines.append(separator.join([*(["t_ms"] if stamped else []), *names]))
    for i, row in enumerate(values):
        lines.append(separator.join([*([str(i * 20)] if stamped else []), *map(cell, row)]))
    path.write_bytes((end.join(lines) + end).encode(encoding))
    about = (
        f"{separator!r} {decimal} {quote} {encoding} named={named} stamped={stamped} whole={whole} {width=} {digits=}"
    )
    return values, about


@pytest.mark.parametrize("block", range(8))
def test_random_forms(tmp_path: Path, block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        values, about = write(tmp_path / "x.csv", np.random.default_rng(seed))
        (recording,) = read(tmp_path / "x.csv", Options())
        (signal,) = recording.signals
        assert signal.samples.shape == values.shape, (seed, about, recording.notes)
        np.testing.assert_array_equal(signal.samples, values, err_msg=f"{seed} {about}")
