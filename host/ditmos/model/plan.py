"""What runs in which order in which bytes of the arena: the types behind PLAN in docs/format.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from ditmos.model.layer_shape import LayerShape
from ditmos.model.spec import NetworkSpec

NONE = 255  # "no buffer" in an operand

# What a device has room for.
MAX_BUFFERS = 64
MAX_STAGES = 32
MAX_SLICES = 32

Phase = Literal["select", "classify"]
PHASES: tuple[Phase, ...] = ("select", "classify")


class BufferKind(IntEnum):
    MAP = 0  # int8 planes: channel c starts at offset + c * stride, one byte per row
    CARRY = 1  # int32 per output channel, between two chunks of one stage
    SCRATCH = 2  # stride bytes, contents belong to one kernel call


@dataclass(frozen=True)
class Buffer:
    """``offset`` and ``stride`` in bytes. ``kept``: live from select to classify (and for a second classify).

    The output of a fully connected layer is a map of one row with stride 1. Carry and scratch have rows 0; scratch
    has channels 0, carry has stride 0.
    """

    kind: BufferKind
    offset: int
    stride: int
    rows: int
    channels: int
    kept: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        if self.kind == BufferKind.MAP:
            return self.stride * self.channels
        return 4 * self.channels if self.kind == BufferKind.CARRY else self.stride

    @property
    def end(self) -> int:
        return self.offset + self.size


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
    phase: Phase


@dataclass(frozen=True)
class Feed:
    """Bytes of the arena that a front end works in (`ditmos.frontends.memory`): ``kept_size`` at ``kept``, which share
    no byte with any buffer, and ``work_size`` at ``work``, which may share bytes with all but the window: what lies
    there is gone when a row is made. With a front end the window lasts from one inference to the next."""

    kept: int
    kept_size: int
    work: int
    work_size: int


@dataclass(frozen=True)
class Plan:
    """A complete schedule. Indices ``window``, ``selector_logits``, ``logits`` name buffers.

    ``packings``: how the weights of each layer are packed for the kernel that runs it, the selector's layers first
    (docs/format.md, WGHT). ``once``: classify may use up the window, so that each has one classify. ``feed``: of a
    model with a front end. ``logits`` is `NONE` where there is no network.
    """

    name: str
    arena_size: int
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    slices: tuple[Slice, ...]
    window: int
    logits: int
    selector_logits: int = NONE
    packings: tuple[int, ...] = ()
    once: bool = False
    feed: Feed | None = None


def layer_table(spec: NetworkSpec) -> tuple[LayerShape, ...]:
    """All layers in the order that ``Stage.layer`` and the model file count them."""
    return spec.selector_layers() + spec.classifier_layers()


def slice_name(layers: Sequence[LayerShape]) -> str:
    """Name of a slice from its stages' layers: the last layer's, after the first's where they differ.

    Layers in time are called by their level, fully connected layers together ``head``: ``selector.2``,
    ``selector.1-3``, ``classifier.head``, ``selector.1-classifier.3``.
    """

    def part(layer: LayerShape) -> tuple[str, str]:
        return layer.branch, layer.name.rpartition(".")[2] if layer.kind != "fc" else "head"

    first, last = part(layers[0]), part(layers[-1])
    if first == last:
        return ".".join(first)
    return f"{'.'.join(first)}-{last[1] if first[0] == last[0] else '.'.join(last)}"
