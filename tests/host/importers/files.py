"""Recordings that the tests write: known numbers in the forms that people have them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def motion(rows: int = 400, seed: int = 0, channels: int = 3) -> NDArray[np.float64]:
    """(rows, channels) with four digits after the point, none of them whole."""
    values = np.random.default_rng(seed).normal(size=(rows, channels))
    return np.round(values, 3) + 0.0005


def table(
    path: Path,
    values: NDArray,
    *,
    head: str = "ax,ay,az",
    separator: str = ",",
    form: Callable[[float], str] = "{:.4f}".format,
    first: Callable[[int], str] | None = None,
    encoding: str = "utf-8",
    end: str = "\n",
) -> Path:
    """A text file of ``values``; ``first`` gives what stands before each row."""
    lines = [head] if head else []
    for i, row in enumerate(values):
        cells = [form(v) for v in row]
        lines.append(separator.join([first(i), *cells] if first else cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path
