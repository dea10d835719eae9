"""The outside of a `.dtm`: header, checksum, table of sections (docs/format.md). What is in them: `sections.py`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ditmos.errors import DitmosError
from ditmos.model import records

MAX_SECTIONS = 32
_TAG_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


class ModelFileError(DitmosError, ValueError):
    """What is wrong with a file: ``field`` and the ``offset`` in the file where it lies."""

    def __init__(self, field: str, offset: int, message: str) -> None:
        super().__init__(f"{field} at offset {offset}: {message}")
        self.field = field
        self.offset = offset


def need(ok: bool, field: str, offset: int, message: str) -> None:
    """Raises ModelFileError where ``ok`` is false."""
    if not ok:
        raise ModelFileError(field, offset, message)


class Span(NamedTuple):
    """Where a section lies in the file, in bytes."""

    begin: int
    size: int

    @property
    def end(self) -> int:
        return self.begin + self.size


def pack(sections: Iterable[tuple[bytes, bool, bytes]]) -> bytes:
    """A file of sections (tag, required, contents), in this order."""
    listed = list(sections)
    table = b""
    body = b""
    start = records.HEADER.size + records.SECTION.size * len(listed)
    for tag, required, data in listed:
        table += records.SECTION.pack(tag, start + len(body), len(data), records.REQUIRED if required else 0)
        body += data + bytes(-len(data) % 4)
    rest = table + body
    length = records.HEADER.size + len(rest)
    return records.HEADER.pack(records.MAGIC, records.VERSION, len(listed), length, zlib.crc32(rest)) + rest


def unpack(data: bytes, known: Mapping[bytes, bool]) -> dict[bytes, Span]:
    """Header and table checked; where each section lies, by tag. ``known``: tags and whether they are required.

    Raises:
        ModelFileError: no model file, another version, damaged, or with a required section that is not known.
    """
    need(data[:4] == records.MAGIC, "magic", 0, f"is {data[:4]!r}, expected {records.MAGIC!r}: not a model file")
    need(len(data) >= records.HEADER.size, "header", len(data), f"file ends, expected {records.HEADER.size} bytes")
    _, version, count, length, crc = records.HEADER.unpack_from(data)
    hint = ": of an older ditmos, export the model again" if version < records.VERSION else ""
    need(version == records.VERSION, "version", 4, f"is {version}, expected {records.VERSION}{hint}")
    need(length == len(data), "length", 8, f"is {length}, but the file has {len(data)} bytes")
    need(count <= MAX_SECTIONS, "sections", 6, f"is {count}, expected at most {MAX_SECTIONS}")
    table_end = records.HEADER.size + count * records.SECTION.size
    need(table_end <= length, "sections", 6, f"is {count}, but the table does not fit into {length} bytes")
    actual = zlib.crc32(memoryview(data)[records.CRC_START :])
    need(crc == actual, "crc", 12, f"is {crc:#010x}, but the contents have {actual:#010x}")
    return places(data[records.HEADER.size : table_end], length, known)


def places(table: bytes, length: int, known: Mapping[bytes, bool]) -> dict[bytes, Span]:
    """The second half of `unpack`: from the table of sections of a file of ``length`` bytes."""
    sections: dict[bytes, Span] = {}
    taken: list[Span] = []
    table_end = records.HEADER.size + len(table)
    for i, (tag, begin, size, flags) in enumerate(records.SECTION.iter_unpack(table)):
        at = records.HEADER.size + i * records.SECTION.size
        need(set(tag) <= _TAG_BYTES, "section tag", at, f"is {tag!r}, expected capital letters and digits")
        name = f"section {tag.decode()}"
        need(begin % 4 == 0, f"{name} offset", at + 4, f"is {begin}, expected a multiple of 4")
        need(table_end <= begin <= length, f"{name} offset", at + 4, f"is {begin}, expected {table_end} to {length}")
        need(size <= length - begin, f"{name} length", at + 8, f"is {size}, beyond the end at {length}")
        clash = any(begin < other.end and other.begin < begin + size for other in taken)
        need(not clash, f"{name} offset", at + 4, f"is {begin}: overlaps another section")
        need(flags <= records.REQUIRED, f"{name} flags", at + 12, f"is {flags}, expected 0 or 1")
        required = flags == records.REQUIRED
        if tag in known:
            need(required == known[tag], f"{name} flags", at + 12, f"is {flags}, expected {int(known[tag])}")
            need(tag not in sections, name, at, "appears twice")
        else:
            need(not required, name, at, "is needed for this model's answers and not known here: update ditmos")
        taken.append(Span(begin, size))
        sections[tag] = taken[-1]
    return sections
