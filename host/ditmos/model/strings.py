"""Names in a model file: UTF-8 without control characters, each ended by a zero byte."""

from __future__ import annotations

from collections.abc import Iterable

from ditmos.errors import DitmosError
from ditmos.model.container import ModelFileError, Span, need
from ditmos.text import has_control


def check_name(what: str, name: str) -> None:
    """Raises DitmosError for a name that a model file does not hold."""
    if has_control(name):
        raise DitmosError(f"model: {what} {name!r} has a control character: rename it in the dataset")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DitmosError(f"model: {what} {name!r} is no Unicode text: rename it in the dataset") from None


def write_names(names: Iterable[str]) -> bytes:
    return b"".join(name.encode() + b"\0" for name in names)


def read_names(data: bytes, span: Span, count: int, field: str) -> tuple[str, ...]:
    """Exactly ``count`` names that fill the span. Raises ModelFileError."""
    raw = data[span.begin : span.end]
    need(raw.count(b"\0") == count, field, span.begin, f"holds {raw.count(0)} names, expected {count}")
    need(raw.endswith(b"\0"), field, span.begin, "the last name does not end")
    try:
        names = tuple(part.decode() for part in raw.split(b"\0")[:-1])
    except UnicodeDecodeError as error:
        raise ModelFileError(field, span.begin, f"is not UTF-8: {error.reason}") from None
    for name in names:
        need(not has_control(name), field, span.begin, f"{name!r} has a control character")
    return names
