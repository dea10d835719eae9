"""A model, its routing policy, and the window it works on."""

import sys
from array import array

import _ditmos

from . import rom, routing

rom.mount()


class Engine:
    """`engine(samples)` -> (class name, classifier); the name is None when the policy abstains.

    `engine.policy` may be replaced at any time, also from the REPL: a callable `policy(model, window) -> (label, k)`.
    """

    def __init__(self, model, policy=routing.top1):
        self.model = model
        self.policy = policy
        self.window = array("b", bytes(model.window * model.channels))
        self.raw = model.raw_window * model.raw_channels  # values of a raw window, 0 without a front end

    def __call__(self, samples):
        """`samples`: one window, time by channels flattened: array('h') raw, array('f') real units, array('b') int8. Of
        a model with a front end also a window of its raw samples, array('h'), `model.raw_window` or a few more.

        Raises ValueError for another length, TypeError for another type.
        """
        label, k = self.policy(self.model, self.quantize(samples))
        return None if label is None else self.model.class_names[label], k

    def quantize(self, samples):
        """The same window as int8: in a buffer that the next call overwrites, or `samples` where they are int8. None
        where they have gone through the front end: to `select`, None is the window that was fed."""
        if self.raw and self.raw <= len(samples) < self.raw + self.model.raw_hop * self.model.raw_channels:
            self.model.feed_reset()
            self.model.feed(samples)
            return None
        try:
            self.model.quantize(samples, self.window)
        except TypeError:
            return samples  # select() refuses whatever is not int8
        return self.window


def find(name):
    """Path of the first file called `name` in the current folder and those of sys.path; OSError when there is none."""
    folders = [""] + [folder for folder in sys.path if folder not in ("", ".frozen")]
    for folder in folders:
        path = folder + "/" + name if folder else name
        for candidate in (path, path + ".new"):  # .new: complete, only the last renaming was cut off
            try:
                open(candidate).close()
                return candidate
            except OSError:
                pass
    raise OSError("no %s in %s" % (name, ", ".join(folder or "." for folder in folders)))


def load_model(path=None):
    """`_ditmos.Model` of a file (default: model.dtm, searched for).

    File and arena are put in tightly coupled memory if they fit. Else a file in ROMFS is used where it lies; one on
    another filesystem is copied to the heap.
    Raises OSError (no file), ValueError (not a model, or a damaged one), MemoryError.
    """
    with open(path or find("model.dtm"), "rb") as file:
        try:
            buffer = memoryview(file)
        except TypeError:
            buffer = file.read()
    try:
        import tcm
    except ImportError:
        return _ditmos.Model(buffer)
    try:
        buffer = tcm.copy(buffer)
    except MemoryError:
        pass
    return _in_tcm(buffer, tcm.data) or _ditmos.Model(buffer)


_taken = 0  # bytes of tcm.data that are arenas of models loaded before


def _in_tcm(buffer, memory):
    """A model whose arena is a part of `memory` that no other model has; None when too little is left."""
    global _taken
    try:
        model = _ditmos.Model(buffer, memory[_taken:])
    except ValueError:  # too small, or the file is not valid: then the next attempt says so
        return None
    _taken += (model.arena_size + 3) // 4 * 4
    return model


def load(path=None, policy=routing.top1):
    """An `Engine` with the model of `load_model(path)`."""
    return Engine(load_model(path), policy)
