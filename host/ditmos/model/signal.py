"""What recordings are, as a model file keeps it: names, units, scales, rate, classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.model.conversion import Conversion, conversion
from ditmos.model.quantized import QuantizedModel

RATE_TOLERANCE = 0.02  # of the rate: clocks of sensors differ by a per cent or so
SCALE_TOLERANCE = 1e-5
_PLACEHOLDER = re.compile(r"(c|ch|channel)[ _-]?\d+", re.IGNORECASE)  # what is called so has no name


def each_unit(units: str, channels: Sequence[str]) -> tuple[str, ...]:
    """The unit of each channel: ``units`` is one for all, one a channel apart by commas, or "EDA uS, ACC g": each
    behind what the names of its channels begin with."""
    parts = [part.strip() for part in units.split(",")]
    named = [part.rpartition(" ") for part in parts]
    if len(parts) > 1 and all(name for name, _, _ in named):
        begins = [[unit for name, _, unit in named if c.lower().startswith(name.lower())] for c in channels]
        if all(len(found) == 1 for found in begins):
            return tuple(found[0] for found in begins)
    return tuple(parts) if len(parts) == len(channels) else (units,) * len(channels)


@dataclass(frozen=True)
class Signal:
    """scales: real value of one unit of a raw sample, of each channel. rate: rows per second, 0 where not known."""

    class_names: tuple[str, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    scales: tuple[float, ...]
    rate: float = 0.0

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        channels: Sequence[str],
        units: str | Sequence[str],
        scale: float | Sequence[float],
        rate: float = 0.0,
    ) -> Signal:
        """With one unit and one scale for all channels, or one for each.

        Raises:
            DitmosError: another number of units or scales.
        """
        count = len(channels)
        all_units = (units,) * count if isinstance(units, str) else tuple(units)
        scales = tuple(map(float, scale)) if isinstance(scale, Sequence) else (float(scale),) * count
        for what, values in (("units", all_units), ("scales", scales)):
            if len(values) != count:
                raise DitmosError(f"{len(values)} {what} for {count} channels, expected one, or one a channel")
        return cls(tuple(class_names), tuple(channels), all_units, scales, float(rate))

    def other_rate(self, rate: float) -> bool:
        """Whether that is another rate than this one; 0 is none that is known."""
        return bool(self.rate and rate and abs(rate / self.rate - 1) > RATE_TOLERANCE)

    @classmethod
    def of_model(cls, model: QuantizedModel) -> Signal:
        """What a model was made for: the rows of its window, or the samples of its front end."""
        if front := model.front_end:
            units = each_unit(front.units, front.channel_names)
            return cls.of(model.class_names, front.channel_names, units, front.scale, front.fs)
        return cls.of_inputs(model.class_names, model.inputs, model.rate)

    @classmethod
    def of_inputs(cls, class_names: Sequence[str], inputs: Sequence[Sequence[Any]], rate: float) -> Signal:
        """From what `_ditmos.Model` says of itself on a board: ``class_names``, ``inputs`` and ``rate``."""
        names, units, _, _, scales = zip(*(channel[:5] for channel in inputs), strict=True)
        return cls(tuple(class_names), names, units, scales, rate)


@dataclass(frozen=True)
class Fit:
    """How data go into a model. order: which of their channels is each of the model's; None: they are in order.
    conversions: of each of the model's channels, from the data's unit to its own; None: they are the same. classes: the
    model's number of each class of the data. notes: what is not as in the model, for people."""

    order: tuple[int, ...] | None
    classes: tuple[int, ...]
    notes: tuple[str, ...]
    conversions: tuple[Conversion, ...] | None = None

    def taken(self, x: NDArray) -> NDArray:
        """Values (..., channels) of the data as the model takes them; raw samples stay what they are."""
        if self.order is not None:
            x = x[..., list(self.order)]
        if self.conversions is None or x.dtype.kind != "f":
            return x
        factor, offset = np.array(self.conversions, np.float64).T
        return (x * factor + offset).astype(x.dtype)


def fit(model: Signal, data: Signal, name: str, *, raw: bool) -> Fit:
    """Compare data with what a model was made for. What data do not say (no names, no units, rate 0, no class names) is
    not compared; neither are channels that one side only numbers (c0, c1).

    Args:
        name: of the data, for messages.
        raw: samples are whole numbers that the scales turn into real units; else they are in real units.

    Raises:
        DitmosError: another rate, other channels, units that do not convert, or scales of raw samples, or a class that
            the model lacks.
    """
    notes = []
    if model.other_rate(data.rate):
        raise DitmosError(
            f"{name}: fs is {data.rate:g} Hz, the model was made for {model.rate:g}; resample with ditmos data import"
        )
    order = _order(model, data, name)
    if order:
        notes.append(f"{name}: channels taken in the model's order: {', '.join(model.channels)}")
    elif all(model.channels) and all(data.channels) and data.channels and data.channels != model.channels:
        said, meant = ", ".join(data.channels), ", ".join(model.channels)
        notes.append(f"{name}: channels {said} are taken as the model's {meant}, in this order")
    conversions = []
    for i, column in enumerate(order or range(len(model.channels))):
        channel, units = model.channels[i] or i, data.units[column] if data.units else ""
        known = bool(units and model.units[i])
        made = conversion(units, model.units[i]) if known else Conversion(1.0)
        if made is None:
            raise DitmosError(f"{name}: channel {channel} is in {units}, the model was made for {model.units[i]}")
        conversions.append(made)
        if raw and data.scales:
            scale = data.scales[column] * made.factor
            if abs(scale / model.scales[i] - 1) > SCALE_TOLERANCE or made.offset:
                raise DitmosError(
                    f"{name}: scale of channel {channel} is {data.scales[column]:g}"
                    f"{f' {units}' if known else ''}, the model was made for raw samples of {model.scales[i]:g}"
                    f"{f' {model.units[i]}' if known else ''}"
                )
        elif not made.same:
            notes.append(f"{name}: channel {channel} converted from {units} to {model.units[i]}")
    classes = _classes(model, data, name)
    if classes and classes != tuple(range(len(classes))):
        notes.append(f"{name}: classes are numbered otherwise than in the model, and compared by name")
    changed = any(not made.same for made in conversions)
    return Fit(order, classes, tuple(notes), tuple(conversions) if changed else None)


def _order(model: Signal, data: Signal, name: str) -> tuple[int, ...] | None:
    if not all(model.channels) or not all(data.channels) or data.channels == model.channels or not data.channels:
        return None
    missing = [channel for channel in model.channels if channel not in data.channels]
    if missing and len(data.channels) == len(model.channels) and (_unnamed(model.channels) or _unnamed(data.channels)):
        return None
    if missing or len(data.channels) != len(model.channels):
        raise DitmosError(
            f"{name}: channels are {', '.join(data.channels)}, the model was made for {', '.join(model.channels)}; "
            f"where they are the same, call them so: ditmos data import --names {','.join(model.channels)}"
        )
    return tuple(data.channels.index(channel) for channel in model.channels)


def _unnamed(channels: Sequence[str]) -> bool:
    return all(_PLACEHOLDER.fullmatch(channel) for channel in channels)


def _classes(model: Signal, data: Signal, name: str) -> tuple[int, ...]:
    for class_name in data.class_names:
        if class_name not in model.class_names:
            known = ", ".join(model.class_names)
            raise DitmosError(f"{name}: class {class_name!r} is none of the model's: {known}")
    return tuple(model.class_names.index(class_name) for class_name in data.class_names)
