"""One open page: which board and which tab it shows. What boards do and keep does not depend on it."""

from __future__ import annotations

from collections.abc import Callable

from ditmos.ui.desk import Desk, Watched

TABS = ("Live", "Policy", "Record", "Train", "Inside")


class Visit:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.index = 0
        self.tab = TABS[0]
        self.picked: tuple[Watched, int] | None = None  # a board's answer to look inside of
        self.on_pick: Callable[[], None] = lambda: None

    @property
    def board(self) -> Watched | None:
        return self.desk.board(self.index)

    def shown(self, tab: str) -> bool:
        return self.tab == tab

    def look_inside(self, number: int) -> None:
        """Of the window that an answer of this number is about."""
        if self.board is not None:
            self.picked = self.board, number
            self.on_pick()
