"""The page that changes who answers: the policy's Python, tried at once, on the board in a moment."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from nicegui import run, ui

from ditmos.errors import DitmosError
from ditmos.link.repl import BoardError
from ditmos.routing import NAMES, name_of
from ditmos.ui.contract import words
from ditmos.ui.lab_worker import Fault, Outcome
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.tryout import Trial, try_out
from ditmos.ui.versions import line_on_board
from ditmos.ui.visit import Visit

_COMPLETE = (Path(__file__).parent / "static" / "complete.js").read_text()
_PAUSE = 0.4  # seconds without a key, after which what is written is tried
_SHOWN = 24  # windows that differ, as buttons
SHIPPED = (
    "top1",
    "average",
    "fallback(8)",
    "early(32)",
    "sticky(16)",
    "vote(3)",
    "budgeted(1)",
    "forest",
    "first(9, 4)",
)


class PolicyPage:
    """Versions are kept in the folder ``policies``; one that is put on the board is kept first."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._versions = visit.desk.versions
        self._turn = 0
        self._tried = ""
        with box("halves"):
            with box("card stack"):
                self._tools()
                self._editor = ui.codemirror(
                    self._versions.latest(),
                    language="Python",
                    theme="githubLight",
                    on_change=lambda: self._later(),
                    keymap={"Mod-Enter": lambda: self._apply(), "Mod-s": lambda: self._apply()},
                ).classes("editor")
                self._fault = Notice()
                self._notice = Notice()
                self._board_line = ui.label().classes("muted")
            with box("card stack"):
                heading("Before it goes to the board")
                self._outcome = html("<p class=muted>What is written is tried here as you write.</p>")
                self._windows = ui.element("div").classes("row")
        ui.timer(0.5, self._look)

    def _tools(self) -> None:
        with box("row"):
            button("Put on the board", self._apply, main=True, hint="Ctrl+Enter, in the editor")
            self._expression = ui.input("Name", value="policy").props("dense outlined").style("width: 130px")
            self._expression.on_value_change(lambda: self._later())
            self._version = (
                ui.select(self._choices(), label="Version", on_change=lambda event: self._open(event.value))
                .props("dense outlined options-dense")
                .style("width: 150px")
            )
            with ui.dropdown_button("Shipped", color=None).props("no-caps flat").classes("plain"):
                for name in SHIPPED:
                    ui.item(name, on_click=lambda name=name: self._insert(name))

    def _choices(self) -> dict[int, str]:
        return {number: f"version {number}" for number in reversed(self._versions.numbers())}

    def _complete(self) -> None:
        ui.run_javascript(f"({_COMPLETE})({self._editor.id}, {json.dumps(words())})")

    def _insert(self, name: str) -> None:
        self._editor.value = (
            f'"""A policy that the firmware ships."""\n\nfrom ditmos import routing\n\npolicy = routing.{name}\n'
        )
        self._expression.value = "policy"

    def _open(self, number: int | None) -> None:
        if number is not None:
            try:
                self._editor.value = self._versions.text(number)
            except DitmosError as error:
                self._notice.say(str(error), "bad")

    def _look(self) -> None:
        """What answers now; light or dark; a first trial when the page is opened."""
        board = self._visit.board
        if board is None or not self._visit.shown("Policy"):
            return
        now = "its own policy" if board.policy is None else f"version {board.version}"
        trouble = board.trouble if isinstance(board, LiveBoard) else None
        failed = f"; another raised {trouble.reason}" if trouble else ""
        self._board_line.text = f"{board.title}: {now} answers{failed}"
        if not self._tried:
            self._complete()
            self._later()

    def _later(self) -> None:
        self._turn += 1
        ui.timer(_PAUSE, lambda turn=self._turn: self._try(turn), once=True)

    async def _try(self, turn: int) -> None:
        if turn != self._turn or not self._visit.shown("Policy"):
            return
        text = self._tried = self._editor.value
        expression = self._expression.value
        trial = await run.io_bound(try_out, self._visit.desk, self._visit.board, text, expression)
        if turn == self._turn and trial is not None:
            self._show(trial)

    def _show(self, trial: Trial) -> None:
        self._mark(trial.fault)
        if trial.fault:
            self._fault.say(_said(trial.fault), "bad")
            return
        self._fault.clear()
        columns = [("the stream", trial.live), ("data set", trial.data)]
        shown = [(name, found) for name, found in columns if found]
        names = ("", *(f"{name}, {found.windows:,} windows" for name, found in shown))
        self._outcome.content = table(names, _rows([found for _, found in shown]), "The policy tried on windows")
        self._windows.clear()
        if trial.live and trial.live.differing:
            with self._windows:
                ui.label("Differs in").classes("muted")
                for i in trial.live.differing[-_SHOWN:]:
                    number = trial.answers[i].result.number
                    self._window_button(number, trial.live, i)

    def _window_button(self, number: int, found: Outcome, i: int) -> None:
        board = self._visit.board
        names = board.history.signal.class_names if board and board.history else ()
        label = int(found.label[i])
        said = "no answer" if label < 0 else names[label]
        who = int(found.who[i])
        hint = f"{said} by {name_of(who) if who in NAMES or who < 64 else who}"
        button(str(number), lambda: self._visit.look_inside(number), hint=hint)

    def _mark(self, fault: Fault | None) -> None:
        lines = self._editor.value.count("\n") + 1
        bad = fault is not None and fault.line is not None and fault.line <= lines
        self._editor.decorations = [{"kind": "line", "line": fault.line, "class": "bad-line"}] if bad and fault else []
        self._editor.line_tooltips = {fault.line: fault.message} if bad and fault and fault.line else {}

    async def _apply(self) -> None:
        board, text = self._visit.board, self._editor.value
        if not isinstance(board, LiveBoard):
            self._notice.say("There is no board to put it on: this is a tape", "bad")
            return
        try:
            number = self._versions.keep(text)
            policy = self._versions.policy(number, self._expression.value)
            applied = await asyncio.wrap_future(board.apply(policy, number))
        except BoardError as error:
            fault = Fault(f"the board raised {error.reason}", line_on_board(error.traceback))
            self._mark(fault)
            self._notice.say(f"{_said(fault)}. What answered before goes on", "bad")
        except DitmosError as error:
            self._notice.say(str(error), "bad")
        else:
            self._notice.say(
                f"Version {number} answers since window {applied.number}, after {applied.seconds:.2f} s", "good"
            )
        self._version.set_options(self._choices())


def _said(fault: Fault) -> str:
    return fault.message if fault.line is None or "line " in fault.message else f"line {fault.line}: {fault.message}"


def _rows(found: list[Outcome]) -> list[list[str]]:
    def share(value: float | None) -> str:
        return "not known" if value is None else f"{value:.4f}"

    rows = [
        ["accuracy", *(share(one.accuracy) for one in found)],
        ["accuracy of what answers now", *(share(one.before) for one in found)],
        ["windows gained, lost", *(f"{one.gained}, {one.lost}" for one in found)],
        ["other answers", *(f"{len(one.differing):,}" for one in found)],
        ["no answer", *(f"{one.abstained:,}" for one in found)],
        ["extra runs a window", *(f"{one.extra_runs:.3f}" for one in found)],
        ["instructions a window, planned", *(f"{one.instructions:,.0f}" for one in found)],
    ]
    return rows
