"""What the pages of the project say: their files, fenced blocks, links, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
HISTORY = ("CHANGELOG.md", "diary.md")  # pages that tell what was
SOURCES = sorted(
    path for folder in ("host", "device", "examples", "boards", "tests") for path in ROOT.glob(f"{folder}/**/*.py")
)
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.S | re.M)
_ENDS = ("|", "&", "&&", ";", ">")
_NUMBERS = ("N", "BYTES", "ROWS", "COUNT", "SEED")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Command:
    """A command line somewhere. whole: as typed in a shell; else part of a sentence, which may leave arguments out."""

    where: str
    text: str
    whole: bool

    def words(self) -> list[str]:
        """Its arguments, up to a pipe or the next command: of `a|b` the first, a number for `N`, brackets and dots of a
        synopsis gone."""
        text = re.sub(r"\[(--[^]]*|-\w[^]]*|[A-Z=]+)\]", r"\1", self.text).replace("...", " ")
        words = [re.sub(r"\|\S+$", "", word) for word in shlex.split(text, comments=True)]
        end = next((i for i, word in enumerate(words) if word in _ENDS), len(words))
        return ["8" if word in _NUMBERS else word for word in words[:end]]


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind its three backticks, its text, the line it starts at."""

    info: str
    text: str
    line: int

    @property
    def language(self) -> str:
        return self.info.split()[0] if self.info.split() else ""


def blocks(text: str) -> list[Block]:
    found = []
    for match in _FENCE.finditer(text):
        indent = match["indent"]
        body = "\n".join(line.removeprefix(indent) for line in match["text"].splitlines())
        found.append(Block(match["info"].strip(), body, text.count("\n", 0, match.start()) + 1))
    return found


def links(text: str) -> list[str]:
    """Targets of the links outside of fenced blocks."""
    return _LINK.findall(_FENCE.sub("", text))


def shell_lines(block: Block) -> Iterator[tuple[int, str]]:
    """(line, command) of a block that shows a shell: lines behind `$ `, and lines that start with a program of ours.
    A quotation that is open goes on in the next line."""
    lines = block.text.splitlines()
    i = 0
    while i < len(lines):
        start, text = i, lines[i]
        if match := re.match(r"\$ (.*)|((?:ditmos|mpremote|make|\.venv/bin/\w+|python|pytest)\b.*)", text):
            command = match[1] if match[1] is not None else match[2]
            while i + 1 < len(lines) and (command.endswith("\\") or _open(command)):
                i += 1
                command = command.removesuffix("\\") + "\n" + lines[i]
            yield block.line + 1 + start, command
        i += 1


def _open(command: str) -> bool:
    """Whether a quotation in it has no end yet."""
    try:
        shlex.split(command, comments=True)
        return False
    except ValueError:
        return True


def commands(path: Path, program: str) -> Iterator[Command]:
    """The command lines of one program in a page: whole ones in fenced blocks, parts in `code`."""
    text, name = path.read_text(), path.relative_to(ROOT)
    for block in blocks(text):
        if block.language in ("python", "toml", "c"):
            continue
        for line, command in shell_lines(block):
            if command.split()[0].split("/")[-1] == program:
                yield Command(f"{name}:{line}", command.split(program, 1)[1].strip(), True)
    yield from _in_sentences(_FENCE.sub("", text), name, program, r"`{1,2}")


def commands_in_source(path: Path, program: str) -> Iterator[Command]:
    """The same of a Python file: in `code` and ``code``, anywhere."""
    yield from _in_sentences(path.read_text(), path.relative_to(ROOT), program, r"`{1,2}")


def _in_sentences(text: str, name: Path, program: str, tick: str) -> Iterator[Command]:
    for match in re.finditer(rf"{tick}(?:\.venv/bin/)?{program} ([^`{{}}\n]+)(?=`)", text):
        yield Command(f"{name}: `{program} {match[1]}`", match[1], False)
