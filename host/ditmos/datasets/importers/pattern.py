"""Label, subject, take, sensor and part of the split from the path of a file: by a pattern, or by a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ditmos.errors import DitmosError

FIELDS = ("label", "subject", "take", "sensor", "split")
_FIELD = re.compile(r"\{(\w*)\}|(\*)")
_SUBJECT = re.compile(
    r"(?:^|(?<=[/_\-. ]))((?:s|sub|subj|subject|p|person|u|user|participant|volunteer)[_\- ]?\d+)(?=$|[/_\-. ])",
    re.I,
)
_BREAK = re.compile(r"[_\-. ]+")


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
        found = self._expression.fullmatch(PurePath(path).as_posix())
        return found.groupdict() if found else None


def guess(paths: Sequence[str]) -> tuple[list[dict[str, str]], str]:
    """Fields of each path, and in words where they were found.

    subject: a part like S01, user3 or subject_12. label: the innermost folder that is no subject and has two or more
    names; without one, the first word of the file's name. take: what is left of the file's name.
    """
    parts = [PurePath(path).parts for path in paths]
    subjects = [_SUBJECT.search(PurePath(path).as_posix()) for path in paths]
    fields: list[dict[str, str]] = [{} for _ in paths]
    said = []
    if all(subjects):
        for field, match in zip(fields, subjects, strict=True):
            field["subject"] = match[1]  # type: ignore[index]
        said.append(f"subject by names like '{subjects[0][1]}'")  # type: ignore[index]
    depth = min(len(part) for part in parts)
    for level in range(2, depth + 1):
        names = [part[-level] for part in parts]
        if 1 < len(set(names)) < max(len(paths), 3) and not any(_SUBJECT.fullmatch(name) for name in names):
            for field, name in zip(fields, names, strict=True):
                field["label"] = name
            said.insert(0, "label by folder" if level == 2 else f"label by folder, {level - 1} up")
            return fields, ", ".join(said)
    words = [_words(part[-1]) for part in parts]
    for place in range(min(len(w) for w in words)):
        names = [w[place] for w in words]
        few = len(set(names)) <= max(len(paths) / 2, 2) or all(len(w) == 1 for w in words)  # or: a file a class
        if len(set(names)) > 1 and few and all(re.match(r"[^\W\d]", n) for n in names):
            for field, name in zip(fields, names, strict=True):
                field["label"] = name
            said.insert(0, f"label by word {place + 1} of the file's name")
            break
    return fields, ", ".join(said)


def _words(name: str) -> list[str]:
    """Words of a file's name, subjects left out, numbers at a word's end cut off: walk2_S01.csv gives walk."""
    stem = _SUBJECT.sub("", name.rsplit(".", 1)[0] if "." in name else name)
    return [re.sub(r"(?<=[^\W\d])\d+$", "", word) for word in _BREAK.split(stem) if word]
