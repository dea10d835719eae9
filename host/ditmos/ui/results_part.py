"""The part of a page that shows what came of a training: its figures, and accuracy against cost of what was tried."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nicegui import ui

from ditmos.atomic import read_json
from ditmos.errors import DitmosError
from ditmos.ui.drawings import Point, short, trade
from ditmos.ui.folder import RUN
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.training_job import REPORT
from ditmos.ui.visit import Visit


class ResultsPart:
    """``opened`` is called with the folder of the training that is shown; ``limit`` with the instructions that the
    next one may take."""

    def __init__(self, visit: Visit, opened: Callable[[Path], None], limit: Callable[[int], None]) -> None:
        self._visit = visit
        self._opened = opened
        self._limit = limit
        self._row: dict[str, Any] = {}
        self._front: list[dict[str, Any]] = []
        with box("card stack"):
            heading("What came of it")
            with box("row"):
                self.run = ui.select({}, label="Training", on_change=lambda event: self._open(event.value))
                self.run.props("dense outlined options-dense").style("flex: 1 1 160px")
                self._report = button("Report", self._to_report, hint="Classes, confusion, curves")
            self._figures = html("<p class=muted>Choose a training, or train.</p>")
            with box("stack") as self._search:
                heading("What was tried", 3)
                self._trade = html("")
                with box("slide"):
                    ui.label("Shape")
                    self._at = ui.slider(min=0, max=1, step=1, value=0, on_change=lambda: self._draw())
                    self._at.props('aria-label="Shape that was tried, by its cost"')
                    self._said = ui.label().classes("num muted")
                self._shape = ui.label().classes("muted mono")
                button("Train within its cost", self._take, hint="Sets the limit on instructions to what it takes")
            self._notice = Notice()
        self._search.visible = self._report.visible = False

    def fill(self) -> None:
        """Look which trainings there are."""
        self.run.set_options({name: name for name in self._visit.desk.folder.runs()}, value=self.run.value)

    def _open(self, name: str | None) -> None:
        if not name:
            return
        folder = self._visit.desk.folder
        try:
            run = folder.path(name)
            self._row = read_json(folder.path(f"{name}/{RUN}"))
            self._figures.content = _figures(self._row)
            self._report.visible = (run / REPORT).exists()
            self._searched()
            self._notice.clear()
            self._opened(run)
        except (DitmosError, KeyError, TypeError) as error:
            self._notice.say(f"{name}: {error}", "bad")

    def _searched(self) -> None:
        trials = self._row.get("trials", ())
        self._front = front_of(trials)
        self._search.visible = bool(trials)
        if trials:
            chosen = self._front.index(trials[0]) if trials[0] in self._front else len(self._front) - 1
            self._at.props(f"max={max(len(self._front) - 1, 1)}")
            self._at.set_value(chosen)
            self._draw()

    def _draw(self) -> None:
        if not self._front:
            return
        at = self._front[min(int(self._at.value), len(self._front) - 1)]
        points = [
            Point(t["instructions"], t["value"], f"{t['shape']}: {t['value']:.3f}", t is at)
            for t in self._row["trials"]
        ]
        self._trade.content = trade(points, "instructions", self._row["metric"])
        self._said.text = f"{at['value']:.3f}, {short(at['instructions'])}"
        self._shape.text = at["shape"]

    def _take(self) -> None:
        at = self._front[min(int(self._at.value), len(self._front) - 1)]
        self._limit(round(at["instructions"]))

    def _to_report(self) -> None:
        if self.run.value:
            ui.navigate.to(f"/report?run={quote(self.run.value)}", new_tab=True)


def front_of(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of which none that is better costs as little, by rising cost."""
    found: list[dict[str, Any]] = []
    for trial in sorted(trials, key=lambda t: (t["instructions"], -t["value"])):
        if not found or trial["value"] > found[-1]["value"]:
            found.append(trial)
    return found


def _figures(row: dict[str, Any]) -> str:
    parts = [row["validation"], row["test"]]
    rows = [
        ["windows", *(f"{part['windows']:,}" for part in parts)],
        ["people", *(str(part["people"]) for part in parts)],
        ["accuracy, int8", *(f"{part['accuracy']:.4f}" for part in parts)],
        ["balanced, int8", *(f"{part['balanced']:.4f}" for part in parts)],
        ["instructions, mean", *(f"{part['instructions']:,}" for part in parts)],
        ["arena, bytes", "", f"{row['arena_bytes']:,}"],
        ["model file, bytes", "", f"{row['flash_bytes']:,}"],
        ["microseconds at 216 MHz, estimated", "", f"{row['microseconds']:,.0f}"],
    ]
    for name, rival in row.get("rivals", {}).items():
        rows.append([f"rival {name}, int8", f"{rival['validation']['int8']:.4f}", f"{rival['int8']:.4f}"])
        rows.append([f"rival {name}, instructions", "", f"{rival['instructions']:,}"])
    shape = f"<p class='muted mono'>{escape(row['shape'])}</p>"
    return table(("", "validation", "test"), rows, "Figures of the training") + shape
