"""Datasets through front ends: rows as a device computes them, in integers, which networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ditmos.datasets.dataset import TRAIN, Dataset, join_units
from ditmos.datasets.kinds import FrontEndName
from ditmos.datasets.units import in_whole_steps, lost_digits
from ditmos.errors import DitmosError
from ditmos.frontends import log_bands, log_mel, vitals
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16, Rows, narrow
from ditmos.frontends.log_power import ROW_SCALE
from ditmos.frontends.operations import MOST_CALIBRATION, ONE, Affine, Operation, Statistics, affine_of
from ditmos.frontends.spectrum import Spectrum
from ditmos.frontends.window_summary import summary_for
from ditmos.model.conversion import plain

FEATURE_UNITS = "of features"
OWN_UNITS = "deviations of the subject, of "
_ACCELERATION = {"g", "mg", "m/s^2", "cm/s^2", "mm/s^2"}
_FEATURE_DEVIATIONS = 4.0


@dataclass(frozen=True)
class Prepared:
    """Rows for a network, the front end that makes them of samples, and those samples, windows of int16 in the order
    of the dataset; the latter two None where the samples are the rows. whole: rows with all channels, where the
    network does not read those that are constant in training; used: which it reads."""

    dataset: Dataset
    front: FrontEnd | None = None
    samples: Int16 | None = None
    whole: Dataset | None = None
    used: tuple[bool, ...] = ()

    @property
    def rows(self) -> Dataset:
        """With all channels."""
        return self.whole or self.dataset

    @property
    def sent(self) -> Dataset:
        """The windows as a board gets them: raw samples where there is a front end."""
        front, samples = self.front, self.samples
        if front is None or samples is None:
            return self.rows
        return replace(
            self.dataset, x=samples, channels=front.channel_names, scale=front.scale, units=front.units, fs=front.fs
        )


def samples_of(dataset: Dataset) -> tuple[Int16, float]:
    """Windows as int16 samples, and real units of a step: of a set of floats the smallest power of two that does."""
    if dataset.x.dtype == np.int16 and isinstance(dataset.scale, float):
        return dataset.x, dataset.scale
    real = dataset.values()
    scale = float(2.0 ** np.ceil(np.log2(max(float(np.abs(real).max()), 2.0**-100) / 32767)))
    return np.rint(real / np.float32(scale)).astype(np.int16), scale


def lost_as_samples(dataset: Dataset, front_end: FrontEndName) -> list[str]:
    """What is lost where raw samples of all channels share one scale, as that front end takes them; a sentence each."""
    if front_end == "vitals":
        return lost_digits(dataset, in_whole_steps(dataset))
    if front_end in ("log-mel", "log-bands"):
        samples, scale = samples_of(dataset)
        return lost_digits(dataset, replace(dataset, x=samples, scale=scale))
    return []


def to_log_mel(dataset: Dataset) -> Prepared:
    """One channel of sound, full scale 1, to its log-mel rows. A set in log-mel already stays as it is.

    Raises:
        DitmosError: more channels than one, a rate that log-mel does not take, or windows shorter than a frame.
    """
    if dataset.units == log_mel.UNITS:
        return Prepared(dataset, None)
    if len(dataset.channels) != 1:
        raise DitmosError(f"{dataset.name}: {len(dataset.channels)} channels, log-mel features need 1 channel of sound")
    samples, scale = samples_of(dataset)
    front = log_mel.front_end(dataset.fs, scale, dataset.units, dataset.channels[0])
    return Prepared(_through(dataset, front, samples, log_mel.NAMES, log_mel.UNITS), front, samples)


def to_log_bands(dataset: Dataset) -> Prepared:
    """Every channel to its log band powers. A set in log band power already stays as it is.

    Raises:
        DitmosError: a rate that band power does not take, or windows shorter than a frame.
    """
    if dataset.units.startswith(log_bands.UNITS.partition("{}")[0]):
        return Prepared(dataset, None)
    samples, scale = samples_of(dataset)
    front = log_bands.front_end(dataset.fs, scale, join_units(dataset.channel_units), dataset.channels)
    names = tuple(f"{channel} {band}" for channel in dataset.channels for band in log_bands.BANDS)
    return Prepared(_through(dataset, front, samples, names, log_bands.UNITS.format(dataset.units)), front, samples)


def to_vitals(dataset: Dataset) -> Prepared:
    """Signals of a wristband to their rows; the first three channels in g, or another unit of acceleration, are its
    motion. A set of such rows stays as it is.

    Raises:
        DitmosError: a rate that the front end does not take, or windows shorter than a frame.
    """
    if dataset.units == vitals.UNITS:
        return Prepared(dataset, None)
    whole = in_whole_steps(dataset)
    moves = [plain(unit) in _ACCELERATION for unit in dataset.channel_units]
    motion = next((i for i in range(len(moves) - 2) if all(moves[i : i + 3])), None)
    units = join_units(whole.channel_units)
    front = vitals.front_end(whole.fs, float(whole.scales[0]), units, whole.channels, motion)
    channels = (*whole.channels, *(() if motion is None else (vitals.MAGNITUDE,)))
    names = tuple(f"{channel} {band}" for channel in channels for band in vitals.VITALS.names)
    return Prepared(_through(whole, front, whole.x, names, vitals.UNITS), front, whole.x)


def through(dataset: Dataset, front_end: FrontEndName) -> Prepared:
    """Through the front end of that name. Raises as that one."""
    made = {"none": Prepared, "log-mel": to_log_mel, "log-bands": to_log_bands, "vitals": to_vitals}
    return made[front_end](dataset)


def _through(dataset: Dataset, front: FrontEnd, samples: Int16, names: tuple[str, ...], units: str) -> Dataset:
    try:
        x = front(samples)
    except DitmosError as error:
        raise DitmosError(f"{dataset.name}: {error}") from None
    return replace(dataset, x=x, channels=names, scale=ROW_SCALE, units=units, fs=dataset.fs / front.hop).check()


def standardise_subjects(prepared: Prepared) -> Prepared:
    """Every subject's windows minus their mean, over their deviation, per channel, as a device does that has calibrated
    its `Affine`; the front end gets one, which holds the mean over all training subjects and their usual deviation.

    Both are taken over all rows of all of a subject's own windows, the first 65,535 of them, and no label is looked at:
    what a device knows after a calibration session in which its wearer does a bit of everything. It is transductive:
    the windows that a model is tested on have a part in their own subject's mean and deviation. A channel that does
    not change becomes 0. What is beyond 8 deviations saturates. A set that is standardised already stays as it is.

    Raises:
        DitmosError: the set does not tell subjects apart, or has no split.
    """
    dataset, front = prepared.dataset, prepared.front
    if dataset.units.startswith(OWN_UNITS):
        return prepared
    subjects = np.unique(dataset.subject)
    if len(subjects) < 2:
        raise DitmosError(f"{dataset.name}: {len(subjects)} subject, standardise = subject needs at least 2")
    rows, scale = samples_of(dataset)
    wide, operations = _wide(rows, prepared)
    train = set(dataset.subject[dataset.part(TRAIN)].tolist())
    x = np.empty_like(rows)
    means, deviations = [], []
    for subject in subjects:
        own = dataset.subject == subject
        x[own] = calibrated(rows[own])(wide[own])
        if int(subject) in train:
            means.append(rows[own].mean((0, 1), dtype=np.float64))
            deviations.append(rows[own].std((0, 1), dtype=np.float64))
    stranger = affine_of(np.mean(means, 0), np.sqrt(np.mean(np.square(deviations), 0)), own=True)
    if front:
        front = replace(front, operations=(*operations, stranger))
    else:
        units = join_units(dataset.channel_units)
        front = FrontEnd((stranger,), dataset.fs, float(np.float32(scale)), units, dataset.channels)
    standard = replace(dataset, x=x, scale=1 / ONE, units=OWN_UNITS + dataset.units).check()
    return Prepared(standard, front, rows if prepared.samples is None else prepared.samples)


def _wide(rows: Int16, prepared: Prepared) -> tuple[Rows, tuple[Operation, ...]]:
    """Rows with all their bits where the front end ends with a Spectrum, for an Affine that takes them so, and the
    operations that make them; else as they are."""
    front, samples = prepared.front, prepared.samples
    operations = front.operations if front else ()
    if samples is None or not operations or not isinstance(operations[-1], Spectrum):
        return rows, operations
    operations = (*operations[:-1], replace(operations[-1], wide=True))
    made: Rows = samples
    for operation in operations:
        made = operation(made)
    return made, operations


def with_features(prepared: Prepared) -> Prepared:
    """In place of each window's rows the features that are made of them by hand (`window_summary.Summary`), one row.

    Features are kept within some deviations of their mean over the training windows: outliers would leave int8 few
    steps for the rest. A board need not know: what is beyond saturates there.

    Raises:
        DitmosError: windows of too few rows.
    """
    dataset, front, samples = prepared.dataset, prepared.front, prepared.samples
    rows, scale = samples_of(dataset)
    summary = replace(summary_for(dataset.window), rows=dataset.window)
    if front:
        front = replace(front, operations=(*front.operations, summary))
    else:
        units = join_units(dataset.channel_units)
        front = FrontEnd((summary,), dataset.fs, float(np.float32(scale)), units, dataset.channels)
    made = summary.features(rows)[:, None]
    train = made[dataset.part(TRAIN)].astype(np.float64)
    mean, reach = train.mean(0), np.ceil(_FEATURE_DEVIATIONS * train.std(0))
    made = np.clip(made, np.floor(mean - reach), np.ceil(mean + reach)).astype(np.int16)
    names = summary.names(dataset.channels)
    dataset = replace(dataset, x=made, channels=names, scale=1.0, units=FEATURE_UNITS).check()
    return Prepared(dataset, front, rows if samples is None else samples)


def leave_out_constant(prepared: Prepared) -> Prepared:
    """Without the channels that have one value in all training windows: they tell a network nothing.

    Raises:
        DitmosError: no channel varies.
    """
    dataset = prepared.dataset
    train = dataset.x[dataset.part(TRAIN)]
    varies = train.max((0, 1)) > train.min((0, 1))
    if varies.all() or not len(train):
        return prepared
    if not varies.any():
        raise DitmosError(
            f"{dataset.name}: every channel has one value in all training windows, expected some that vary"
        )
    kept = dataset.with_channels(np.flatnonzero(varies).tolist())
    return replace(prepared, dataset=kept, whole=dataset, used=tuple(varies.tolist()))


def calibrated(windows: Rows) -> Affine:
    """What a board would make of the rows of these windows (N, rows, channels)."""
    rows = narrow(windows).reshape(-1, windows.shape[2])[:MOST_CALIBRATION]
    statistics = Statistics.none(rows.shape[1])
    statistics.add(rows)
    return statistics.affine()
