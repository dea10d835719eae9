"""A stream as it runs, in the terminal: signal, label, classifiers, times, line."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ditmos.link.stream import Counts, Result
from ditmos.routing import name_of

_MARKS = "▁▂▃▄▅▆▇█"
_RECENT = 1000  # results that the percentiles are about


def sparkline(values: Sequence[float] | NDArray, width: int, low: float, high: float) -> str:
    """``width`` characters; each shows the mean of its share of the values between low and high."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return ""
    means = [part.mean() for part in np.array_split(values, min(width, len(values)))]
    span = high - low or 1.0
    return "".join(_MARKS[int(np.clip((mean - low) / span * len(_MARKS), 0, len(_MARKS) - 1))] for mean in means)


class View:
    """Collects results; `render` draws the latest state."""

    def __init__(self, channels: Sequence[str], classifiers: int, title: str = "", width: int = 60) -> None:
        self.channels = channels
        self.title = title
        self.width = width
        self._answered = Counter({k: 0 for k in range(classifiers)})
        self._last: Result | None = None
        self._labels: deque[str] = deque(maxlen=width)
        self._latency: deque[float] = deque(maxlen=_RECENT)
        self._device: deque[int] = deque(maxlen=_RECENT)
        self._low: NDArray | None = None
        self._high: NDArray | None = None

    def add(self, result: Result) -> None:
        self._last = result
        self._labels.append(result.name or "?")
        self._answered[result.who] += 1
        self._latency.append(result.latency)
        self._device.append(result.microseconds)

    def render(self, window: NDArray, counts: Counts) -> RenderableType:
        """``window``: samples (rows, channels) of the last result."""
        parts: list[RenderableType] = [self._signal(window), Text()]
        if self._last:
            parts += [self._label(self._last), Text(), self._histogram(), Text(), self._times()]
        parts += [Text(), self._line(counts)]
        return Panel(Group(*parts), title=self.title, title_align="left")

    def _signal(self, window: NDArray) -> Table:
        table = Table.grid(padding=(0, 1))
        if len(window):
            low, high = window.min(axis=0), window.max(axis=0)
            self._low = low if self._low is None else np.minimum(low, self._low)
            self._high = high if self._high is None else np.maximum(high, self._high)
            for c in range(window.shape[1]):
                name = self.channels[c] if c < len(self.channels) else str(c)
                table.add_row(
                    name, Text(sparkline(window[:, c], self.width, self._low[c], self._high[c]), style="cyan")
                )
        return table

    def _label(self, result: Result) -> Table:
        table = Table.grid(padding=(0, 1))
        name = Text(result.name or "(no answer)", style="bold green" if result.name else "yellow")
        if result.confidence is not None:
            name.append(f"  {result.confidence:.2f} ", style="not bold default")
            name.append("█" * round(result.confidence * 20), style="green")
        table.add_row("label", name)
        table.add_row("window", f"{result.number}")
        return table

    def _histogram(self) -> Table:
        table = Table.grid(padding=(0, 1))
        most = max(self._answered.values(), default=0) or 1
        for k, count in sorted(self._answered.items()):
            now = self._last and self._last.who == k
            bar = Text("█" * round(count / most * 30), style="bold magenta" if now else "magenta")
            table.add_row(name_of(k), bar, str(count))
        return table

    def _times(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row("", "p50", "p95", "p99")
        for name, values, scale in (
            ("latency, ms", np.array(self._latency) * 1000, "{:.1f}"),
            ("on the device, ms", np.array(self._device) / 1000, "{:.2f}"),
        ):
            table.add_row(name, *(scale.format(v) for v in np.percentile(values, (50, 95, 99))))
        return table

    def _line(self, counts: Counts) -> Text:
        errors = counts.bad + counts.device.get("bad", 0)
        text = (
            f"line: {counts.sent} frames sent, {errors} damaged, {counts.resent} repeated, {counts.restarts} restarts"
        )
        return Text(text, style="red" if errors or counts.restarts else "dim")
