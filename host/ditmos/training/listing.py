"""Every setting with its default and what it means, as a TOML file that `--config` takes: `ditmos train --settings`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from ditmos.training.typed_toml import render

_WIDTH = 100
_HEAD = """\
# All settings with their defaults. --config FILE.toml takes some of them; what it leaves out is chosen by looking at
# the data: RUN/settings.toml then says how.

"""


def listing(*tables: tuple[type, str]) -> str:
    """``tables``: dataclasses whose fields all have a default, and the name of the table that each one is; "" for the
    top."""
    return _HEAD + "\n".join(block for kind, name in tables for block in _blocks(kind, kind(), name))


def _blocks(kind: type, value: Any, name: str) -> Iterator[str]:
    hints, own, inner = get_type_hints(kind), {}, []
    for field in fields(kind):
        given = getattr(value, field.name)
        if isinstance(hints[field.name], type) and is_dataclass(hints[field.name]):
            inner.append((hints[field.name], given, f"{name}.{field.name}".lstrip(".")))
        elif given != {}:  # a table of its own
            own[field.name] = given
    text = [textwrap.fill(part, _WIDTH - 2) for part in inspect.cleandoc(kind.__doc__ or "").split("\n\n")]
    said = "".join(f"# {line}".rstrip() + "\n" for line in "\n\n".join(text).splitlines())
    yield said + (f"[{name}]\n" if name else "") + (render(own) if own else "")
    for deeper, given, path in inner:
        yield from _blocks(deeper, given, path)
