"""The units of recordings: as the files say them, or converted to those that are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ditmos.datasets.dataset import join_units, one_or_each
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.datasets.importers.report import Report
from ditmos.errors import DitmosError
from ditmos.model.conversion import Conversion, convert, plain


def in_units(recording: Recording, options: Options, report: Report) -> Recording:
    """The recording in ``options.units``, if there are any; what its files say is converted. With a scale nothing is:
    that says what the numbers are.

    Raises:
        DitmosError: another number of units than channels, or one that cannot be made of the files' own.
    """
    width = sum(len(signal.channels) for signal in recording.signals)
    given, wanted = iter(_each(options.own_units, width)), iter(_each(options.units, width))
    signals = []
    for signal in recording.signals:
        own = [units or next_one for units, next_one in zip(signal.units, _some(given, signal), strict=True)]
        asked = [new or units for units, new in zip(own, _some(wanted, signal), strict=True)]
        if options.scale is not None:
            own = asked
        made = [
            convert(old, new, f"{recording.path}: channel {channel}") if old and new else Conversion(1.0)
            for channel, old, new in zip(signal.channels, own, asked, strict=True)
        ]
        for old, new, conversion in zip(own, asked, made, strict=True):
            if not conversion.same:
                report.note(f"converted from {old} to {new}", recording.path)
        signals.append(replace(_converted(signal, made), units=tuple(map(plain, asked))))
    return replace(recording, signals=tuple(signals))


def alike(recordings: Sequence[Recording], report: Report) -> list[Recording]:
    """Recordings of the same channels, each channel in the unit that most of them have it in.

    One that does not say a unit is taken to be in that; one that says another is converted, or left out where that is
    not known to be possible.
    """
    said = [tuple(u for signal in recording.signals for u in signal.units) for recording in recordings]
    if len(set(said)) == 1:
        return [*recordings]
    found = [Counter(own[i] for own in said if own[i]).most_common(1) for i in range(len(said[0]))]
    common = tuple(most[0][0] if most else "" for most in found)
    result = []
    for recording, own in zip(recordings, said, strict=True):
        if own == common:
            result.append(recording)
            continue
        if any(new and not old for old, new in zip(own, common, strict=True)):
            report.note(f"does not say its units: taken as {join_units(common)}, as in others", recording.path)
        try:
            result.append(in_units(recording, Options(own_units=common, units=common), report))
        except DitmosError as error:
            report.drop(f"{str(error).removeprefix(f'{recording.path}: ').partition(',')[0]}, not in "
                        f"{join_units(common)} as most are", recording.path)  # fmt: skip
    return result


def _each(units: tuple[str, ...], width: int) -> tuple[str, ...]:
    if len(units) not in (0, 1, width):
        raise DitmosError(f"{len(units)} units are given, expected 1 or {width}, one a channel")
    return units if len(units) == width else (*units, "")[:1] * width


def _some(units: Iterator[str], signal: Signal) -> list[str]:
    return [next(units) for _ in signal.channels]


def _converted(signal: Signal, made: Sequence[Conversion]) -> Signal:
    """Counts stay counts where a factor is all that changes."""
    if all(conversion.same for conversion in made):
        return signal
    factor, offset = np.array(made, np.float64).T
    scale = np.broadcast_to(1.0 if signal.scale is None else signal.scale, len(made))
    if signal.samples.dtype == np.int16 and not offset.any():
        return replace(signal, scale=one_or_each((scale * factor).tolist()))
    return replace(signal, samples=signal.samples * (scale * factor) + offset, scale=None)
