"""What recordings are, as a model file keeps it: names, units, scales, rate, classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ditmos.errors import DitmosError
from ditmos.model.quantized import QuantizedModel


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

    @classmethod
    def of_model(cls, model: QuantizedModel) -> Signal:
        """What a model was made for."""
        return cls(
            model.class_names,
            tuple(channel.name for channel in model.inputs),
            tuple(channel.units for channel in model.inputs),
            tuple(channel.sample_scale for channel in model.inputs),
            model.rate,
        )
