"""Label, subject, take, sensor and part of the split from the path of a file: by a pattern, or by a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePath

from ditmos.errors import DitmosError

FIELDS = ("label", "subject", "take", "sensor", "split")
_FIELD = re.compile(r"\{(\w*)\}|(\*)")
_SUBJECT = re.compile(
    r"(?:^|(?<=[/_\-. ]))((?:s|sub|subj|subject|p|person|u|user|participant|volunteer)[_\- ]?\d+)(?=$|[/_\-. ])",
    re.I,
)
_BREAK = re.compile(r"[_\-. ]+")
_SENSOR = re.compile(
    r"(?:(?<=^)|(?<=[/_\-. ]))((?:linear|total|body|user|raw)?[ _]?(?:acc|accel|accelerometer|acceleration|gyr|gyro|"
    r"gyroscope|mag|magnetometer|gravity|orientation|barometer|pressure|emg|ecg|eda|ppg))(?=$|[/_\-. ])",
    re.I,
)
SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "dev": "validation"}
SPLITS |= {"validation": "validation", "test": "test", "testing": "test"}


class Pattern:
    """``{label}/{subject}_{take}.csv``: names in braces match what is there, ``{}`` and ``*`` anything, within one part
    of the path. It is held against the end of the path, in any case of the letters.

    Raises:
        DitmosError: a name in braces that is none of `FIELDS`, or twice the same.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        names = [name for name, _ in _FIELD.findall(text) if name]
        for name in names:
            if name not in FIELDS:
                raise DitmosError(f"pattern {text!r}: {{{name}}} is none of {', '.join(FIELDS)}")
            if names.count(name) > 1:
                raise DitmosError(f"pattern {text!r}: {{{name}}} stands there twice")
        self.names = tuple(names)
        expression, end = "", 0
        for match in _FIELD.finditer(text):
            expression += re.escape(text[end : match.start()])
            expression += f"(?P<{match[1]}>[^/]+)" if match[1] else "[^/]*"
            end = match.end()
        self._expression = re.compile(f"(?:.*/)?{expression}{re.escape(text[end:])}", re.I)

    def match(self, path: PurePath | str) -> dict[str, str] | None:
        """The names' values; None where the path is not of this form."""
        found = self._expression.fullmatch(_composed(path))
        return found.groupdict() if found else None


def guess(paths: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Fields of each path, and in words where they were found.

    sensor: a word like acc or Gyroscope, where paths are the same but for it. split: a folder named train, test or the
    like. subject: a part like S01, user3 or subject_12. label: the innermost folder that is no subject and has two or
    more names; without one, the first word of the file's name. take: the path without the sensor, where there is one.
    """
    paths = [_composed(path) for path in paths]
    sensors = _sensors(paths)
    whole = [_without(path, sensor) for path, sensor in zip(paths, sensors, strict=True)]
    once = [*dict.fromkeys(whole)]
    found, said = _guess_each(once)
    known = dict(zip(once, found, strict=True))
    fields = [dict(known[path]) for path in whole]
    for field, path, sensor in zip(fields, whole, sensors, strict=True):
        if sensor:
            field |= {"sensor": sensor, "take": path}
    if any(sensors):
        said.append(f"sensor by names like '{next(filter(None, sensors))}'")
    return fields, said


def _composed(path: PurePath | str) -> str:
    """Letters with marks as one character, whatever the system that wrote the name makes of them."""
    return unicodedata.normalize("NFC", PurePath(path).as_posix())


def _sensors(paths: Sequence[str]) -> list[str]:
    """The sensor of each path, "" for none. It must be one of two or more of most takes, and once in each."""
    words = [[*_SENSOR.finditer(path.rpartition(".")[0] or path)][-1:] for path in paths]
    sensors = [match[0][1] if match else "" for match in words]
    named = sorted((_without(path, sensor), sensor) for path, sensor in zip(paths, sensors, strict=True) if sensor)
    takes = [[sensor.lower() for _, sensor in take] for _, take in groupby(named, key=lambda item: item[0])]
    joined = sum(len(take) > 1 for take in takes)
    once = all(len(set(take)) == len(take) for take in takes)
    return sensors if takes and once and joined > len(takes) / 2 else [""] * len(paths)


def _without(path: str, sensor: str) -> str:
    """The path without that word; the folder is the file's name where nothing else is."""
    if not sensor:
        return path
    folder, _, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if sensor in stem:
        rest = stem.replace(sensor, "").strip("_-. ")
        return "/".join(filter(None, [folder, f"{rest}{dot}{suffix}"])) if rest else f"{folder}{dot}{suffix}"
    return path.replace(sensor, "").replace("//", "/")


def _guess_each(paths: Sequence[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Split, subject and label."""
    parts = [PurePath(path).parts for path in paths]
    subjects = [_SUBJECT.search(path) for path in paths]
    fields: list[dict[str, str]] = [{} for _ in paths]
    said: list[str] = []
    if all(subjects):
        for field, match in zip(fields, subjects, strict=True):
            field["subject"] = match[1]  # type: ignore[index]
        said.append(f"subject by names like '{subjects[0][1]}'")  # type: ignore[index]
    depth = min(len(part) for part in parts)
    levels = [*range(2, depth + 1)]
    for level in [*levels]:
        names = [part[-level] for part in parts]
        if len(set(names)) > 1 and all(name.lower() in SPLITS for name in names):
            for field, name in zip(fields, names, strict=True):
                field["split"] = name
            said.append(f"split by folders like '{names[0]}'")
            levels.remove(level)
    for level in levels:
        names = [part[-level] for part in parts]
        if 1 < len(set(names)) < max(len(paths), 3) and not any(_SUBJECT.fullmatch(name) for name in names):
            for field, name in zip(fields, names, strict=True):
                field["label"] = name
            said.insert(0, "label by folder" if level == 2 else f"label by folder, {level - 1} up")
            return fields, said
    words = [_words(part[-1]) for part in parts]
    for place in range(min(len(w) for w in words)):
        names = [w[place] for w in words]
        few = len(set(names)) <= max(len(paths) / 2, 2) or all(len(w) == 1 for w in words)  # or: a file a class
        if len(set(names)) > 1 and few and all(re.match(r"[^\W\d]", n) for n in names):
            for field, name in zip(fields, names, strict=True):
                field["label"] = name
            said.insert(0, f"label by word {place + 1} of the file's name")
            break
    return fields, said


def _words(name: str) -> list[str]:
    """Words of a file's name, subjects left out, numbers at a word's end cut off: walk2_S01.csv gives walk."""
    stem = _SUBJECT.sub("", name.rsplit(".", 1)[0] if "." in name else name)
    return [re.sub(r"(?<=[^\W\d])\d+$", "", word) for word in _BREAK.split(stem) if word]
