"""Each subject's windows on a scale of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ditmos.datasets.dataset import Dataset
from ditmos.errors import DitmosError

UNITS = "deviations of the subject, of "


def standardise_subjects(dataset: Dataset) -> Dataset:
    """Every subject's windows minus their mean, over their deviation, per channel; float32.

    Both are taken over all rows of all of that subject's own windows, and no label is looked at: what a device knows
    after a calibration session in which its wearer does a bit of everything. It is transductive: the windows that a
    model is tested on have a part in their own subject's mean and deviation. A channel that does not change (by
    more than a millionth of its mean) becomes 0. A set that is standardised already stays as it is.

    Raises:
        DitmosError: the set does not tell subjects apart.
    """
    if dataset.units.startswith(UNITS):
        return dataset
    subjects = np.unique(dataset.subject)
    if len(subjects) < 2:
        raise DitmosError(f"{dataset.name}: {len(subjects)} subject, standardise = subject needs at least 2")
    x = dataset.x.astype(np.float32) * np.float32(dataset.scale)
    for subject in subjects:
        own = dataset.subject == subject
        mean = x[own].mean((0, 1), dtype=np.float64)
        deviation = x[own].std((0, 1), dtype=np.float64)
        x[own] = (x[own] - mean) / np.where(deviation > 1e-6 * np.abs(mean), deviation, 1.0)
    return replace(dataset, x=x, scale=1.0, units=UNITS + dataset.units).check()
