"""Libraries that read the formats: installed with an extra, asked for where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ditmos.errors import DitmosError
from ditmos.extras import extra_of, how_to_get


def need(module: str, what: str) -> ModuleType:
    """The module. Raises DitmosError naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        bring = how_to_get(extra_of(module) or "import")
        raise DitmosError(f"{what} need {module.split('.')[0]} ({error}): {bring}") from None
