"""What an import found, guessed and left out, ready to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets.dataset import Dataset

Progress = Callable[[str, int, int], None]  # a stage, how much of it is done, of how much


@dataclass
class Report:
    """guesses: what was guessed, in words. notes: text to the recordings it is true of. dropped: reason to the files
    left out. lost: reason to seconds of recordings that are in no window. subjects: number in the set to name."""

    guesses: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    lost: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    subjects: dict[int, str] = field(default_factory=dict)
    recordings: int = 0
    takes: int = 0
    padded: int = 0
    first_rows: list[list[float]] = field(default_factory=list)

    def note(self, text: str, where: str) -> None:
        self.notes.setdefault(text, []).append(where)

    def drop(self, reason: str, where: str) -> None:
        self.dropped.setdefault(reason, []).append(where)

    def lines(self) -> list[str]:
        """What was put right or left out, a line each."""
        result = []
        for text, where in self.notes.items():
            everywhere = len(where) >= self.recordings
            result.append(text if everywhere else f"{text} ({_files(where)})")
        for reason, where in self.dropped.items():
            result.append(f"left out: {_files(where)}: {reason}")
        for reason, seconds in self.lost.items():
            if seconds > 0:
                result.append(f"in no window: {seconds:.4g} s {reason}")
        if self.padded:
            result.append(f"{self.padded} recordings are shorter than a window, and were filled up")
        return result

    def summary(self, dataset: Dataset) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "per_" + what: {
                name: {"windows": windows, other: number, "takes": takes} for name, windows, number, takes in rows
            }
            for (what, rows), other in zip(counts(dataset, self.subjects), ("people", "classes"), strict=True)
        } | {
            "guesses": self.guesses,
            "notes": self.notes,
            "dropped": self.dropped,
            "seconds_in_no_window": {k: round(v, 3) for k, v in self.lost.items() if v > 0},
            "subjects": {str(k): v for k, v in self.subjects.items()},
            "takes": self.takes,
            "padded": self.padded,
        }


def _files(where: list[str]) -> str:
    return where[0] if len(where) == 1 else f"{len(where)} recordings, the first is {where[0]}"


def counts(dataset: Dataset, names: dict[int, str]) -> list[tuple[str, list[tuple[str, int, int, int]]]]:
    """Of each class: its name, windows, people, takes; of each person: the name, windows, classes, takes."""

    def rows(key: NDArray, other: NDArray, called: dict[int, str]) -> list[tuple[str, int, int, int]]:
        result = []
        for value in np.unique(key):
            mine = key == value
            sizes = (int(mine.sum()), len(np.unique(other[mine])), len(np.unique(dataset.group[mine])))
            result.append((called.get(int(value), str(value)), *sizes))
        return result

    classes = rows(dataset.y, dataset.subject, dict(enumerate(dataset.class_names)))
    people = rows(dataset.subject, dataset.y, names)
    return [("class", classes), ("person", people)]
