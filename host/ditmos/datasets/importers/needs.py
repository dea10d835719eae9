"""Libraries that read the formats: installed with an extra, asked for where they are used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ditmos.errors import DitmosError


def need(module: str, what: str, extra: str = "import") -> ModuleType:
    """The module. Raises DitmosError naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise DitmosError(f'{what} need {module.split(".")[0]} ({error}): pip install "ditmos[{extra}]"') from None
