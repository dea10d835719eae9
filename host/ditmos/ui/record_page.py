"""The page that records: takes of labels with a countdown, looked at, done again, trimmed; then a data set."""

from __future__ import annotations

import asyncio
from functools import partial
from html import escape

import numpy as np
from nicegui import run, ui
from nicegui.events import KeyEventArguments

from ditmos.datasets.takes import Take, Takes
from ditmos.datasets.trouble import find_trouble
from ditmos.errors import DitmosError
from ditmos.ui.history import History
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.pieces import Notice, box, button, heading, html, table
from ditmos.ui.plots import Scope
from ditmos.ui.sensed import SENSORS
from ditmos.ui.taking import Plan, Taking, drawn
from ditmos.ui.visit import Visit

COUNTDOWN = 3  # seconds
_AGAIN = 5  # pictures between two looks at which takes there are


class RecordPage:
    """The session of recording belongs to the desk: every page shows the same one. Takes are on disk as soon as they
    are whole, whatever becomes of the page."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._known: Taking | None = None  # whose labels are shown
        self._files: list[tuple[int, int]] = []
        self._turn = 0
        self._drawn: History | None = None
        with box("split"):
            with box("stack"):
                with box("card stack"):
                    self._form()
                with box("card stack"):
                    self._state = ui.label("Name a data set and its labels").classes("answer").props('role="status"')
                    self._labels = ui.element("div").classes("row")
                    self._scope = Scope(lambda number: None, lambda text: None)
                    self._notice = Notice()
            with box("card stack"):
                heading("Takes")
                self._list = ui.element("div").classes("stack")
                self._asked = ui.element("div")  # dialogs, which stay when the list is drawn anew
                self._set = html("")
        ui.timer(0.1, self._tick)
        ui.keyboard(on_key=self._key)

    def _form(self) -> None:
        with box("row"):
            self._name = ui.input("Data set", value="recorded").props("dense outlined")
            self._names = ui.input("Labels", value="rest, walk, run").props("dense outlined").style("flex: 1 1 200px")
            self._sensor = (
                ui.select(list(SENSORS), value=SENSORS[0], label="Sensor", new_value_mode="add-unique")
                .props("dense outlined")
                .style("width: 150px")
            )
        with box("row"):
            self._seconds = ui.number("Seconds", value=10, min=0.1).props("dense outlined").style("width: 96px")
            self._window = ui.number("Window, rows", value=151, min=8).props("dense outlined").style("width: 120px")
            self._subject = ui.number("Person", value=0, min=0).props("dense outlined").style("width: 96px")
            button("Begin", self._begin, main=True)

    @property
    def _taking(self) -> Taking | None:
        return self._visit.desk.taking

    def _begin(self) -> None:
        board = self._visit.board
        try:
            if not isinstance(board, LiveBoard):
                raise DitmosError("there is no board to record with: this is a tape")
            if self._taking and self._taking.running:
                raise DitmosError("a take is being recorded")
            numbers = [field.value or 0 for field in (self._seconds, self._window, self._subject)]
            driver = self._visit.desk.folder.driver(str(self._sensor.value or ""))
            plan = Plan.of(self._names.value, driver, float(numbers[0]), int(numbers[1]), int(numbers[2]))
            folder = self._visit.desk.folder
            out = folder.new(self._name.value.strip(), ".npz")
            folder.inside(Takes(out).folder)
            if self._taking:
                self._taking.store.close()
            self._visit.desk.taking = None
            self._visit.desk.taking = Taking(board, out, plan)
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        self._notice.clear()
        self._look_again()

    def _look_again(self) -> None:
        """Show what there is of the session, where this page does not know it yet."""
        taking = self._taking
        if taking is None:
            return
        if taking is not self._known:
            self._known = taking
            self._state.text = "Choose a label: its take begins after a countdown"
            self._buttons(taking)
        try:
            if _files(taking) != self._files:
                self._show_takes()
        except DitmosError as error:
            self._notice.say(str(error), "bad")

    def _buttons(self, taking: Taking) -> None:
        self._labels.clear()
        with self._labels:
            for i, label in enumerate(taking.plan.labels):
                button(label, partial(self._record, label), main=True, hint=f"While recording, {i + 1} marks an event")
            button("Stop", self._stop, hint="Keep what there is")

    def _stop(self) -> None:
        if self._taking:
            self._taking.stop()

    async def _record(self, label: str, number: int | None = None) -> None:
        taking = self._taking
        if taking is None or taking.running:
            return
        for left in range(COUNTDOWN, 0, -1):
            self._state.text = f"{label} in {left}"
            await asyncio.sleep(1)
        try:
            paths = await asyncio.wrap_future(taking.record(label, number))
        except DitmosError as error:
            self._state.text = "The take was not kept"
            self._notice.say(str(error), "bad")
        else:
            self._state.text = f"{label}: kept"
            self._notice.say(", ".join(self._visit.desk.folder.name(path) for path in paths), "good")
        self._show_takes()

    def _key(self, event: KeyEventArguments) -> None:
        taking = self._taking
        number = event.key.number or 0
        pressed = event.action.keydown and not event.action.repeat
        if taking and taking.running and pressed and 1 <= number <= len(taking.plan.labels):
            taking.mark(taking.plan.labels[number - 1])

    def _tick(self) -> None:
        taking = self._taking
        if taking is None or not self._visit.shown("Record"):
            return
        self._turn += 1
        if self._turn % _AGAIN == 0:
            self._look_again()
        if taking.running and taking.history is not None and taking.history is not self._drawn:
            self._drawn = taking.history
            self._scope.watch(taking.history, taking.plan.seconds)
        if taking.running and taking.history:
            rate = taking.history.rate
            marks = f", {len(taking.marks)} marks" if taking.marks else ""
            self._state.text = f"{taking.rows / rate:.1f} of {taking.plan.seconds:g} s{marks}"
        self._scope.tick()

    def _show_takes(self) -> None:
        taking = self._taking
        if taking is None:
            return
        try:
            self._files = _files(taking)
            takes = taking.takes()
        except DitmosError as error:  # a file that is no take, or two of one number
            self._notice.say(str(error), "bad")
            return
        self._list.clear()
        with self._list:
            for number, take in takes.items():
                self._take(taking, number, take)
            if takes:
                button("Make the data set", self._make, main=True)

    def _take(self, taking: Taking, number: int, take: Take) -> None:
        rate = take.rate or take.signal.rate
        troubles = taking.quality(take)
        with box("take"):
            said = "; ".join(troubles) or "looks well"
            ui.label(f"{number}  {take.label}, {len(take.samples) / rate:.1f} s").classes("num")
            ui.label(said).classes("bad-text" if troubles else "muted")
            with box("row"):
                button("Look", partial(self._look, take)).props(f'aria-label="Look at take {number}"')
                button("Redo", partial(self._record, take.label, number)).props(f'aria-label="Redo take {number}"')
                button("Trim", partial(self._ask_trim, number, take)).props(f'aria-label="Trim take {number}"')
                button("Delete", partial(self._delete, number)).props(f'aria-label="Delete take {number}"')

    def _look(self, take: Take) -> None:
        self._drawn = drawn(take.signal, take.samples)
        self._scope.watch(self._drawn, len(take.samples) / take.signal.rate)
        self._state.text = take.label

    def _ask_trim(self, number: int, take: Take) -> None:
        seconds = len(take.samples) / (take.rate or take.signal.rate)
        with self._asked, ui.dialog(value=True) as dialog, box("card stack"):
            heading(f"Trim take {number}")
            ends = ui.range(min=0, max=round(seconds, 2), step=0.05, value={"min": 0, "max": round(seconds, 2)})
            ends.props('label-always aria-label="Seconds that are kept"').style("margin-top: 28px")

            def trim() -> None:
                dialog.close()
                self._do(partial(self._trim, number, ends.value["min"], ends.value["max"]))

            with box("row"):
                button("Keep this part", trim, main=True)
                button("Leave it", dialog.close)

    def _trim(self, number: int, start: float, stop: float) -> None:
        assert self._taking
        self._taking.trim(number, start, stop)

    def _delete(self, number: int) -> None:
        assert self._taking
        self._do(partial(self._taking.store.remove, number))

    def _do(self, change: partial) -> None:
        try:
            change()
        except DitmosError as error:
            self._notice.say(str(error), "bad")
        self._show_takes()

    async def _make(self) -> None:
        taking = self._taking
        if taking is None:
            return
        try:
            made = await run.io_bound(taking.write)
            if made is None:
                return  # the server is stopping
            troubles = await run.io_bound(find_trouble, made) or []
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        counts = np.bincount(made.y, minlength=made.classes)
        rows = [[name, f"{count:,}"] for name, count in zip(made.class_names, counts, strict=True)]
        self._set.content = table(("class", "windows"), rows, "Windows of each class")
        split = "with a split" if made.split is not None else "no split yet: too few takes"
        self._notice.say(f"{self._visit.desk.folder.name(taking.out)}: {len(made)} windows, {split}", "good")
        if troubles:
            items = "".join(f"<li>{escape(trouble)}</li>" for trouble in troubles)
            self._set.content += f"<h2 style='margin-top:12px'>To look at</h2><ul class=list>{items}</ul>"


def _files(taking: Taking) -> list[tuple[int, int]]:
    """Numbers of the takes on disk, and when each was written."""
    return [(number, path.stat().st_mtime_ns) for number, path in taking.store.files().items() if path.exists()]
