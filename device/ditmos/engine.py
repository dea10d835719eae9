"""A model, its routing policy, and the window it works on."""

import gc
import sys
from array import array

import _ditmos

from . import rom, routing

rom.mount()


class Engine:
    """`engine(samples)` -> (class name, who answered): a classifier's number, or SELECTOR, ALL, NOBODY of routing.py.

    The name is None where the policy abstains, which is by NOBODY. `engine.policy` may be replaced at any time, also
    from the REPL: a callable `policy(model, window) -> (label, who)`; given none, it is what the model's file says.
    `engine.on_nan` says what becomes of a window with a NaN or infinity in it: "abstain", or "raise" (ValueError).
    """

    on_nan = "abstain"

    def __init__(self, model, policy=None):
        self.model = model
        self.policy = own_policy(model) if policy is None else policy
        self.window = array("b", bytes(model.window * model.channels))
        self.raw = model.raw_window * model.raw_channels  # values of a raw window, 0 without a front end
        self.finite = True

    @property
    def policy(self):
        return self._policy

    @policy.setter
    def policy(self, policy):
        """Raises TypeError for what cannot be called."""
        if not callable(policy):
            raise TypeError("policy is %r, expected a function of model and window" % (policy,))
        self._policy = policy

    def __call__(self, samples):
        """`samples`: one window, time by channels flattened: array('h') raw, array('f') real units, array('b') int8. Of
        a model with a front end also a window of its raw samples, array('h'), `model.raw_window` or a few more.

        Raises ValueError for another length, TypeError for another type.
        """
        label, who = self.decide(self.quantize(samples))
        return None if label is None else self.model.class_names[label], who

    def decide(self, window):
        """(class index or None, who answered) for what `quantize` returned."""
        if not self.finite:
            return None, routing.NOBODY
        return routing.verdict(self.model, self._policy(self.model, window))

    def quantize(self, samples):
        """The same window as int8: in a buffer that the next call overwrites, or `samples` where they are int8. None
        where they have gone through the front end: to `select`, None is the window that was fed.

        `engine.finite` says whether all of it were numbers; ValueError where not and `on_nan` is "raise".
        """
        if self.raw and self.raw <= len(samples) < self.raw + self.model.raw_hop * self.model.raw_channels:
            self.finite = True
            self.model.feed_reset()
            self.model.feed(samples)
            return None
        try:
            row = self.model.quantize(samples, self.window)
        except TypeError:
            self.finite = True
            return samples  # select() refuses whatever is not int8
        self.finite = not row
        if row and self.on_nan == "raise":
            raise ValueError("row %d of the window has a value that is no number" % (row - 1))
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
    Raises OSError (no file), ValueError (not a model, or a damaged one), MemoryError (larger than the heap's room).
    """
    try:
        found = path or find("model.dtm")
        file = open(found, "rb")
    except OSError as error:
        raise OSError("no %s: %s" % (path, error)) if path else error
    with file:
        try:
            buffer = memoryview(file)
        except TypeError:
            buffer = _contents(file, found)
    try:
        import tcm
    except ImportError:
        return _ditmos.Model(buffer)
    try:
        buffer = tcm.copy(buffer)
    except MemoryError:
        pass
    return _in_tcm(buffer, tcm.data) or _ditmos.Model(buffer)


def _contents(file, path):
    """All of a file, as bytes that the model uses where they lie. `read` of a file that mpremote has mounted takes its
    size twice, and where the heap has no room it leaves the rest on the line, which is then out of step.

    Raises MemoryError that names the file.
    """
    try:
        import uctypes
    except ImportError:  # a small firmware that is not ours
        return file.read()
    size = file.seek(0, 2)
    file.seek(0)
    gc.collect()
    try:
        held = bytes(size)
    except MemoryError:
        said = "%s has %d bytes, of the heap %d are free; `ditmos deploy` puts it into flash, which runs it in place"
        raise MemoryError(said % (path, size, gc.mem_free()))
    file.readinto(uctypes.bytearray_at(uctypes.addressof(held), size))
    return held


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


def own_policy(model):
    """The policy of a model where nobody gives one: `policy` in a file policy.py that lies where models are looked for
    (`ditmos deploy --policy` puts it there), else the one that the model's file names.

    Raises ValueError where routing.py has no such policy.
    """
    try:
        path = find("policy.py")
    except OSError:
        return routing.named(model.policy, model.margins)
    space = {}
    with open(path) as file:
        exec(file.read(), space)
    if "policy" not in space:
        raise ValueError("%s: defines no policy" % path)
    return space["policy"]


def load(path=None, policy=None):
    """An `Engine` with the model of `load_model(path)` and a policy, `own_policy` if none is given."""
    return Engine(load_model(path), policy)
