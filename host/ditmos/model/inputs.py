"""What goes into a model: a record for each channel of a window, and how its values become int8.

The arithmetic is docs/arithmetic.md, Input.
"""

from __future__ import annotations

from math import frexp, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError

MAX_ZERO_POINT = 1 << 21
MAX_MULTIPLIER = (1 << 31) - 1
MAX_SHIFT = 62
_SATURATED = 1 << 22  # what a product of floats is clamped to before the zero point is added


class InputChannel(NamedTuple):
    """``real = (q - zero_point) * scale``; the zero point may lie far outside int8 where a sensor has an offset.

    sample_scale: real value of one unit of a raw int16 sample. used: False for a channel that told the training
    nothing (it was constant): rows have it, the window has not. multiplier, shift: a raw sample is
    ``multiplier / 2^shift`` steps of int8. The first six are what `_ditmos.Model.inputs` has on a board.
    """

    name: str
    units: str
    scale: float
    zero_point: int
    sample_scale: float
    used: bool
    multiplier: int
    shift: int

    @classmethod
    def of(
        cls,
        scale: float,
        zero_point: int,
        sample_scale: float = 1.0,
        name: str = "",
        units: str = "",
        used: bool = True,
    ) -> InputChannel:
        """With scales rounded to float32, and the fraction that follows from them.

        Raises:
            DitmosError: a scale is not a positive finite number.
        """
        scale, sample_scale = float(np.float32(scale)), float(np.float32(sample_scale))
        for what, value in (("scale", scale), ("sample scale", sample_scale)):
            if not (isfinite(value) and value > 0):
                raise DitmosError(f"channel {name or '?'}: {what} is {value}, expected a positive number")
        multiplier, shift = fraction(sample_scale / scale)
        return cls(name, units, scale, zero_point, sample_scale, used, multiplier, shift)


def fraction(factor: float) -> tuple[int, int]:
    """``multiplier`` (31 bits where the shift allows it) and ``shift`` (1 to 62) of a positive factor."""
    mantissa, exponent = frexp(factor)
    shift = min(max(31 - exponent, 1), MAX_SHIFT)
    multiplier = round(mantissa * 2.0 ** (exponent + shift))
    if multiplier > MAX_MULTIPLIER and shift > 1:
        multiplier, shift = multiplier >> 1, shift - 1
    return min(max(multiplier, 1), MAX_MULTIPLIER), shift


def check_input(channel: InputChannel) -> None:
    """Raises DitmosError for a record that a model file does not hold."""
    for field, low, high in (
        ("zero_point", -MAX_ZERO_POINT, MAX_ZERO_POINT),
        ("multiplier", 1, MAX_MULTIPLIER),
        ("shift", 1, MAX_SHIFT),
    ):
        value = getattr(channel, field)
        if not low <= value <= high:
            raise DitmosError(f"model: channel {channel.name!r}: {field} is {value}, expected {low} to {high}")
    for field in ("scale", "sample_scale"):
        value = getattr(channel, field)
        if not (isfinite(value) and value > 0 and value == np.float32(value)):
            raise DitmosError(f"model: channel {channel.name!r}: {field} is {value}, expected a positive float32")


def quantize_input(values: NDArray, inputs: tuple[InputChannel, ...]) -> NDArray[np.int8]:
    """Real units (float) or raw samples (int16), whole rows of channels after each other -> int8, the channels that are
    used: (..., channels) becomes (..., used channels), values in one dimension stay so.

    Raises:
        ValueError: another type, or not whole rows.
    """
    rows = np.ascontiguousarray(values)
    if rows.size % len(inputs):
        raise ValueError(f"{rows.size} values, expected rows of {len(inputs)}")
    rows = rows.reshape(-1, len(inputs))
    zero_point = np.array([channel.zero_point for channel in inputs], np.int64)
    if values.dtype == np.int16:
        multiplier = np.array([channel.multiplier for channel in inputs], np.int64)
        shift = np.array([channel.shift for channel in inputs], np.int64)
        steps = (rows.astype(np.int64) * multiplier + (np.int64(1) << (shift - 1))) >> shift
    elif np.issubdtype(values.dtype, np.floating):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            factor = np.float32(1) / np.array([channel.scale for channel in inputs], np.float32)
            rounded = np.rint(rows.astype(np.float32) * factor)
        rounded = np.where(np.isnan(rounded), 0, rounded)
        steps = np.clip(rounded, -_SATURATED, _SATURATED).astype(np.int64)
    else:
        raise ValueError(f"window has dtype {values.dtype}, expected float or int16")
    used = np.array([channel.used for channel in inputs])
    q = np.ascontiguousarray(np.clip(steps + zero_point, -128, 127).astype(np.int8)[:, used])
    whole = values.ndim > 1 and values.shape[-1] == len(inputs)
    return q.reshape((*values.shape[:-1], q.shape[1]) if whole else (-1,))


def last_not_finite(values: NDArray, inputs: tuple[InputChannel, ...]) -> int:
    """1 + the row of the last NaN or infinity in a channel that is used; 0 where there is none."""
    if not np.issubdtype(values.dtype, np.floating):
        return 0
    used = np.array([channel.used for channel in inputs])
    rows = np.ascontiguousarray(values).reshape(-1, len(inputs)).astype(np.float32)
    bad = np.flatnonzero((~np.isfinite(rows) & used).any(1))
    return int(bad[-1]) + 1 if len(bad) else 0
