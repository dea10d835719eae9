"""Recordings from EDF and BDF: each signal at its own rate, annotations that last as labels."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal, Span
from ditmos.errors import DitmosError
from ditmos.model.conversion import plain

SUFFIXES = (".edf", ".bdf")
_MARKS = re.compile(r"status|trig(ger)?|stim(ulus)?|markers?|events?", re.I)  # what was done, not what was measured


def read(path: Path, options: Options) -> list[Recording]:
    """One recording, in physical units; times are those of its start, as unix seconds.

    Raises:
        DitmosError: not a file of that form, or one with interruptions.
    """
    pyedflib = need("pyedflib", "EDF and BDF files")
    try:
        _check_size(path)
        with pyedflib.EdfReader(str(path)) as file:
            signals, rates, start = [], file.getSampleFrequencies(), _start(file)
            labels = [label.strip() or str(i + 1) for i, label in enumerate(file.getSignalLabels())]
            units = [plain(file.getPhysicalDimension(i)) for i in range(len(labels))]
            marks_too = [i for i, label in enumerate(labels) if _MARKS.fullmatch(label) and not options.columns]
            for rate in dict.fromkeys(rates):
                index = [i for i, own in enumerate(rates) if own == rate and i not in marks_too]
                if not index:
                    continue
                samples = np.column_stack([file.readSignal(i) for i in index])
                names, own = tuple(labels[i] for i in index), tuple(units[i] for i in index)
                signals.append(Signal(samples, names, own, rate=float(rate), start=start))
            marks = [*zip(*file.readAnnotations(), strict=True)]
            spans = [
                Span(start + float(at), start + float(at) + float(length), str(text).strip())
                for at, length, text in marks
                if length > 0
            ]
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise DitmosError(f"{path}: not a readable EDF or BDF file ({error})") from None
    if not signals:
        raise DitmosError(f"{path}: no signals in it")
    about = f"{path.suffix[1:].upper()}, {len(labels)} signals, {', '.join(f'{s.rate:g}' for s in signals)} Hz"
    said: tuple[str, ...] = (f"{len(spans)} annotations that last are its labels",) if spans else ()
    if marks_too:
        said = (*said, f"channel {', '.join(labels[i] for i in marks_too)} left out: marks, not a signal (--columns)")
    moments = len(marks) - len(spans)
    if moments:
        said = (*said, f"{moments} annotations have no length, and label nothing")
    return [Recording(str(path), "edf", tuple(signals), spans=tuple(spans), notes=(about, *said))]


def _start(file: Any) -> float:
    """Seconds since 1970 of what the header says, in the recorder's time zone; 0 where it says no date."""
    try:
        begin = file.getStartdatetime()
    except ValueError:
        return 0.0
    return begin.replace(tzinfo=UTC).timestamp() if begin.year > 1985 else 0.0


def _check_size(path: Path) -> None:
    """Raises DitmosError where the file has another size than its header says, of which the library prints a line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(256)
        try:
            records, signals, head = int(raw[236:244]), int(raw[252:256]), int(raw[184:192])
            counts = file.read(256 * max(0, signals))[216 * signals : 224 * signals]
            samples = sum(int(counts[i : i + 8]) for i in range(0, 8 * signals, 8))
        except ValueError:
            return  # the library says what is wrong
    expected = head + records * samples * (3 if raw[0] == 255 else 2)
    if expected != size:
        raise DitmosError(f"{path}: {size} bytes, its header says {expected}: cut off, or damaged")
