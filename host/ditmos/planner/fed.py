"""What a model's front end is and what it takes, for people and for JSON."""

from __future__ import annotations

from typing import Any

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import Affine, Centre, Norm, Operation, Split
from ditmos.frontends.spectrum import Spectrum
from ditmos.planner import price


def in_words(operation: Operation) -> str:
    """``Spectrum, frames of 480 every 320, 512 points, 40 bands``."""
    if isinstance(operation, Spectrum):
        o = operation
        return f"Spectrum, frames of {o.frame} every {o.hop}, {o.points} points, {len(o.starts)} bands"
    if isinstance(operation, Split):
        return f"Split, corner at 1/{2**operation.k} of the rate by 2 pi"
    if isinstance(operation, Norm):
        return f"Norm of channels {operation.first} to {operation.first + operation.count - 1}"
    if isinstance(operation, Affine):
        return "Affine, which the board can calibrate" if operation.own else "Affine"
    assert isinstance(operation, Centre)
    return "Centre and scale" if operation.scale else "Centre"


def describe_front(front: FrontEnd, window: int) -> dict[str, Any]:
    """Its operations, samples and rows; instructions of a row (planned); bytes of the arena for ``window`` rows."""
    needed = memory(front, window)
    return {
        "operations": [in_words(operation) for operation in front.operations],
        "fs": front.fs,
        "units": front.units,
        "channels": front.channels,
        "row_channels": front.channels_out,
        "rows_per_second": front.fs / front.hop,
        "instructions": round(price.front_row(front)),
        "kept_bytes": needed.kept,
        "work_bytes": needed.work,
    }


def lines(front: FrontEnd, window: int) -> list[str]:
    """The same to be printed."""
    found = describe_front(front, window)
    return [
        f"front end: {found['channels']} channel(s) at {found['fs']:g} Hz to {found['row_channels']} at "
        f"{found['rows_per_second']:g} rows a second",
        *(f"  {operation}" for operation in found["operations"]),
        f"  about {found['instructions']:,} instructions a row; of the arena {found['kept_bytes']:,} bytes kept, "
        f"{found['work_bytes']:,} shared",
    ]
