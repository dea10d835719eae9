"""The part of a page that chooses a plan for a trained model, puts it on the board, and verifies it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import run as running
from nicegui import ui

from ditmos.bench.route import some_windows
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Deployed, Place, deploy
from ditmos.link.verify import Verification, verify
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.ui.drawings import Point, legend, memory, short, trade
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.pieces import Notice, box, button, heading, html
from ditmos.ui.plans_shown import plans_of, put_plan
from ditmos.ui.visit import Visit

MODEL = "model.dtm"
_COUNT = 60  # windows that are verified


async def _elsewhere(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any] | None:
    """In another process; None where the server is stopping. Raises DitmosError as ``function`` does."""
    try:
        return await running.cpu_bound(function, *arguments)
    except running.SubprocessException as error:
        raise DitmosError(error.original_message) from None


class DeployPart:
    """For the run that `show` is given."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._run: Path | None = None
        self._front: list[tuple[int, int]] = []
        self._step = ("", 0, 1)
        with box("card stack") as self._card:
            heading("Plan: memory against time")
            self._trade = html("")
            with box("slide"):
                ui.label("Arena")
                self._arena = ui.slider(min=0, max=1, step=1, value=0).props('aria-label="Plan, by bytes of arena"')
                self._said = ui.label().classes("num muted")
            self._memory = html("")
            with box("row"):
                button("Write this plan", self._write, hint="Into the model file, as ditmos plan --ram does")
                self._place = ui.toggle({"": "Auto", "flash": "Flash", "rom": "ROM", "ram": "RAM"}, value="")
                self._place.props("no-caps unelevated dense padding='4px 10px'")
                button("Deploy", self._deploy, main=True)
                button("Verify", self._verify)
            self._bar = ui.linear_progress(value=0, show_value=False).props('aria-label="Progress on the board"')
            self._notice = Notice()
        self._bar.visible = self._card.visible = False
        self._arena.on_value_change(lambda: self._draw_front())
        ui.timer(0.2, self._tick)

    def show(self, run: Path) -> None:
        """A finished training. Raises DitmosError where its model lies elsewhere."""
        self._visit.desk.folder.inside(run / MODEL)
        self._run = run
        self._card.visible = True
        self._notice.say("Working out which plans there are")
        ui.timer(0.05, self._plan, once=True)

    async def _plan(self) -> None:
        run = self._run
        assert run
        try:
            found = await _elsewhere(plans_of, run / MODEL)
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        if run is not self._run or found is None:
            return
        self._notice.clear()
        self._front = found["front"]
        arena = found["now"]["arena_bytes"]
        at = max((i for i, (size, _) in enumerate(self._front) if size <= arena), default=0)
        self._arena.props(f"max={len(self._front) - 1}")
        self._arena.set_value(at)
        self._draw_front()
        self._draw(found["now"])

    def _draw_front(self) -> None:
        if not self._front:
            return
        at = min(int(self._arena.value), len(self._front) - 1)
        size, _ = self._front[at]
        self._said.text = f"{size:,} bytes"
        points = [
            Point(s, n / 1000, f"{s:,} bytes, {short(n)} instructions", i == at) for i, (s, n) in enumerate(self._front)
        ]
        self._trade.content = trade(points, "bytes of arena", "k instructions", line=True)

    def _draw(self, plan: dict[str, Any]) -> None:
        self._memory.content = memory(plan) + legend()

    async def _write(self) -> None:
        if self._run is None or not self._front:
            return
        size = self._front[int(self._arena.value)][0]
        try:
            plan = await _elsewhere(put_plan, self._run / MODEL, size)
        except DitmosError as error:
            self._notice.say(str(error), "bad")
            return
        if plan is None:
            return  # the server is stopping
        self._draw(plan)
        name = self._visit.desk.folder.name(self._run / MODEL)
        self._notice.say(f"{name}: {plan['arena_bytes']:,} bytes of arena", "good")

    def _board(self) -> LiveBoard:
        board = self._visit.board
        if not isinstance(board, LiveBoard):
            raise DitmosError("there is no board: this is a tape")
        return board

    async def _deploy(self) -> None:
        run, desk = self._run, self._visit.desk
        assert run
        place = Place(self._place.value) if self._place.value else None
        model = run / MODEL

        def work(board: Board) -> Deployed:
            return deploy(board, model, place, progress=lambda done, total: self._report("sent", done, total))

        try:
            board = self._board()
            done: Deployed = await asyncio.wrap_future(board.do("deploying", work))
            await running.io_bound(desk.use, model, desk.data_of(run))
            if not board.senses:
                await asyncio.wrap_future(board.supply(desk.supply()))
        except DitmosError as error:
            self._notice.say(str(error), "bad")
        else:
            where = done.path or "RAM, until the next reset"
            self._notice.say(f"{done.bytes:,} bytes in {where}, CRC {done.crc:08x} as the board computed it", "good")
        self._step = ("", 0, 1)

    async def _verify(self) -> None:
        run, desk = self._run, self._visit.desk
        assert run

        def work(board: Board) -> Verification:
            model = Model(read_model(run / MODEL)[0])
            part = desk.part if desk.dataset is not None and desk.dataset.split is not None else "all"
            fits = desk.dataset is not None and desk.dataset.class_names == model.class_names
            windows, samples = some_windows(model, desk.dataset if fits else None, part, _COUNT)
            return verify(board, run / MODEL, windows, samples=samples, progress=self._report)

        try:
            found: Verification = await asyncio.wrap_future(self._board().do("verifying", work))
        except DitmosError as error:
            self._notice.say(str(error), "bad")
        else:
            bytes_ = sum(piece.bytes for piece in found.slices)
            if found.equal:
                said = f"Equal, byte for byte: {bytes_:,} bytes of maps, {found.windows} windows end to end"
                self._notice.say(said, "good")
            else:
                self._notice.say(f"Different: {found.first}", "bad")
        self._step = ("", 0, 1)

    def _report(self, what: str, done: int, total: int) -> None:
        """From the board's thread."""
        self._step = (what, done, total)

    def _tick(self) -> None:
        what, done, total = self._step
        self._bar.visible = bool(what)
        if what:
            self._bar.set_value(done / max(total, 1))
