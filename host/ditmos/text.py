"""Text whatever wrote it: UTF-8 and UTF-16 with and without a mark, Windows, Latin-1; control characters."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from ditmos.errors import DitmosError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def guess_encoding(raw: bytes) -> str:
    """The encoding of ``raw``: its byte order mark, else zeros at every other byte, else what decodes."""
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name
    head = raw[:4096]
    if b"\0" in head:
        half = len(head) // 2
        for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if head[first::2].count(0) > 0.7 * half and head[1 - first :: 2].count(0) == 0:
                return name
        return "binary"
    for name in ("utf-8", "cp1252"):
        try:
            raw.decode(name)
            return name
        except UnicodeDecodeError:
            continue
    return "latin-1"


def read_text(path: Path, encoding: str | None = None) -> tuple[str, str]:
    """The file's text and its encoding, guessed unless given. Lines end in ``\\n``.

    Raises:
        DitmosError: it cannot be read, or is no text in that encoding.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read ({error.strerror or error})") from None
    filled = raw.rstrip(b"\0")
    if filled and len(raw) - len(filled) > 3 and b"\0" not in filled:
        raw = filled  # a logger made the file longer than what came to be in it
    name = encoding or guess_encoding(raw)
    try:
        text = raw.decode(name)
    except LookupError:
        if encoding is None:
            raise DitmosError(f"{path}: not text (zero bytes)") from None
        raise DitmosError(f"encoding is {encoding!r}, expected one like utf-8, utf-16 or latin-1") from None
    except UnicodeDecodeError as error:
        raise DitmosError(f"{path}: not {name} at byte {error.start}; try another --encoding") from None
    if not text.isascii():  # letters with marks as one character, whatever the writer's system makes of them
        text = unicodedata.normalize("NFC", text)
    return text.replace("\r\n", "\n").replace("\r", "\n"), name


def has_control(text: str) -> bool:
    """Whether one of Unicode's control characters (category Cc) is in ``text``."""
    return _CONTROL.search(text) is not None
