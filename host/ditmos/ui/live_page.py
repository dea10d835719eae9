"""The page that shows a board at work: signal, routing, label, times, line."""

from __future__ import annotations

import asyncio
from datetime import datetime
from html import escape

import numpy as np
from nicegui import run, ui

from ditmos.errors import DitmosError
from ditmos.routing import name_of
from ditmos.ui.colours import colours_of
from ditmos.ui.desk import Watched
from ditmos.ui.figures import Figures, figures_of
from ditmos.ui.history import Answer, History
from ditmos.ui.inside import odds
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.pieces import Notice, box, button, facts, heading, html
from ditmos.ui.plots import Bars, Scope, choice
from ditmos.ui.visit import Visit

PERIOD = 0.1  # seconds between two pictures of the signal
_SLOW = 5  # pictures between two sets of figures
_EVENTS = 8  # shown
_EMPTY = (
    "Nothing is streamed yet. It takes a model and samples: start with --model and --data, or choose a source; or "
    "record takes, train on them, and deploy the model."
)


class LivePage:
    """Draws what `Visit.board` does."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._history: History | None = None
        self._turn = 0
        self._asked = -1  # answer whose selector's logits are shown
        with box("split"):
            with box("card"):
                self._tools()
                self._empty = ui.label(_EMPTY).classes("muted")
                self._scope = Scope(visit.look_inside, self._say)
                self._said = ui.label().classes("hidden-text").props('aria-live="polite"')
                self._notice = Notice()
            with box("stack"):
                with box("card"):
                    self._answer = html("")
                    self._events = html("")
                with box("card"):
                    heading("Who answers")
                    self._usage = Bars("Share of the last answers, by who gave them")
                    self._selector_head = html("<h2 style='margin-top:12px'>Selector, this window</h2>")
                    self._selector = Bars("Probability that the selector gives to each classifier")
                with box("card"):
                    heading("Times and line")
                    self._facts = html("")
        ui.timer(PERIOD, self._tick)

    def _tools(self) -> None:
        with box("row tools"):
            self._pause = button("Pause", lambda: self._scope.look(toggle=True), hint="Space, in the signal")
            button("Newest", lambda: self._scope.look(follow=True), hint="End, in the signal")
            button("-", lambda: self._scope.look(zoom=2), hint="Show more time").props('aria-label="Zoom out"')
            button("+", lambda: self._scope.look(zoom=0.5), hint="Show less time").props('aria-label="Zoom in"')
            self._span = ui.label().classes("muted num")
            ui.element("div").classes("grow")
            self._source = ui.select([], label="Source", new_value_mode="add-unique")
            self._source.props("dense outlined options-dense")
            self._source.style("width: 190px").tooltip("Data, or a sensor of the board: sensor FILE.py:Name")
            self._source.on_value_change(lambda event: self._choose(event.value))
            button("Save tape", self._save, hint="Samples and answers that are kept, as a file that --replay shows")

    def _say(self, text: str) -> None:
        self._said.text = text

    def _tick(self) -> None:
        board = self._visit.board
        if board is None or not self._visit.shown("Live"):
            return
        if board.history is not self._history:
            self._history = board.history
            if self._history:
                self._scope.watch(self._history)
        self._turn += 1
        self._empty.visible = self._history is None
        if self._turn % _SLOW == 0:
            self._sources(board)
        if self._history is None:
            return
        self._scope.tick()
        if self._turn % _SLOW == 1:
            self._figures(self._history)

    def _sources(self, board: Watched) -> None:
        """What may be streamed, and what is: another page may have chosen it."""
        options = list(dict.fromkeys([*self._visit.desk.sources(), *([board.source] if board.source else [])]))
        if self._source.options != options or self._source.value != (board.source or None):
            self._source.set_options(options, value=board.source or None)

    async def _choose(self, source: str | None) -> None:
        board = self._visit.board
        if not source or board is None or source == board.source:
            return
        try:
            if not isinstance(board, LiveBoard):
                raise DitmosError("there is no board: this is a tape")
            await asyncio.wrap_future(board.supply(self._visit.desk.named(source)))
            self._notice.clear()
        except DitmosError as error:
            self._notice.say(str(error), "bad")

    def _figures(self, history: History) -> None:
        sight = self._scope.sight
        assert sight
        self._pause.text = "Pause" if sight.following else "Go on"
        self._span.text = f"{sight.span:g} s"
        figures = figures_of(history)
        last = history.last() if sight.following else history.since(0)
        if not sight.following and sight.stop is not None:
            last = [answer for answer in last if answer.stop <= sight.stop]
        if not figures or not last:
            return
        self._label(history, last[-1])
        colours = colours_of(history.classifiers)
        who = last[-1].result.who
        self._usage.show(
            [
                {"name": name_of(k), "value": share, "text": f"{share:.0%}", "colour": colours.get(k), "now": k == who}
                for k, share in sorted(({k: 0.0 for k in range(min(history.classifiers, 8))} | figures.usage).items())
            ]
        )
        self._choice(history, last[-1])
        self._facts.content = facts(_facts(figures))

    def _label(self, history: History, answer: Answer) -> None:
        result, names = answer.result, history.signal.class_names
        sure, by = result.confidence, f"by {name_of(result.who)}"
        truth = "" if answer.truth is None else f"it is {names[answer.truth]}"
        if answer.truth is not None and answer.truth == result.label:
            truth = "right"
        meter = "<div class=meter></div>"  # nobody says how sure a forest is, or a selector that answers
        if sure is not None:
            meter = (
                f"<div class=meter role=meter aria-label=confidence aria-valuemin=0 aria-valuemax=1 "
                f"aria-valuenow={sure:.2f}><div style='width:{100 * sure:.0f}%'></div></div>"
            )
            by = f"{sure:.2f} {by}"
        self._answer.content = (
            f"<div class=answer>{escape(result.name or 'no answer')}</div>{meter}"
            f"<div class='row muted num'><span>{by}</span>"
            f"<span class=grow></span><span>{escape(truth)}</span></div>"
        )
        said = [a for a in history.last(2000) if a.event is not None][-_EVENTS:]
        rows = "".join(
            f"<li><span>{escape(names[a.event or 0])}</span><time>{_clock(a.stop / history.rate)}</time></li>"
            for a in reversed(said)
        )
        self._events.content = f"<h2 style='margin-top:12px'>Events</h2><ol class=said>{rows}</ol>" if rows else ""

    def _choice(self, history: History, answer: Answer) -> None:
        """What the selector says of the window, by the reference: a board sends what it needs, not all logits."""
        model = self._visit.desk.reference
        shown = model is not None and model.routes > 1 and model.class_names == history.signal.class_names
        self._selector_head.visible = self._selector.visible = shown
        if not shown or model is None or answer.result.number == self._asked:
            return
        self._asked = answer.result.number
        _, windows = history.windows([answer])
        if not len(windows):
            return
        logits = np.asarray(model.select(model.quantize(windows[0])))[None, : model.routes]
        self._selector.show(choice(odds(logits, model.selector_scale)[0], answer.result.who))

    async def _save(self) -> None:
        if self._history is None or not self._history.count:
            self._notice.say("There is nothing to save yet", "bad")
            return
        if not self._history.whole:
            self._notice.say("The samples of this sensor stay on the board: there is no tape of them", "bad")
            return
        try:
            path = self._visit.desk.folder.new(f"tape-{datetime.now():%Y%m%d-%H%M%S}", ".npz")
            tape = self._history.tape()
            await run.io_bound(tape.save, path)
            self._notice.say(f"{self._visit.desk.folder.name(path)}: {len(tape.results)} answers", "good")
        except DitmosError as error:
            self._notice.say(str(error), "bad")


def _facts(figures: Figures) -> list[tuple[str, str, bool]]:
    def pair(values: tuple[float, float]) -> str:
        return f"{values[0]:.1f} / {values[1]:.1f} ms"

    rows = [
        ("windows a second", f"{figures.rate:.1f}", False),
        ("latency, p50 / p99", pair(figures.latency), False),
        ("on the board", pair(figures.device), False),
        ("board computing", f"{figures.duty:.1%}", figures.duty > 0.9),
        ("frames damaged", str(figures.damaged), figures.damaged > 0),
        ("frames repeated", str(figures.repeated), False),
        ("samples lost, clipped", f"{figures.lost:,}, {figures.clipped:,}", figures.lost > 0),
        ("stream restarted", str(figures.restarts), figures.restarts > 0),
        ("answers", f"{figures.answers:,}", False),
    ]
    if figures.right is not None:
        rows.insert(0, ("right, of the last 200", f"{figures.right:.1%}", False))
    return rows


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"
