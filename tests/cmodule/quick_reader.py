"""The host's reader, told once what a file was before it was damaged: sections before the first fault are not read
again, nor are weights that it has seen. The code that reads, and so the verdict, is the reader's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from ditmos.model import container, reader, section_front, section_network, section_plan
from ditmos.model.container import Span
from ditmos.model.parts import Reading, Section

_MOST = 4096  # layers whose weights are remembered


@dataclass(frozen=True)
class _State:
    """What a `Reading` held once a section was read: of these bytes, after the section ``before``."""

    before: bytes
    span: Span
    content: bytes
    reading: dict[str, Any]


def _copied(held: dict[str, Any]) -> dict[str, Any]:
    """What a `Reading` holds beside the file. Dictionaries are copied; whatever else is there does not change."""
    return {key: dict(value) if isinstance(value, dict) else value for key, value in held.items() if key != "data"}


class _Sections:
    """The reader's sections, which remember what they made of the undamaged file."""

    def __init__(self) -> None:
        self._states: dict[bytes, _State] = {}
        self.learning = False

    def of(self, section: Section) -> Section:
        def read(reading: Reading, span: Span) -> None:
            before = vars(reading).get("last", b"")
            content = reading.data[span.begin : span.end]
            known = self._states.get(section.tag)
            if known and (known.before, known.span, known.content) == (before, span, content):
                vars(reading).update(_copied(known.reading))
                return
            vars(reading)["last"] = b"?"  # nothing behind a section that differs is known
            section.read(reading, span)
            if self.learning:
                vars(reading)["last"] = section.tag
                self._states[section.tag] = _State(before, span, content, _copied(vars(reading)))

        return section._replace(read=read)


@contextmanager
def quick_reader(data: bytes) -> Iterator[None]:
    """Within the block, `ditmos.model.reader.decode` is quick with files that begin like the valid file ``data``."""
    sections = _Sections()
    layer = section_network._layer
    layers: dict[Any, Any] = {}

    def quick_layer(reading: Reading, shape: Any, index: int, at: int) -> Any:
        content = reading.data[at : at + reading.weights_bytes[index]]
        points = reading.network["selector_zero_point"], reading.network["logit_zero_point"]
        key = shape, reading.packings[index], points, content
        if key not in layers:
            made = layer(reading, shape, index, at)  # raises where it is wrong
            if len(layers) >= _MOST:
                return made
            layers[key] = made
        return layers[key]

    simulate = lru_cache(256)(section_plan.simulate)
    tables: dict[tuple[bytes, int], dict[bytes, Span]] = {}
    places = container.places

    def quick_places(table: bytes, length: int, known: Mapping[bytes, bool]) -> dict[bytes, Span]:
        if (table, length) not in tables:
            found = places(table, length, known)  # raises where it is wrong
            if len(tables) >= _MOST:
                return found
            tables[table, length] = found
        return tables[table, length]

    with (
        patch.object(container, "places", quick_places),
        patch.object(reader, "SECTIONS", tuple(sections.of(section) for section in reader.SECTIONS)),
        patch.object(section_network, "_layer", quick_layer),
        patch.object(section_plan, "simulate", simulate),
        patch.object(section_front, "simulate", simulate),
    ):
        sections.learning = True
        reader.decode(data)
        sections.learning = False
        yield
