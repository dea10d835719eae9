"""`python -m ditmos.frontends.constants FILE`: the constants of a spectrum in C, cmodule/spectrum_tables.c."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from ditmos import atomic
from ditmos.frontends.integers import LOG_TABLE, LONGEST, TURN_IM, TURN_RE

_HEAD = """// Written by `python -m ditmos.frontends.constants`: what is in here and why, spectrum.h says.
#include "spectrum.h"
"""


def source() -> str:
    """The text of the file."""
    quarter = LONGEST // 4 + 1
    turns = (int(part[j]) for j in range(quarter) for part in (TURN_RE, TURN_IM))
    return "\n".join(
        (_HEAD, *_array("int32_t ditmos_turns", turns), "", *_array("uint32_t ditmos_logs", map(int, LOG_TABLE)), "")
    )


def _array(name: str, values: Iterable[int]) -> list[str]:
    texts = ["INT32_MIN" if v == -(2**31) else str(v) for v in values]
    rows = [f"    {', '.join(texts[i : i + 8])}," for i in range(0, len(texts), 8)]
    return [f"const {name}[{len(texts)}] = {{", *rows, "};"]


if __name__ == "__main__":
    atomic.write(Path(sys.argv[1]), source().encode())
