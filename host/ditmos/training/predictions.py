"""What the int8 model of a run says of every test window, kept beside its figures: so that two methods can be compared
on the same windows, person by person (`ditmos.study.pairs`)."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ditmos import atomic
from ditmos.datasets import TEST, Dataset
from ditmos.datasets.dataset import UNREADABLE
from ditmos.errors import DitmosError

PREDICTIONS = "predictions.npz"  # in the folder of a run


@dataclass(frozen=True)
class Predictions:
    """Of N test windows: which of the data set's they are, whose, their class, and the class that was answered; each
    (N,) int64."""

    window: NDArray[np.int64]
    person: NDArray[np.int64]
    y: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        return self.predicted == self.y

    @classmethod
    def of(cls, dataset: Dataset, predicted: NDArray[np.int64]) -> Predictions:
        """Answers for the test part of a data set, in its order."""
        window = dataset.part(TEST).astype(np.int64)
        y, person = (values[window].astype(np.int64) for values in (dataset.y, dataset.subject))
        return cls(window, person, y, predicted.astype(np.int64))

    def save(self, folder: Path) -> None:
        """Raises DitmosError where the file cannot be written."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{field.name: getattr(self, field.name) for field in fields(self)})
        atomic.write(folder / PREDICTIONS, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Predictions | None:
        """None where the run has none: it is of an older version.

        Raises:
            DitmosError: another file of that name, or a damaged one.
        """
        file = folder / PREDICTIONS
        if not file.exists():
            return None
        try:
            with np.load(file, allow_pickle=False) as content:
                found = [content[field.name] for field in fields(cls)]
        except UNREADABLE as error:
            raise DitmosError(f"{file}: not what ditmos train writes ({error}); train again") from None
        if len({(part.shape, part.dtype) for part in found}) != 1 or found[0].ndim != 1 or found[0].dtype != np.int64:
            raise DitmosError(f"{file}: not what ditmos train writes (parts of unlike size or type); train again")
        return cls(*found)
