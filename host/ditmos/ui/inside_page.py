"""The page that looks inside of a window: of the stream, or one that the data set's mistakes lead to."""

from __future__ import annotations

from functools import partial
from html import escape

import numpy as np
from nicegui import run, ui

from ditmos.errors import DitmosError
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import describe
from ditmos.routing import FOREST
from ditmos.ui.colours import OTHERS, colours_of
from ditmos.ui.drawings import lanes, legend, memory
from ditmos.ui.inside import Examples, Insight, Seen, look_inside, seen_of
from ditmos.ui.lab_worker import Fault, Outcome
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.plots import Bars, Maps, Matrix, choice
from ditmos.ui.visit import Visit

_WINDOWS = 48  # of a cell of the matrix, shown


class InsidePage:
    """Everything by the reference on the host: what a board computes is the same, byte for byte."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._picked: object = None
        self._seen: Seen | None = None
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
                    with box("stack") as self._chooses:
                        heading("Selector")
                        self._selector = Bars("Probability that the selector gives to each classifier")
                    with box("stack") as self._forest:
                        heading("Votes of the forest")
                        self._votes = Bars("Share of the forest's votes for each class")
                        with ui.expansion("What the forest reads").props("dense"):
                            self._features = html("")
                with box("card stack"):
                    with box("row"):
                        heading("Confusion on the data set")
                        ui.element("div").classes("grow")
                        button("Count", self._count, hint="Of the policy that answers now; a cell leads to its windows")
                    self._counted = ui.label().classes("muted")
                    self._matrix = ui.element("div")
                    self._windows = ui.element("div").classes("row")
            with box("stack"):
                with box("card stack") as self._network:
                    with box("row"):
                        heading("Maps between the layers")
                        ui.element("div").classes("grow")
                        self._k = ui.select({}, label="Classifier", on_change=lambda event: self._draw(event.value))
                        self._k.props("dense outlined options-dense").style("width: 160px")
                    self._maps = Maps()
                with box("card stack") as self._buffers:
                    heading("Buffers in the arena")
                    with box("slide"):
                        ui.label("Slice")
                        self._step = ui.slider(min=0, max=1, step=1, value=0, on_change=lambda: self._draw_plan())
                        self._step.props('aria-label="Slice that runs"')
                        self._slice = ui.label().classes("muted")
                    self._memory = html("")
        self._plan: dict | None = None
        self._chooses.visible = self._forest.visible = False
        ui.timer(0.3, self._tick)

    def _tick(self) -> None:
        if not self._visit.shown("Inside"):
            return
        if self._visit.desk.plan is not self._plan_of:  # of another model
            self._plan_of = self._visit.desk.plan
            self._forget()
            self._describe_plan()
        if self._visit.picked != self._picked:
            self._picked = self._visit.picked
            self._take_picked()

    def _forget(self) -> None:
        """What a model has made of windows."""
        self._seen = self._examples = None
        self._counted.text = ""
        self._matrix.clear()
        self._windows.clear()

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
        self._show(seen_of(model, windows[0], answer.truth), f"Window {number}", answer.result.classifier)

    def _show(self, seen: Seen, title: str, k: int | None) -> None:
        model = self._visit.desk.reference
        assert model
        self._notice.clear()
        self._seen = seen
        self._title.text = title
        ks = {i: f"classifier {i}" for i in range(model.classifiers)}
        if self._k.options != ks:
            self._k.set_options(ks)
        front = model.model.front_end
        names = front.channel_names if front and seen.samples is not None else [c.name for c in model.inputs if c.used]
        shown = seen.rows if seen.samples is None else seen.samples
        self._signal.content = lanes(shown, [name or str(i) for i, name in enumerate(names)])
        chosen = look_inside(model, seen, k).k
        if self._k.value == chosen:
            self._draw(chosen)
        else:
            self._k.set_value(chosen)

    def _draw(self, k: int | None) -> None:
        model = self._visit.desk.reference
        if self._seen is None or model is None or (k is None and model.classifiers):
            return
        found = look_inside(model, self._seen, k)
        self._bars(found, model.class_names)
        self._chooses.visible = len(found.selector) > 0
        self._forest.visible = len(found.votes) > 0
        self._network.visible = model.classifiers > 0
        rows = (
            "rows of the front end" if model.model.front_end else "rows in",
            np.ascontiguousarray(found.seen.rows.T),
        )
        self._maps.show([rows, *found.maps, ("class logits of all", found.logits)] if model.classifiers else [])

    def _bars(self, found: Insight, names: tuple[str, ...]) -> None:
        colours = colours_of(len(found.labels))
        rows = [
            {
                "name": f"{k}: {names[label]}" + (" (right)" if k in found.right else ""),
                "value": float(found.sure[k]),
                "text": f"{found.sure[k]:.2f}",
                "colour": colours[k],
                "now": k == found.k,
            }
            for k, label in enumerate(found.labels)
        ]
        if len(found.votes):
            best = int(found.votes.argmax())
            said = f"forest: {names[best]}" + (" (right)" if found.forest_right else "")
            share = float(found.votes[best])
            rows.append({"name": said, "value": share, "text": f"{share:.2f}", "colour": OTHERS[FOREST], "now": False})
        self._says.show(rows)
        self._selector.show(choice(found.selector, found.k))
        self._votes.show(
            [
                {"name": name, "value": float(share), "text": f"{share:.2f}", "now": share == found.votes.max()}
                for name, share in zip(names, found.votes, strict=True)
            ]
            if len(found.votes)
            else []
        )
        self._features.content = table(
            ("feature", "value"), [[name, f"{value:,}"] for name, value in found.features], "What the forest reads"
        )
        truth = found.seen.truth
        if truth is None:
            self._verdict.text = "Its class is not known"
        else:
            right = [f"classifier {k}" for k in found.right] + (["the forest"] if found.forest_right else [])
            self._verdict.text = f"It is {names[truth]}; right: {', '.join(right) or 'nobody'}"

    async def _count(self) -> None:
        desk = self._visit.desk
        board, model = self._visit.board, desk.reference
        try:
            if desk.lab is None or desk.dataset is None or model is None:
                raise DitmosError("confusion is of a data set: ditmos ui --model FILE --data FILE")
            policy = board.policy.text if board and board.policy else None
            found = await run.io_bound(desk.lab.over_data, policy, None)
            if isinstance(found, Fault):
                raise DitmosError(found.message)
            if not isinstance(found, Outcome):
                return  # the server is stopping
            examples = await run.io_bound(Examples, model, desk.dataset, desk.part, found.label)
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        if examples is None or desk.reference is not model:
            return  # the server is stopping, or another model was deployed meanwhile
        self._examples = examples
        self._counted.text = f"{self._examples.wrong:,} of {found.windows:,} windows are wrong; press a cell"
        self._matrix.clear()
        self._windows.clear()
        with self._matrix:
            names = model.class_names
            Matrix("Classes, and what they are taken for", names, self._examples.counts, self._cell)

    def _cell(self, true: int, taken: int) -> None:
        """Windows of a cell of the matrix."""
        model = self._visit.desk.reference
        if self._examples is None or model is None or not 0 <= true < model.classes or not 0 <= taken <= model.classes:
            return
        names = (*model.class_names, "no answer")
        windows = self._examples.windows(true, taken)
        self._windows.clear()
        with self._windows:
            ui.label(f"{names[true]}, right" if true == taken else f"{names[true]} taken for {names[taken]}")
            for i in windows[:_WINDOWS]:
                button(str(i), partial(self._example, i)).props(f'aria-label="Window {i} of the data set"')
            if len(windows) > _WINDOWS:
                ui.label(f"and {len(windows) - _WINDOWS:,} more").classes("muted")
        if windows:
            self._example(windows[0])

    def _example(self, i: int) -> None:
        if self._examples:
            self._show(self._examples.seen(i), f"Window {i} of the data set", None)

    def _describe_plan(self) -> None:
        desk = self._visit.desk
        if desk.plan is None or desk.reference is None:
            return
        model = desk.reference.model
        self._plan = describe(model.spec, desk.plan, layer_costs(model.spec, model))
        self._buffers.visible = bool(self._plan["slices"])
        self._step.props(f"max={max(len(self._plan['slices']) - 1, 1)}")
        self._draw_plan()

    def _draw_plan(self) -> None:
        if self._plan is None or not self._plan["slices"]:
            return
        step = min(int(self._step.value), len(self._plan["slices"]) - 1)
        part = self._plan["slices"][step]
        self._slice.text = escape(part["name"])
        self._memory.content = memory(self._plan, step) + legend()
