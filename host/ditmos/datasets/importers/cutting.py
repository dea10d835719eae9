"""Rows on one clock, cut into windows that each lie within one label and have every value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError

PADDINGS = ("zero", "edge")
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(s|ms|rows?)?", re.I)
_BRIEF = 3.0  # seconds: recordings of one length and no longer are windows as they are
_USUAL = 2.0  # seconds of a window, of longer recordings
_LEAST = 32  # rows of such a window


@dataclass
class Cut:
    """What `cut` made of one recording. stretch: (n,) which labelled stretch a window is from. lost: rows by reason."""

    windows: NDArray
    labels: list[str]
    stretch: list[int]
    lost: dict[str, int] = field(default_factory=dict)
    padded: int = 0


def parse_length(text: str, rate: float, name: str) -> int:
    """Rows, from "128", "2.5s" or "500ms". Raises DitmosError."""
    match = _LENGTH.fullmatch(text.strip())
    rows = 0
    if match:
        unit = (match[2] or "rows").lower()
        number = float(match[1])
        rows = round(number * rate * {"s": 1.0, "ms": 1e-3}[unit]) if unit in ("s", "ms") else int(number)
        if unit not in ("s", "ms") and number != int(number):
            rows = 0
    if rows < 1:
        raise DitmosError(f"{name} is {text!r}, expected rows, as 128, or a time, as 2.5s")
    return rows


def guess_window(lengths: Sequence[int], rate: float) -> int:
    """Rows: of whole recordings where most are of one brief length, else two seconds."""
    values, counts = np.unique(np.array(lengths), return_counts=True)
    common = int(values[counts.argmax()])
    alike = np.mean(np.abs(np.array(lengths) - common) <= 0.02 * common)
    if alike >= 0.5 and common <= _BRIEF * rate:
        return common
    return min(max(round(_USUAL * rate), _LEAST), int(max(lengths)))


def cut(samples: NDArray, labels: NDArray, window: int, hop: int, pad: str | None = None, peak: bool = False) -> Cut:
    """Windows (n, window, channels) every ``hop`` rows of each stretch of one label without a missing value.

    pad: recordings shorter than a window are filled up at their end with zeros, or with their last row ("edge").
    peak: one window of a stretch, around its largest magnitude.
    """
    finite = np.ones(len(samples), bool) if samples.dtype == np.int16 else np.isfinite(samples).all(1)
    lost = {
        "without a value (gaps, NaN)": int((~finite).sum()),
        "without a label": int((finite & (labels == "")).sum()),
    }
    good = finite & (labels != "")
    one = len(labels) and (labels == labels[0]).all()  # the usual case, and sorting objects is slow
    code = np.where(good, 1 if one else np.unique(labels, return_inverse=True)[1] + 1, 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], code, [0]])))
    result = Cut(np.empty((0, window, samples.shape[1]), samples.dtype), [], [], lost)
    parts, short, rest = [], 0, 0
    for number, (first, last) in enumerate(pairwise(edges)):
        if not code[first]:
            continue
        rows = samples[first:last]
        if len(rows) < window:
            if pad is None or len(rows) < len(samples):
                short += len(rows)
                continue
            rows = np.concatenate([rows, _filling(rows, window - len(rows), pad)])
            result.padded += 1
        starts = _starts(rows, window, hop, peak)
        rest += 0 if peak else len(rows) - (starts[-1] + window)
        parts += [rows[start : start + window] for start in starts]
        result.labels += [str(labels[first])] * len(starts)
        result.stretch += [number] * len(starts)
    if parts:
        result.windows = np.stack(parts)
    lost |= {"in stretches shorter than a window": short, "left over at the ends": rest}
    return result


def _starts(rows: NDArray, window: int, hop: int, peak: bool) -> list[int]:
    if not peak:
        return list(range(0, len(rows) - window + 1, hop))
    top = int(np.square(rows.astype(np.float64)).sum(1).argmax())
    return [min(max(top - window // 2, 0), len(rows) - window)]


def _filling(rows: NDArray, count: int, pad: str) -> NDArray:
    if pad not in PADDINGS:
        raise DitmosError(f"pad is {pad!r}, expected {' or '.join(PADDINGS)}")
    last = rows[-1:] if pad == "edge" else np.zeros_like(rows[-1:])
    return np.repeat(last, count, axis=0)
