"""The bytes of the arena that a front end works in."""

from __future__ import annotations

from dataclasses import dataclass

from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.operations import Affine, Split


def _padded(size: int) -> int:
    return -(-size // 4) * 4


@dataclass(frozen=True)
class Memory:
    """Bytes, each a multiple of 4. What is kept from one call to the next lies together, in this order:

    history: samples of the frame before that the next frame needs too; block: those that come in until it is whole.
    state: of every Split 4 a channel; of an Affine of the device's own 8 a channel, and 12 more for its
    statistics. rows: a window of int16 rows, for Centre and Summary. row: the newest row. features: those of Summary.

    work: where a spectrum is made; its contents belong to one call.
    """

    history: int
    block: int
    state: int
    rows: int
    row: int
    features: int
    work: int

    @property
    def kept(self) -> int:
        return self.history + self.block + self.state + self.rows + self.row + self.features

    @property
    def total(self) -> int:
        return self.kept + self.work


def memory(front: FrontEnd, window: int) -> Memory:
    """Of a front end whose network reads windows of so many rows."""
    window = front.kept_rows(window)
    history = block = state = work = 0
    for operation, width in zip(front.operations, front.widths, strict=False):
        if operation is front.spectrum:
            history = (operation.frame - operation.hop) * width * 2
            block = _padded(operation.frame * width * 2) - history
            work = 4 * operation.points + 8
        elif isinstance(operation, Split):
            state += 4 * width
        elif isinstance(operation, Affine) and operation.own:
            state += (8 + 12) * width
    row = _padded(2 * front.row_channels)
    rows = _padded(2 * front.row_channels * window) if front.keeps_rows else 0
    features = _padded(2 * front.summary.count(front.row_channels)) if front.summary else 0
    return Memory(history, block, state, rows, row, features, work)
