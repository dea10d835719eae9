"""Recordings from Edge Impulse's data acquisition format (JSON)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ditmos.datasets.importers.delimited import compact
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.errors import DitmosError
from ditmos.model.conversion import plain
from ditmos.text import read_text

SUFFIXES = (".json",)
_MARK = "edge impulse"


def read(path: Path, options: Options) -> list[Recording]:
    """One recording. Its label is the file's name up to the first dot, as that service names its files.

    Raises:
        DitmosError: not a file of that form.
    """
    text, _ = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DitmosError(f"{path}: not JSON ({error})") from None
    payload = content.get("payload") if isinstance(content, dict) else None
    if not isinstance(payload, dict) or not {"interval_ms", "sensors", "values"} <= payload.keys():
        raise DitmosError(f"{path}: no payload with interval_ms, sensors and values, expected Edge Impulse's format")
    sensors, interval = payload["sensors"], payload["interval_ms"]
    if not isinstance(interval, int | float) or not interval > 0:
        raise DitmosError(f"{path}: interval_ms is {interval!r}, expected milliseconds")
    if not isinstance(sensors, list) or not all(isinstance(s, dict) and "name" in s for s in sensors):
        raise DitmosError(f"{path}: sensors have no names")
    samples = _samples(payload["values"], len(sensors), path)
    names = tuple(str(sensor["name"]) for sensor in sensors)
    units = tuple(plain(str(sensor.get("units", ""))) for sensor in sensors)
    label, dot, rest = path.name.partition(".")
    signal = Signal(compact(samples), names, units, rate=1000 / interval)
    device = payload.get("device_name")
    note = f"Edge Impulse, {1000 / interval:g} Hz" + (f", device {device}" if isinstance(device, str) else "")
    own = label if dot and rest.lower() != "json" else None
    return [Recording(str(path), _MARK, (signal,), label=own, notes=(note,))]


def _samples(values: Any, width: int, path: Path) -> np.ndarray:
    try:
        samples = np.array(values)
        if samples.dtype.kind not in "iu":
            samples = samples.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        raise DitmosError(f"{path}: values are no table of numbers") from None
    if samples.ndim == 1 and width == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or samples.shape[1] != width:
        raise DitmosError(f"{path}: values have shape {samples.shape}, expected (rows, {width}), one a sensor")
    return samples
