"""Which files there are, and which reader takes each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ditmos.datasets.importers import arrays, delimited, e4, edf, edge_impulse, sound
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording
from ditmos.errors import DitmosError

_ADVICE = {
    ".zip .gz .7z .rar .tar .tgz .xz .bz2": "unpack it first",
    ".xlsx .xls .xlsm .ods .numbers": "save its table as CSV",
    ".cbor": "have it written as JSON",
    ".h5 .hdf5 .parquet .feather .pkl .pickle .pt": "save its table as .npz or CSV",
    ".mp3 .m4a .aac .amr .mp4": "convert it to WAV",
}

Reader = Callable[[Path, Options], list[Recording]]


@dataclass(frozen=True)
class Found:
    """A file, or a folder that is one recording. named: the user wrote its name, so it must be readable."""

    path: Path
    reader: Reader
    named: bool


def readers() -> dict[str, Reader]:
    """Readers by suffix, in lower case."""
    formats = (delimited, sound, arrays, edf, edge_impulse)
    return {suffix: module.read for module in formats for suffix in module.SUFFIXES}


def find(paths: Sequence[Path], labels: Path | None = None) -> tuple[list[Found], list[Path]]:
    """Everything that can be read below ``paths``, in order, and the files that no reader takes.

    labels: a file of labels, which is no recording.

    Raises:
        DitmosError: no such file, or a file of an unknown kind that was named.
    """
    known = readers()
    found: list[Found] = []
    unknown: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DitmosError(f"{path}: no such file or folder")
        if path.is_file():
            reader = known.get(path.suffix.lower())
            if reader is None:
                raise DitmosError(f"{path}: {no_reader(path)}, expected one of {', '.join(sorted(known))}")
            found.append(Found(path, reader, True))
            continue
        if e4.is_recording(path):
            found.append(Found(path, e4.read, True))
            continue
        _walk(path, known, found, unknown)
    if labels is not None and labels.exists():
        found = [item for item in found if not item.path.samefile(labels)]
    once = {item.path.resolve(): item for item in reversed(found)}  # a file that was named twice is one recording
    return [item for item in found if once[item.path.resolve()] is item], unknown


def no_reader(path: Path) -> str:
    """Why a file is not read, and what to do."""
    suffix = path.suffix.lower()
    for suffixes, advice in _ADVICE.items():
        if suffix in suffixes.split():
            return f"no reader for '{suffix}': {advice}"
    return f"no reader for '{path.suffix or path.name}'"


def _walk(folder: Path, known: dict[str, Reader], found: list[Found], unknown: list[Path]) -> None:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_MACOSX", "__MACOSX")):
            continue
        if path.is_dir() and e4.is_recording(path):
            found.append(Found(path, e4.read, False))
        elif path.is_dir():
            _walk(path, known, found, unknown)
        elif reader := known.get(path.suffix.lower()):
            found.append(Found(path, reader, False))
        else:
            unknown.append(path)
