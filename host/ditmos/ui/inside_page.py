"""The page that looks inside of a window: of the stream, or one that the data set's mistakes lead to."""

from __future__ import annotations

from functools import partial
from html import escape

import numpy as np
from nicegui import run, ui
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import describe
from ditmos.ui.colours import colours_of
from ditmos.ui.drawings import lanes, legend, memory
from ditmos.ui.inside import Examples, Insight, look_inside
from ditmos.ui.lab_worker import Outcome
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.plots import Bars, Maps, choice
from ditmos.ui.visit import Visit

_PAIRS, _WINDOWS = 12, 16  # shown
_FEW = 8  # classes of which the whole matrix is shown


class InsidePage:
    """Everything by the reference on the host: what a board computes is the same, byte for byte."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._picked: object = None
        self._rows: tuple[NDArray[np.int8], int | None, str] | None = None
        self._examples: Examples | None = None
        self._plan_of: object = None
        self._notice = Notice()
        with box("halves"):
            with box("stack"):
                with box("card stack"):
                    self._title = ui.label("Pick a window: in the signal, or below").classes("answer")
                    self._verdict = ui.label().classes("muted")
                    self._signal = html("")
                with box("card stack"):
                    heading("Who says what")
                    self._says = Bars("What each classifier says, and how sure it is")
                    heading("Selector")
                    self._selector = Bars("Probability that the selector gives to each classifier")
                with box("card stack"):
                    heading("Mistakes on the data set")
                    self._mistakes = ui.element("div").classes("stack")
                    with self._mistakes:
                        button("Find them", self._find, hint="By the policy that answers now")
            with box("stack"):
                with box("card stack"):
                    with box("row"):
                        heading("Maps between the layers")
                        ui.element("div").classes("grow")
                        self._k = ui.select({}, label="Classifier", on_change=lambda event: self._draw(event.value))
                        self._k.props("dense outlined options-dense").style("width: 160px")
                    self._maps = Maps()
                with box("card stack"):
                    heading("Buffers in the arena")
                    with box("slide"):
                        ui.label("Slice")
                        self._step = ui.slider(min=0, max=1, step=1, value=0, on_change=lambda: self._draw_plan())
                        self._step.props('aria-label="Slice that runs"')
                        self._slice = ui.label().classes("muted")
                    self._memory = html("")
        self._plan: dict | None = None
        ui.timer(0.3, self._tick)

    def _tick(self) -> None:
        if not self._visit.shown("Inside"):
            return
        if self._visit.picked != self._picked:
            self._picked = self._visit.picked
            self._take_picked()
        if self._visit.desk.plan is not self._plan_of:
            self._plan_of = self._visit.desk.plan
            self._describe_plan()

    def _take_picked(self) -> None:
        """The window of an answer of the stream."""
        if self._visit.picked is None:
            return
        board, number = self._visit.picked
        model, history = self._visit.desk.reference, board.history
        answer = history.find(number) if history else None
        if model is None or history is None or answer is None:
            self._notice.say("To look inside takes the model's file (--model), and a window that is still kept", "bad")
            return
        _, windows = history.windows([answer])
        if not len(windows) or model.class_names != history.signal.class_names:
            self._notice.say(f"Window {number} is not kept any more, or another model is on the board", "bad")
            return
        rows = np.ascontiguousarray(model.quantize(windows[0]))
        self._show(rows, answer.truth, f"Window {number}", answer.result.classifier)

    def _show(self, rows: NDArray[np.int8], truth: int | None, title: str, k: int | None) -> None:
        model = self._visit.desk.reference
        assert model
        self._notice.clear()
        self._rows = rows, truth, title
        self._title.text = title
        if not self._k.options:
            self._k.set_options({i: f"classifier {i}" for i in range(model.classifiers)})
        names = tuple(channel.name or str(i) for i, channel in enumerate(model.inputs))
        self._signal.content = lanes(rows, names)
        chosen = look_inside(model, rows, k, truth).k
        if self._k.value == chosen:
            self._draw(chosen)
        else:
            self._k.set_value(chosen)

    def _draw(self, k: int | None) -> None:
        model = self._visit.desk.reference
        if self._rows is None or model is None or k is None:
            return
        rows, truth, _ = self._rows
        found = look_inside(model, rows, k, truth)
        self._bars(found, model.class_names)
        self._maps.show([("rows in", np.ascontiguousarray(rows.T)), *found.maps, ("class logits of all", found.logits)])

    def _bars(self, found: Insight, names: tuple[str, ...]) -> None:
        colours = colours_of(len(found.labels))
        self._says.show(
            [
                {
                    "name": f"{k}: {names[label]}" + (" (right)" if k in found.right else ""),
                    "value": float(found.sure[k]),
                    "text": f"{found.sure[k]:.2f}",
                    "colour": colours[k],
                    "now": k == found.k,
                }
                for k, label in enumerate(found.labels)
            ]
        )
        self._selector.show(choice(found.selector, found.k))
        if found.truth is None:
            self._verdict.text = "Its class is not known"
        else:
            right = ", ".join(map(str, found.right)) or "none"
            self._verdict.text = f"It is {names[found.truth]}; right: classifier {right}"

    async def _find(self) -> None:
        desk = self._visit.desk
        board = self._visit.board
        try:
            if desk.lab is None or desk.dataset is None or desk.reference is None:
                raise DitmosError("mistakes are of a data set: ditmos ui --model FILE --data FILE")
            policy = board.policy.text if board and board.policy else "top1"
            found = await run.io_bound(desk.lab.over_data, policy, None)
            self._examples = await run.io_bound(Examples, desk.reference, desk.dataset, desk.part)
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        if not isinstance(found, Outcome) or self._examples is None:
            return
        mistakes = self._examples.mistakes(found.label)
        names = desk.reference.class_names
        self._mistakes.clear()
        with self._mistakes:
            wrong = sum(len(windows) for _, _, windows in mistakes.pairs)
            ui.label(f"{wrong:,} of {found.windows:,} windows, the most frequent first").classes("muted")
            if len(names) <= _FEW:
                html(_matrix(names, mistakes.matrix))
            for c, t, windows in mistakes.pairs[:_PAIRS]:
                taken = names[t] if t >= 0 else "no answer"
                with ui.expansion(f"{names[c]} taken for {taken}: {len(windows)}").props("dense"), box("row"):
                    for i in windows[:_WINDOWS]:
                        button(str(i), partial(self._example, i)).props(f'aria-label="Window {i} of the data set"')

    def _example(self, i: int) -> None:
        if self._examples:
            self._show(self._examples.rows(i), int(self._examples.y[i]), f"Window {i} of the data set", None)

    def _describe_plan(self) -> None:
        desk = self._visit.desk
        if desk.plan is None or desk.reference is None:
            return
        model = desk.reference.model
        self._plan = describe(model.spec, desk.plan, layer_costs(model.spec, model))
        self._step.props(f"max={len(self._plan['slices']) - 1}")
        self._draw_plan()

    def _draw_plan(self) -> None:
        if self._plan is None:
            return
        step = min(int(self._step.value), len(self._plan["slices"]) - 1)
        part = self._plan["slices"][step]
        self._slice.text = escape(part["name"])
        self._memory.content = memory(self._plan, step) + legend()


def _matrix(names: tuple[str, ...], counts: NDArray[np.int64]) -> str:
    """Rows are classes, columns what they are taken for."""
    rows = [[name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)]
    return table(("class", *names, "no answer"), rows, "Classes, and what they are taken for")
