"""Recordings from sound files: WAV of 8 to 32 bits and float, mono or more, also with a header that lies; FLAC, OGG."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal
from ditmos.errors import DitmosError

SUFFIXES = (".wav", ".wave", ".flac", ".ogg")
_SIXTEEN = (
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "ULAW",
    "ALAW",
    "IMA_ADPCM",
    "MS_ADPCM",
    "GSM610",
)  # hold no more than 16 bits
_BLOCK = 1 << 18  # samples
_NAMES = {1: ("mic",), 2: ("left", "right")}


def read(path: Path, options: Options) -> list[Recording]:
    """One recording, in parts of the full scale: 16 bits and less as counts, more as real numbers.

    Raises:
        DitmosError: not sound, or no samples in it.
    """
    soundfile = need("soundfile", "sound files")
    try:
        raw, notes = _mended(path.read_bytes())
        with soundfile.SoundFile(io.BytesIO(raw)) as file:
            kind, rate, counts = file.subtype, float(file.samplerate), file.subtype in _SIXTEEN
            samples = np.concatenate([*_blocks(file, "int16" if counts else "float64")])
    except OSError as error:
        raise DitmosError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (RuntimeError, ValueError, TypeError) as error:  # of which soundfile's own is one
        raise DitmosError(f"{path}: no sound in it ({str(error).rpartition(': ')[2]})") from None
    if not len(samples):
        raise DitmosError(f"{path}: no samples in it")
    if not np.isfinite(samples).all():
        notes.append("has samples that are no numbers")
    channels = samples.shape[1]
    signal = Signal(
        samples=samples,
        channels=_NAMES.get(channels, tuple(f"channel_{i + 1}" for i in range(channels))),
        units=("full scale",) * channels,
        rate=rate,
        scale=1 / 32768 if counts else None,
    )
    about = f"{kind}, {rate:g} Hz, {'mono' if channels == 1 else f'{channels} channels'}"
    return [Recording(str(path), "sound", (signal,), notes=(about, *notes))]


def _blocks(file: Any, dtype: str) -> Iterator[NDArray]:
    """What there is, not what the header says there is: a damaged one may say terabytes."""
    yield file.read(0, dtype=dtype, always_2d=True)
    while len(block := file.read(_BLOCK, dtype=dtype, always_2d=True)):
        yield block


def _mended(raw: bytes) -> tuple[bytes, list[str]]:
    """A WAV whose data chunk says a length that is not so (0, or more than there is) with the length that is so."""
    if raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        return raw, []
    at, align = 12, 1
    while at + 8 <= len(raw):
        name, size = raw[at : at + 4], struct.unpack_from("<I", raw, at + 4)[0]
        if name == b"fmt " and at + 22 <= len(raw):
            align = max(1, struct.unpack_from("<H", raw, at + 20)[0])
        if name == b"data":
            there = len(raw) - at - 8
            if size > there or (size == 0 and there):
                whole = there - there % align
                mended = raw[: at + 4] + struct.pack("<I", whole) + raw[at + 8 : at + 8 + whole]
                said = "is cut off: its header says more samples than there are" if size and size < 0xFFFFFF00 else ""
                return mended, [said or "has no length in its header: read to the end"]
            return raw, []
        at += 8 + size + size % 2
    return raw, []
