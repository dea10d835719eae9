"""Small pieces of pages: containers with a meaning, facts, notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from nicegui import ui
from nicegui.elements.button import Button
from nicegui.elements.html import Html


@contextmanager
def box(kind: str, tag: str = "div", **attributes: str) -> Iterator[ui.element]:
    """An element with a class of style.css."""
    element = ui.element(tag).classes(kind)
    for name, value in attributes.items():
        element.props[name.replace("_", "-")] = value
    with element:
        yield element


def heading(text: str, level: int = 2) -> None:
    html(f"<h{level}>{escape(text)}</h{level}>")


def html(text: str) -> Html:
    """Markup of ours: whatever comes from elsewhere in it has been escaped."""
    return ui.html(text, sanitize=False)


def button(text: str, do: Callable[..., Any], *, main: bool = False, hint: str = "") -> Button:
    """A button with a word on it; ``main``: the one that the page is about. ``hint``: said on hover."""
    made = ui.button(text, on_click=do, color="primary" if main else None)
    made.props("no-caps unelevated" if main else "no-caps flat")
    if not main:
        made.classes("plain")
    if hint:
        made.tooltip(hint)
    return made


def facts(rows: Sequence[tuple[str, str, bool]]) -> str:
    """Names and values, of which those that are true are bad."""
    body = "".join(
        f"<dt>{escape(name)}</dt><dd{' class=bad' if bad else ''}>{escape(value)}</dd>" for name, value, bad in rows
    )
    return f"<dl class=facts>{body}</dl>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table; the first column names the rows."""
    said = f"<caption class=hidden-text>{escape(caption)}</caption>" if caption else ""
    top = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr><td>{escape(row[0])}</td>" + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f"<table class=plain>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


class Notice:
    """A line that says how something went; empty, it takes no room. Screen readers say what is new."""

    def __init__(self) -> None:
        self._text = ui.label().classes("notice").props('role="status"')
        self.clear()

    def say(self, text: str, kind: str = "") -> None:
        """``kind``: good, bad, or nothing."""
        self._text.text = text
        self._text.classes(remove="good bad", add=kind)
        self._text.visible = bool(text)

    def clear(self) -> None:
        self.say("")
