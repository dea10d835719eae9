"""Speech Commands (Warden, arXiv:1804.03209, 2018) and sets of that form: a folder of WAV files for each word.

``yes/0a7c2a8d_nohash_0.wav``: word, speaker, repetition, one second at 16 kHz. ``validation_list.txt`` and
``testing_list.txt`` name the files of these parts. Sounds of the surroundings (``_background_noise_``) have other names
and stay out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

from ditmos.datasets.importers.options import Options
from ditmos.datasets.importers.recording import Recording
from ditmos.datasets.importers.report import Report

OPTIONS = Options(pattern="{label}/{subject}_nohash_{take}.wav", window="1s", hop="1s", pad="zero")
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def finish(folder: Path, recordings: list[Recording], report: Report) -> list[Recording]:
    """The recordings with the split of the lists, where the folder has both."""
    if not all((folder / name).is_file() for name in _LISTS.values()):
        report.guesses.append("no validation_list.txt and testing_list.txt: the split is drawn anew")
        return recordings
    part = {
        line.strip(): split
        for split, name in _LISTS.items()
        for line in (folder / name).read_text("utf-8").splitlines()
        if line.strip()
    }
    return [
        replace(recording, split=part.get("/".join(PurePath(recording.path).parts[-2:]), "train"))
        for recording in recordings
    ]
