"""Versions of a policy: files, numbered from 1, that are never changed."""

from __future__ import annotations

import re
from pathlib import Path

from ditmos import atomic
from ditmos.errors import DitmosError
from ditmos.model.policy import Policy, parse_policy
from ditmos.text import read_text

_DRAFT = "draft.py"
START = '''"""A routing policy: policy(model, window) -> (label, who). The same file runs here and on the board."""

from ditmos import routing


def policy(model, window):
    logits = model.select(window)
    k = routing.chosen(model, logits)
    return routing.best(model.classify(k)), k
'''


class Versions:
    """In a folder, which is made when the first one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def numbers(self) -> list[int]:
        found = (re.fullmatch(r"(\d{4})\.py", path.name) for path in self.folder.glob("*.py"))
        return sorted(int(match[1]) for match in found if match)

    def path(self, number: int) -> Path:
        return self.folder / f"{number:04d}.py"

    def text(self, number: int) -> str:
        """Raises DitmosError where there is no such version."""
        return read_text(self.path(number))[0]

    def keep(self, text: str) -> int:
        """The number of this text: that of the version which is the same, or a new one."""
        numbers = self.numbers()
        for number in reversed(numbers):
            if self.text(number) == text:
                return number
        number = max(numbers, default=0) + 1
        atomic.write(self.path(number), text.encode())
        return number

    def policy(self, number: int, expression: str = "policy") -> Policy:
        """Raises DitmosError: no such version, no Python, no such expression."""
        return self.of_file(self.path(number), expression)

    @staticmethod
    def of_file(path: Path, expression: str = "policy") -> Policy:
        """The same of any file."""
        return parse_policy(f"{path}:{expression or 'policy'}")

    def latest(self) -> str:
        """What a page begins with: what was written last, on the board or not."""
        draft, numbers = self.folder / _DRAFT, self.numbers()
        last = self.path(numbers[-1]) if numbers else None
        if draft.exists() and (last is None or draft.stat().st_mtime_ns > last.stat().st_mtime_ns):
            return read_text(draft)[0]
        return read_text(last)[0] if last else START

    def draft(self, text: str) -> Path:
        """Where a text lies that is no version yet; the next one takes its place."""
        path = self.folder / _DRAFT
        atomic.write(path, text.encode())
        return path


def line_of(error: BaseException, path: Path) -> int | None:
    """The line of a policy's file that an error is about, where it is about one."""
    found = None
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            found = trace.tb_lineno
        trace = trace.tb_next
    if found is None and isinstance(error, DitmosError):
        match = re.search(rf"{re.escape(path.name)}, line (\d+)", str(error))
        found = int(match[1]) if match else None
        if found is None and error.__context__ is not None:
            found = line_of(error.__context__, path)
    return found


def line_on_board(traceback: str) -> int | None:
    """The same of what the board printed: its policies come as text, without a file."""
    lines = re.findall(r'File "<string>", line (\d+), in (?!<module>\s*$)', traceback) or re.findall(
        r'File "<string>", line (\d+)', traceback
    )
    return int(lines[-1]) if lines else None
