"""Windows of a dataset as `device/infer.py` reads them: from a folder that is mounted, from /flash or from /rom."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.datasets.dataset import Dataset


def write_windows(folder: Path, dataset: Dataset, index: NDArray[np.integer]) -> None:
    """``windows.npy``: raw samples, or real units in float32. ``labels.npy``: numbers of their classes.
    ``windows.json``: what they are, which the script compares with what the model was made for.

    Raises:
        DitmosError: a file cannot be written.
    """
    x = dataset.x[index]
    arrays = {
        "windows.npy": x if x.dtype == np.int16 else dataset.values(index),
        "labels.npy": dataset.y[index].astype("<i2"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        atomic.write(folder / name, buffer.getvalue())
    channels = zip(dataset.channels, dataset.channel_units, dataset.scales.tolist(), strict=True)
    atomic.write_json(
        folder / "windows.json",
        {"fs": dataset.fs, "class_names": list(dataset.class_names), "channels": [list(each) for each in channels]},
    )
