"""What pages draw with: components in static/, which a page is given data for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from numpy.typing import NDArray

from ditmos.ui.colours import colours_of
from ditmos.ui.history import History
from ditmos.ui.sight import Sight, text_of

HOW = (
    "Signal and answers over time. Arrow left and right scroll, with shift they go from answer to answer; plus and "
    "minus zoom, space stops and goes on, end follows the newest, enter looks inside of a window."
)


class Scope(Element, component="static/scope.js"):
    """A signal and the answers to it. ``picked`` is called with the number of an answer, ``said`` with its text."""

    def __init__(self, picked: Callable[[int], None], said: Callable[[str], None]) -> None:
        super().__init__()
        self._props["label"] = HOW
        self.sight: Sight | None = None
        self._truth = False
        self._width = 0
        self.on("view", self._look)
        self.on("pick", lambda event: picked(int(event.args["number"])))
        self.on("said", lambda event: said(str(event.args["text"])))

    def watch(self, history: History, span: float = 20.0) -> Sight:
        """Show a history from now on, at first ``span`` seconds of it."""
        self.sight = Sight(history, span)
        if self._width:
            self.sight.change({"width": self._width})
        self._truth = False
        self._set_up()
        return self.sight

    def tick(self) -> None:
        """Show what is new."""
        if self.sight is None:
            return
        if not self._truth and any(answer.truth is not None for answer in self.sight.history.last(1)):
            self._set_up()
        if news := self.sight.news():
            self.run_method("show", news)

    def look(self, **asked: Any) -> None:
        """As `Sight.change`."""
        if self.sight:
            self.sight.change(asked)
            self.tick()

    def _set_up(self) -> None:
        assert self.sight
        setup = self.sight.setup()
        self._truth = setup["truth"]
        self._props["setup"] = setup
        self.sight.change({})
        self.update()

    def _look(self, event: GenericEventArguments) -> None:
        self._width = int(event.args.get("width", self._width))
        self.look(**event.args)


class Bars(Element, component="static/bars.js"):
    """Named values from 0 to 1: rows of name, value, text, colour, now (the one that counts)."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._props["label"] = label
        self._props["rows"] = []

    def show(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows != self._props["rows"]:
            self._props["rows"] = list(rows)
            self.update()


def choice(shares: NDArray[np.float64], now: int | None) -> list[dict[str, Any]]:
    """Rows of `Bars`: the probability of each classifier, of which ``now`` answered."""
    colours = colours_of(len(shares))
    return [
        {"name": f"classifier {k}", "value": float(p), "text": f"{p:.2f}", "colour": colours[k], "now": k == now}
        for k, p in enumerate(shares)
    ]


class Matrix(Element, component="static/matrix.js"):
    """Counts (classes, classes + 1) of classes and what they are taken for, the last column being no answer. ``picked``
    is called with the class and the column of a cell."""

    def __init__(self, label: str, names: Sequence[str], counts: NDArray[np.int64], picked: Callable[[int, int], None]):
        super().__init__()
        self._props["label"] = label
        self._props["names"] = list(names)
        self._props["counts"] = counts.tolist()
        self.on("pick", lambda event: picked(int(event.args["c"]), int(event.args["t"])))


class Maps(Element, component="static/maps.js"):
    """Maps of int8 (channels, rows) by name."""

    def __init__(self) -> None:
        super().__init__()
        self._props["maps"] = []

    def show(self, maps: Sequence[tuple[str, NDArray[np.int8]]]) -> None:
        self._props["maps"] = [
            {
                "name": name,
                "size": f"{values.shape[0]} x {values.shape[1]}",
                "said": f"{name}: {values.shape[0]} channels, {values.shape[1]} rows",
                "rows": values.shape[0],
                "columns": values.shape[1],
                "values": text_of(values),
            }
            for name, values in maps
        ]
        self.update()
