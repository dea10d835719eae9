"""Recordings from EDF and BDF: each signal at its own rate, annotations that last as labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ditmos.datasets.importers.needs import need
from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording, Signal, Span
from ditmos.errors import DitmosError
from ditmos.model.conversion import plain

SUFFIXES = (".edf", ".bdf")


def read(path: Path, options: Options) -> list[Recording]:
    """One recording, in physical units; times are seconds from its start.

    Raises:
        DitmosError: not a file of that form, or one with interruptions.
    """
    pyedflib = need("pyedflib", "EDF and BDF files")
    try:
        with pyedflib.EdfReader(str(path)) as file:
            signals, rates = [], file.getSampleFrequencies()
            labels = [label.strip() or str(i + 1) for i, label in enumerate(file.getSignalLabels())]
            units = [plain(file.getPhysicalDimension(i)) for i in range(len(labels))]
            for rate in dict.fromkeys(rates):
                index = [i for i, own in enumerate(rates) if own == rate]
                samples = np.column_stack([file.readSignal(i) for i in index])
                names, own = tuple(labels[i] for i in index), tuple(units[i] for i in index)
                signals.append(Signal(samples, names, own, rate=float(rate)))
            spans = [
                Span(float(start), float(start) + float(length), str(text).strip())
                for start, length, text in zip(*file.readAnnotations(), strict=True)
                if length > 0
            ]
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise DitmosError(f"{path}: not a readable EDF or BDF file ({error})") from None
    if not signals:
        raise DitmosError(f"{path}: no signals in it")
    about = f"{path.suffix[1:].upper()}, {len(labels)} signals, {', '.join(f'{s.rate:g}' for s in signals)} Hz"
    said = (f"{len(spans)} annotations that last are its labels",) if spans else ()
    return [Recording(str(path), "edf", tuple(signals), spans=tuple(spans), notes=(about, *said))]
