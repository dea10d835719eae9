"""The page around the tabs: which board, how it is, light or dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nicegui import ui

from ditmos.ui.desk import Desk
from ditmos.ui.inside_page import InsidePage
from ditmos.ui.live_page import LivePage
from ditmos.ui.pieces import box, button, html
from ditmos.ui.policy_page import PolicyPage
from ditmos.ui.record_page import RecordPage
from ditmos.ui.train_page import TrainPage
from ditmos.ui.visit import Visit

STYLE = (Path(__file__).parent / "static" / "style.css").read_text()
PAGES: dict[str, Callable[[Visit], object]] = {
    "Live": LivePage,
    "Policy": PolicyPage,
    "Record": RecordPage,
    "Train": TrainPage,
    "Inside": InsidePage,
}
_STATUS = 0.5  # seconds between two looks at how the board is


def build(desk: Desk, invite: Callable[[], str]) -> None:
    """A page. ``invite``: a new address for another browser."""
    ui.add_css(STYLE)
    ui.colors(primary="#0b6577")
    visit = Visit(desk)
    dark = ui.dark_mode(None)
    with box("top", "header"):
        html("<h1>DiTMoS</h1>")
        with ui.tabs().props("no-caps inline-label dense align=left") as tabs:
            for name in PAGES:
                ui.tab(name)
        ui.element("div").classes("grow")
        _boards(visit)
        _status(visit)
        _menu(dark, invite)
    with box("page"):
        panels = ui.tab_panels(tabs, value=visit.tab, animated=False).props("keep-alive")
        with panels:
            for name, page in PAGES.items():
                with ui.tab_panel(name):
                    page(visit)

    def show(tab: str) -> None:
        visit.tab = tab

    panels.on_value_change(lambda event: show(str(event.value)))

    def inside() -> None:
        tabs.set_value("Inside")

    visit.on_pick = inside


def _boards(visit: Visit) -> None:
    """A tab for each board, where there are several."""
    if len(visit.desk.boards) < 2:
        return

    def choose(value: str) -> None:
        visit.index = int(value)

    with ui.tabs(on_change=lambda event: choose(event.value)).props("no-caps dense") as tabs:
        for i, board in enumerate(visit.desk.boards):
            ui.tab(str(i), label=board.title)
    tabs.set_value("0")
    tabs.props('aria-label="Boards"')


def _status(visit: Visit) -> None:
    with box("status", role="status"):
        dot = ui.element("span").classes("dot")
        text = ui.label()

    def tick() -> None:
        board = visit.board
        if board is None:
            text.text = "no board"
            return
        dot.classes(replace=f"dot {board.state}")
        said = f"{board.title}: {board.message or board.state}"
        if text.text != said:
            text.text = said

    ui.timer(_STATUS, tick)


def _menu(dark: ui.dark_mode, invite: Callable[[], str]) -> None:
    def turn() -> None:
        dark.value = {None: True, True: False, False: None}[dark.value]
        shade.text = {None: "Auto", True: "Dark", False: "Light"}[dark.value]

    shade = button("Auto", turn, hint="Light, dark, or as the system has it").props('aria-label="Light or dark"')

    def share() -> None:
        address.value = invite()
        dialog.open()

    button("Share", share, hint="An address for another browser on this machine")
    with ui.dialog() as dialog, box("card"):
        html("<h2>An address for another browser</h2><p class=muted>It is good for one visit, on this machine.</p>")
        address = ui.input("Address").props("readonly outlined dense").style("width: min(460px, 80vw)")
        button("Close", dialog.close)
