"""The window of a model that moves on by what comes in."""

from array import array

from .routing import Counter


class Sliding(Counter):
    """A model whose window moves on: `select` computes only what is new, where the model's plan lasts that long."""

    def __init__(self, model):
        super().__init__(model)
        self.slides = True
        self._new = None
        self._selected = False

    def move(self, new):
        """Before each window: the samples that it has beyond the one before, or None if it starts afresh.

        A policy that let a window pass without `select` has left the model behind: it starts afresh, too.
        """
        self._new = new if self._selected and self.slides else None
        self._selected = False
        self.begin()

    def select(self, window):
        self.runs = 0
        self.selects += 1
        self._selected = True
        new, self._new = self._new, None
        if new is not None:
            try:
                return self.model.slide(new)
            except RuntimeError:  # the plan does not keep the window
                self.slides = False
        return self.model.select(window)


class Window:
    """The last rows as int8. `clean`: how many rows came since the last one with a value that is no number."""

    def __init__(self, model):
        self._model = model
        self._size = model.window * model.channels  # values of a window
        # The last windows. The current one ends at _end; it is moved to the start when the room runs out.
        self._ring = memoryview(array("b", bytes(2 * self._size)))
        self._end = self._size
        self.clean = 0

    def push(self, values, int8=False):
        """Take in rows, at most a window of them: raw or in real units, of all channels, or `int8`, of those that the
        network reads. Returns views (window, what is new of it), int8, until the next call."""
        model, ring, size = self._model, self._ring, self._size
        rows = len(values) // (model.channels if int8 else len(model.inputs))
        count = rows * model.channels
        if self._end + count > len(ring):
            keep = size - count
            ring[:keep] = ring[self._end - keep : self._end]
            self._end = keep
        start, self._end = self._end, self._end + count
        new = ring[start : self._end]
        bad = 0
        if int8:
            new[:] = values
        else:
            bad = model.quantize(values, new)
        self.clean = rows - bad if bad else self.clean + rows
        return ring[self._end - size : self._end], new
