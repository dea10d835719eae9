"""What runs in which order in which bytes of the arena: the types behind PLAN in docs/format.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

NONE = 255  # "no buffer" in an operand


class BufferKind(IntEnum):
    MAP = 0  # int8 planes: channel c starts at offset + c * stride, one byte per row
    CARRY = 1  # int32 per output channel, between two chunks of one stage
    SCRATCH = 2  # stride bytes, contents belong to one kernel call


@dataclass(frozen=True)
class Buffer:
    """``offset`` and ``stride`` in bytes. ``kept``: live from select to classify (and for a second classify)."""

    kind: BufferKind
    offset: int
    stride: int
    rows: int
    channels: int
    kept: bool = False


@dataclass(frozen=True)
class Stage:
    """One layer, run in chunks of ``chunk`` output rows; operands are buffer indices.

    ``layer`` indexes the selector's layers, then the classifier's. A selector layer in a classify slice is a
    recomputed one.
    """

    layer: int
    in0: int
    out: int
    chunk: int
    in1: int = NONE
    carry: int = NONE
    scratch: int = NONE


@dataclass(frozen=True)
class Slice:
    """Stages ``first .. first + count - 1``, run together, depth-first in time."""

    name: str
    first: int
    count: int
    phase: Literal["select", "classify"]


@dataclass(frozen=True)
class Plan:
    """A complete schedule. Indices ``window``, ``selector_logits``, ``logits`` name buffers."""

    name: str
    arena_size: int
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    slices: tuple[Slice, ...]
    window: int
    logits: int
    selector_logits: int = NONE
