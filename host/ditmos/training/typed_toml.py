"""TOML tables as dataclasses, and back: unknown keys and values of a wrong type are refused by name."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ditmos.errors import DitmosError
from ditmos.text import read_text


def read(file: Path) -> dict[str, Any]:
    """Raises DitmosError for a file that is not there, or no TOML."""
    try:
        return tomllib.loads(read_text(file)[0])
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DitmosError(f"{file}: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key; anything else in ``over`` replaces what is in ``base``."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if both else value
    return result


def paths(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of all values."""
    found = []
    for key, value in table.items():
        found += paths(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return found


def convert(value: Any, kind: Any, where: str, key: str = "") -> Any:
    """``value`` from TOML as ``kind``: a dataclass, mapping, tuple, union, literal or scalar. Raises DitmosError."""

    def wrong(expected: str) -> DitmosError:
        return DitmosError(f"{where}{key and ': '}{key} is {value!r}, expected {expected}")

    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise wrong("a table")
        hints, prefix = get_type_hints(kind), f"{key}." if key else ""
        unknown = [name for name in value if name not in hints]
        if unknown:
            raise DitmosError(f"{where}: unknown key {prefix}{unknown[0]}, expected one of {', '.join(hints)}")
        items = {name: convert(item, hints[name], where, prefix + name) for name, item in value.items()}
        try:
            return kind(**items)
        except TypeError:
            missing = [f.name for f in fields(kind) if f.name not in items and _required(f)]
            raise DitmosError(f"{where}: {prefix}{missing[0]} missing") from None
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else convert(value, args[0], where, key)
    if origin is Literal:
        if value not in args:
            raise wrong(f"one of {', '.join(map(str, args))}")
        return value
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise wrong("a table")
        return dict(value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise wrong("a list")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise wrong(f"a list of {len(args)}")
        return tuple(convert(item, args[0], where, f"{key}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise wrong({int: "an integer", float: "a number", str: "a string", bool: "true or false"}[kind])
    return value


def check_ranges(config: Any, ranges: Mapping[str, Sequence[str]], where: str) -> None:
    """``ranges``: expected range (a key of `RANGES`) -> dotted keys of ``config``. Raises DitmosError."""
    for expected, keys in ranges.items():
        for key in keys:
            value = config
            for name in key.split("."):
                value = getattr(value, name)
            if not RANGES[expected](value):
                raise DitmosError(f"{where}{key} is {value!r}, expected {expected}")


RANGES: dict[str, Callable[[float], bool]] = {
    "0 or more": lambda n: 0 <= n < math.inf,
    "1 or more": lambda n: 1 <= n < math.inf,
    "2 or more": lambda n: 2 <= n < math.inf,
    "0, or 2 or more": lambda n: n == 0 or 2 <= n < math.inf,
    "a number above 0": lambda n: 0 < n < math.inf,
    "0 to below 1": lambda n: 0 <= n < 1,
    "0 to 1": lambda n: 0 <= n <= 1,
    "above 0, to 1": lambda n: 0 < n <= 1,
}


def _required(item: Field) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def render(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """A table as TOML: its values first, then its tables; None is left out."""
    lines = [f"[{'.'.join(path)}]"] if path else []
    lines += [f"{k} = {_literal(v)}" for k, v in table.items() if v is not None and not isinstance(v, Mapping)]
    blocks = ["\n".join(lines)] if lines else []
    blocks += [render(value, (*path, key)).rstrip() for key, value in table.items() if isinstance(value, Mapping)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_literal(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)  # strings, numbers and booleans are written alike
