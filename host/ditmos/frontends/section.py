"""The section `FRNT` of a model file (docs/format.md): bytes of a front end, and a reader that trusts none of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import MOST_OPERATIONS, FrontEnd
from ditmos.frontends.integers import LONGEST
from ditmos.frontends.operations import MOST_SHIFT, Affine, Centre, Norm, Operation, Split
from ditmos.frontends.spectrum import MOST_BANDS, MOST_OFFSET, SHORTEST, WINDOW_ONE, Spectrum
from ditmos.frontends.window_summary import LEAST_BLOCK, MOST_BINS, MOST_BLOCK, MOST_BLOCKS, MOST_WEIGHT, Summary
from ditmos.text import has_control

HEADER = struct.Struct("<HBBffIIHH")
RECORD = struct.Struct("<BBHI")  # kind, parameter, second parameter, bytes of the record
WINDOW = struct.Struct("<I")  # of features that the network reads: rows
SPECTRUM = struct.Struct("<HHHHiQ")  # frame, hop, points, values of the bank, offset, floor
CHANNEL = struct.Struct("<hBBi")  # offset, shift, reserved, multiplier
KINDS: tuple[type, ...] = (Spectrum, Split, Norm, Affine, Centre, Summary, Summary)  # the last: that the network reads
READ = len(KINDS)


class SectionError(DitmosError, ValueError):
    """What is wrong: ``field``, and its ``offset`` in the section."""

    def __init__(self, field: str, offset: int, message: str) -> None:
        super().__init__(f"{field} at offset {offset}: {message}")
        self.field = field
        self.offset = offset
        self.message = message


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def encode(front: FrontEnd, kept: int, work: int) -> bytes:
    """``kept``, ``work``: where in the arena its memory lies.

    Raises:
        DitmosError: a number is too large for its field.
    """
    text = b"".join(name.encode() + b"\0" for name in (front.units, *front.channel_names))
    try:
        head = HEADER.pack(
            front.channels, len(front.operations), 0, front.fs, front.scale, kept, work, len(text), 0
        )  # fmt: skip
        return head + _padded(text) + b"".join(map(_record, front.operations))
    except struct.error as error:
        raise DitmosError(f"front end: too large for a model file ({error})") from None


def _record(operation: Operation) -> bytes:
    first = second = 0
    body = b""
    match operation:
        case Spectrum():
            values = [
                np.concatenate(([start, len(row)], row)).astype("<u2")
                for start, row in zip(operation.starts, operation.weights, strict=True)
            ]
            bank = b"".join(v.tobytes() for v in values)
            first, second = operation.shift | operation.wide << 4, len(operation.starts)
            body = SPECTRUM.pack(
                operation.frame, operation.hop, operation.points, len(bank) // 2, operation.offset, operation.floor
            )  # fmt: skip
            body += operation.window.astype("<i4").tobytes() + bank
        case Split():
            first = operation.k
        case Norm():
            first, second = operation.count, operation.first
        case Affine():
            first = operation.own
            channels = zip(operation.offset, operation.shift, operation.multiplier, strict=True)
            body = b"".join(CHANNEL.pack(int(o), int(s), 0, int(m)) for o, s, m in channels)
        case Centre():
            first = operation.scale
        case Summary():
            first, second = operation.bins, operation.block
            body = WINDOW.pack(operation.rows) if operation.rows else b""
            body += _pairs(operation.table).astype("<i2").tobytes()
    body = _padded(body)
    kind = READ if isinstance(operation, Summary) and operation.rows else KINDS.index(type(operation)) + 1
    return RECORD.pack(kind, first, second, RECORD.size + len(body)) + body


def _pairs(table: NDArray[np.int16]) -> NDArray[np.int16]:
    """(bins, blocks, 2) as the file has it: (bins, pairs of blocks, 2, 2), two cosines before their sines."""
    return table.reshape(len(table), -1, 2, 2).swapaxes(2, 3)


@dataclass(frozen=True)
class Section:
    """What `decode` found; ``kept`` and ``work``: where in the arena its memory lies."""

    front: FrontEnd
    kept: int
    work: int


def decode(data: bytes) -> Section:
    """Inverse of `encode`.

    Raises:
        SectionError: the first violation.
    """
    _need(len(data) >= HEADER.size, "header", 0, f"section has {len(data)} bytes, expected at least {HEADER.size}")
    channels, count, zero, fs, scale, kept, work, text_size, zero2 = HEADER.unpack_from(data)
    _need(channels >= 1, "channels", 0, "is 0")
    _need(1 <= count <= MOST_OPERATIONS, "operations", 2, f"is {count}, expected 1 to {MOST_OPERATIONS}")
    _need(zero == 0, "reserved", 3, f"is {zero}, expected 0")
    _need(fs > 0 and isfinite(fs), "fs", 4, f"is {fs}, expected a positive number")
    _need(scale > 0 and isfinite(scale), "scale", 8, f"is {scale}, expected a positive number")
    _need(zero2 == 0, "reserved", 22, f"is {zero2}, expected 0")
    _need(kept % 4 == 0, "kept", 12, f"is {kept}, expected a multiple of 4")
    _need(work % 4 == 0, "work", 16, f"is {work}, expected a multiple of 4")
    at = HEADER.size
    names = _text(data, at, text_size, channels)
    at += -(-text_size // 4) * 4
    operations: list[Operation] = []
    width = channels
    for _ in range(count):
        operation, size = _operation(data, at, width)
        try:
            width = operation.channels_out(width)
        except DitmosError as error:
            raise SectionError("FRNT first", at + 2, str(error)) from None
        operations.append(operation)
        at += size
    _need(at == len(data), "operations", 2, f"end at {at}, the section at {len(data)}")
    try:
        front = FrontEnd(tuple(operations), fs, scale, names[0], names[1:])
    except DitmosError as error:
        raise SectionError("FRNT", 0, str(error)) from None
    return Section(front, kept, work)


def _need(ok: bool, field: str, offset: int, message: str) -> None:
    if not ok:
        raise SectionError(field if field == "FRNT" else f"FRNT {field}", offset, message)


def _text(data: bytes, at: int, size: int, channels: int) -> tuple[str, ...]:
    _need(size <= len(data) - at, "names", 20, f"is {size}, the section ends after {len(data) - at}")
    raw = data[at : at + size]
    found = raw.count(b"\0")
    _need(found == channels + 1, "names", at, f"has {found} strings, expected units and {channels} names")
    _need(raw.endswith(b"\0"), "names", at, "the last name does not end")
    try:
        names = tuple(part.decode() for part in raw.split(b"\0")[:-1])
    except UnicodeDecodeError as error:
        raise SectionError("FRNT names", at, f"is not UTF-8: {error.reason}") from None
    for name in names:
        _need(not has_control(name), "names", at, f"{name!r} has a control character")
    return names


def _operation(data: bytes, at: int, channels: int) -> tuple[Operation, int]:
    """The record at ``at`` and its size."""
    _need(len(data) - at >= RECORD.size, "operation", at, f"the section ends at {len(data)}")
    kind, first, second, size = RECORD.unpack_from(data, at)
    _need(1 <= kind <= len(KINDS), "kind", at, f"is {kind}, expected 1 to {len(KINDS)}")
    fits = RECORD.size <= size <= len(data) - at and size % 4 == 0
    _need(fits, "bytes", at + 4, f"is {size}, expected a multiple of 4 up to {len(data) - at}")
    body = data[at + RECORD.size : at + size]
    if KINDS[kind - 1] is Spectrum:
        return _spectrum(body, first, second, at), size
    if KINDS[kind - 1] is Summary:
        return _summary(body, first, second, at, read=kind == READ), size
    unused = {Split: second, Affine: second, Centre: second}.get(KINDS[kind - 1], 0)
    _need(unused == 0, "parameter", at + 2, f"is {unused}, expected 0")
    expected = CHANNEL.size * channels if KINDS[kind - 1] is Affine else 0
    _need(len(body) == expected, "bytes", at + 4, f"is {size}, expected {RECORD.size + expected}")
    if KINDS[kind - 1] is Split:
        _need(1 <= first <= 15, "k", at + 1, f"is {first}, expected 1 to 15")
        return Split(first), size
    if KINDS[kind - 1] is Norm:
        _need(2 <= first <= 8, "count", at + 1, f"is {first}, expected 2 to 8")
        return Norm(second, first), size
    _need(first <= 1, "parameter", at + 1, f"is {first}, expected 0 or 1")
    if KINDS[kind - 1] is Centre:
        return Centre(bool(first)), size
    return _affine(body, bool(first), at), size


def _summary(body: bytes, bins: int, block: int, at: int, *, read: bool) -> Summary:
    rows, start = 0, at + RECORD.size
    if read:
        _need(len(body) >= WINDOW.size, "bytes", at + 4, "cut short")
        (rows,), body = WINDOW.unpack_from(body), body[WINDOW.size :]
        _need(1 <= rows <= 65535, "rows", start, f"is {rows}, expected 1 to 65535")
        start += WINDOW.size
    _need(1 <= bins <= MOST_BINS, "bins", at + 1, f"is {bins}, expected 1 to {MOST_BINS}")
    ok = LEAST_BLOCK <= block <= MOST_BLOCK and block & (block - 1) == 0
    _need(ok, "block", at + 2, f"is {block}, expected a power of 2 from {LEAST_BLOCK} to {MOST_BLOCK}")
    blocks, rest = divmod(len(body), 4 * bins)
    ok = rest == 0 and blocks % 2 == 0 and 2 <= blocks <= MOST_BLOCKS
    _need(ok, "bytes", at + 4, f"expected {bins} bins of 2 to {MOST_BLOCKS} blocks")
    table = np.frombuffer(body, "<i2").astype(np.int16).reshape(bins, -1, 2, 2).swapaxes(2, 3).reshape(bins, blocks, 2)
    for i, weight in enumerate(np.abs(table.astype(np.int64)).sum(1).max(1)):
        place = start + 4 * blocks * i
        _need(weight <= MOST_WEIGHT, "table", place, f"bin {i + 1} weighs {weight}, expected at most {MOST_WEIGHT}")
    return Summary(block, table, rows)


def _affine(body: bytes, own: bool, at: int) -> Affine:
    channels = list(CHANNEL.iter_unpack(body))
    for i, (_, shift, reserved, multiplier) in enumerate(channels):
        place = at + RECORD.size + i * CHANNEL.size
        _need(1 <= shift <= MOST_SHIFT, "shift", place + 2, f"is {shift}, expected 1 to {MOST_SHIFT}")
        _need(reserved == 0, "reserved", place + 3, f"is {reserved}, expected 0")
        _need(multiplier >= 0, "multiplier", place + 4, f"is {multiplier}, expected at least 0")
    offsets, shifts, _, multipliers = zip(*channels, strict=True)
    return Affine(np.array(offsets, np.int16), np.array(multipliers, np.int32), np.array(shifts, np.uint8), own)


def _spectrum(body: bytes, first: int, bands: int, at: int) -> Spectrum:
    _need(len(body) >= SPECTRUM.size, "bytes", at + 4, f"expected at least {RECORD.size + SPECTRUM.size}")
    start = at + RECORD.size
    frame, hop, points, values, offset, floor = SPECTRUM.unpack_from(body)
    wide, shift = divmod(first, 16)
    _need(wide <= 1, "wide", at + 1, f"is {wide}, expected 0 or 1")
    _need(1 <= bands <= MOST_BANDS, "bands", at + 2, f"is {bands}, expected 1 to {MOST_BANDS}")
    ok = SHORTEST <= points <= LONGEST and points & (points - 1) == 0
    _need(ok, "points", start + 4, f"is {points}, expected a power of 2 from {SHORTEST} to {LONGEST}")
    ok = 2 <= frame <= points and frame % 2 == 0
    _need(ok, "frame", start, f"is {frame}, expected an even number up to the {points} points")
    _need(1 <= hop <= frame, "hop", start + 2, f"is {hop}, expected 1 to the frame of {frame}")
    _need(abs(offset) <= MOST_OFFSET, "offset", start + 8, f"is {offset}, expected within +-{MOST_OFFSET}")
    _need(1 <= floor < 1 << 63, "floor", start + 12, f"is {floor}, expected 1 to 2^63 - 1")
    expected = -(-(SPECTRUM.size + 4 * frame + 2 * values) // 4) * 4
    _need(len(body) == expected, "bytes", at + 4, f"expected {RECORD.size + expected} for frame and bank")
    window = np.frombuffer(body, "<i4", frame, SPECTRUM.size).astype(np.int32)
    beyond = np.flatnonzero(np.abs(window.astype(np.int64)) > WINDOW_ONE)
    where = start + SPECTRUM.size + 4 * int(beyond[0] if beyond.size else 0)
    _need(not beyond.size, "window", where, f"expected within +-{WINDOW_ONE}")
    bank = np.frombuffer(body, "<u2", values, SPECTRUM.size + 4 * frame)
    starts, rows = _bank(bank, bands, points // 2 + 1, start + SPECTRUM.size + 4 * frame)
    return Spectrum(frame, hop, points, window, starts, rows, floor, offset, shift, bool(wide))


def _bank(
    bank: NDArray[np.uint16], bands: int, bins: int, at: int
) -> tuple[NDArray[np.int64], tuple[NDArray[np.uint16], ...]]:
    """First bin and weights of each band; the bank starts at ``at``."""
    starts, rows = [], []
    i = 0
    for band in range(bands):
        fits = i + 2 <= len(bank) and i + 2 + int(bank[i + 1]) <= len(bank)
        _need(fits, "bank", at + 2 * i, f"ends in band {band} of {bands}")
        first, count = map(int, bank[i : i + 2])
        ok = count >= 1 and first + count <= bins
        _need(ok, "bank", at + 2 * i, f"band {band} has bins {first} to {first + count - 1} of {bins}")
        starts.append(first)
        rows.append(bank[i + 2 : i + 2 + count].astype(np.uint16))
        i += 2 + count
    _need(i == len(bank), "bank", at + 2 * i, f"has {len(bank)} values, its {bands} bands {i}")
    return np.array(starts, np.int64), tuple(rows)
