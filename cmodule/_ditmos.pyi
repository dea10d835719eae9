"""Int8 inference of routed networks on the device: a selector, K classifiers, run in slices in one arena.

All results are views of the arena, made once: nothing is allocated after construction, and a view shows the latest
run. Arithmetic: docs/arithmetic.md. Model file and plan: docs/format.md.
"""

from array import array
from collections.abc import Buffer, Iterable

def argmax(values: Buffer | Iterable[float]) -> int:
    """Index of the largest, the first of equals, 0 of nothing: of int8 logits, votes, or any iterable of numbers.

    Raises:
        TypeError: a buffer of another type, or not iterable.
    """

def lead(values: Buffer | Iterable[int]) -> int:
    """By how much the largest leads the second largest, 255 without a second: of int8 logits, votes, or any iterable of
    whole numbers.

    Raises:
        TypeError: a buffer of another type, or not iterable.
    """

def narrow(words: array[int], samples: array[int], shift: int) -> int:
    """Words of a converter, array('i') or array('h'), to `samples`, array('h') of the same length, which may be the
    same array: `shift` bits less, rounded.

    What does not fit 16 bits is limited; returns how many of them did not.

    Raises:
        ValueError: another length, or a shift that is none. TypeError: other types.
    """

def watch(samples: array[int], state: array[int]) -> None:
    """Look over rows of samples, array('h'); `state`, array('i'), zeros at first, has four values and one a channel:

    values at either end of 16 bits so far; how many rows up to now were equal to the row before; the loudness of these
    samples, the root of their mean square about the mean, of the channel that has most; rows so far; the newest row.

    Raises:
        ValueError: no whole rows of the channels, or 65,536 rows and more. TypeError: other types.
    """

def chosen(model: Model, logits: Buffer | Iterable[float], policy: str = "top1") -> int:
    """The classifier that the model's rule chooses, of the selector's logits; 0 where there is one. ``policy``: who
    asks.

    Raises:
        ValueError: there are several classifiers and nothing to choose by.
    """

class Model:
    """A model file, checked and ready to run."""

    window: int  # rows of a window
    channels: int
    classes: int
    classifiers: int
    arena_size: int  # bytes
    inputs: tuple[tuple[str, str, float, int, float, bool], ...]
    # of each channel: name, units, scale, zero point, sample scale, used;
    # real = (q - zero_point) * scale = raw * sample_scale; rows have all of these, a window those that are used
    rate: float  # rows per second, 0 where it is not known
    policy: str  # who answers, if nobody says otherwise: a name of routing.py or of the user's own
    margins: tuple[int, ...]  # its settings
    routes: int  # how many of the selector's outputs stand for classifiers: the first `classifiers`, or none
    exits: int  # how many behind them are class logits of its own: `classes`, or none
    once: bool  # the plan allows one classify of a window
    selector_scale: float
    selector_zero_point: int
    logit_scale: float
    logit_zero_point: int
    class_names: tuple[str, ...]
    slices: tuple[str, ...]  # names, select slices first
    experts: tuple[str, ...]  # who may answer beside selector and classifiers: "forest", "specialists", or nobody
    trees: int  # of the forest, 0 without one
    specialists: int  # classifiers that the forest's votes name: all, or 0

    def __init__(self, buffer: Buffer, arena: Buffer | None = None) -> None:
        """Check the file in `buffer` and allocate all that is ever needed.

        A read-only buffer (bytes, a memoryview of a file in ROMFS) is used in place and kept; one that can be written
        to is copied. At an address that is not a multiple of 4, weights are used through copies: the selector's, and
        those of the chosen classifier; so they are, from flash, on a board that has faster memory to spare. `arena`:
        writable memory of at least `arena_size` bytes at a multiple of 4,
        allocated if not given.

        Raises:
            ValueError: the file is not a valid model: field and offset; or the arena is too small or not aligned.
            TypeError: not a buffer.
        """

    def quantize(self, src: array[float] | array[int], dst: Buffer) -> int:
        """Rows of array('f') in real units or array('h') of raw samples -> int8 in `dst`, rounded and saturated.

        Returns 1 + the row of the last NaN or infinity in a channel that is used, 0 where there is none.
        """

    def load(self, window: Buffer) -> None:
        """Take in a window and run nothing: what `step` then starts from. Raises as `select`."""

    def select(self, window: Buffer | None) -> memoryview:
        """int8 window (window, channels), flattened -> selector logits, int8; of length 0 without a selector.

        None is the window that has been fed: `select_fed`. So a policy runs on either.

        Raises:
            ValueError: wrong length. TypeError: not int8.
        """

    def slide(self, samples: Buffer) -> memoryview:
        """Like `select` on the last window moved on by `samples`, int8 (1 to window, channels), flattened.

        What the plan keeps of the last window is not computed again; the result is the same.

        Raises:
            RuntimeError: there is no last window, or the plan does not keep it.
        """

    def classify(self, k: int) -> memoryview:
        """Class logits of classifier `k` on the last window, int8.

        Raises:
            ValueError: k is out of range. RuntimeError: nothing has been selected, or the plan allows one classify a
            window.
        """

    def step(self, i: int, k: int = 0) -> None:
        """Run slice `i` alone, with classifier `k` if it is a classify slice, on what is in the arena.

        Raises:
            ValueError: i or k is out of range. RuntimeError: what the slice reads is not there.
        """

    def features(self, level: int) -> memoryview:
        """Selector map `level` (channels, rows), int8, flattened; level 0 is the window.

        A copy, for which memory is allocated, where the plan leaves gaps between the planes for maps that grow there.

        Raises:
            ValueError: the plan does not keep this map whole. RuntimeError: nothing has been selected, or classify has
            used the map up.
        """

    # Raw samples in, where the model has a front end (docs/frontends.md); else these are 0, raw_units empty.
    raw_channels: int
    raw_hop: int  # samples from one row to the next
    raw_window: int  # samples of a window
    kept_rows: int  # rows that a window is made of: `window`, more where the network reads features of them
    raw_rate: float  # samples per second
    raw_scale: float  # real units of a step of a sample
    raw_units: str

    def feed(self, samples: array[int]) -> int:
        """Take in samples, array('h'), (any number, raw_channels), flattened -> how many rows they made.

        The newest rows are the window that `select_fed` runs on. How samples are cut changes no row.

        Raises:
            ValueError: no front end, or not whole rows of channels. TypeError: not int16.
        """

    def select_fed(self) -> memoryview:
        """`select` on the newest rows. What the plan keeps of the last window is not computed again.

        Raises:
            RuntimeError: not a window of rows yet, since the reset or since another window was taken in.
        """

    def feed_reset(self) -> None:
        """Forget all samples, for instance after a gap in them. A calibration stays."""

    def row(self) -> memoryview:
        """The newest row, int16, before `Centre`; a view of the arena."""

    # A forest votes on features of the window that was fed (docs/experts.md).

    def summary(self) -> memoryview:
        """Features of the window that was fed, int16; a view of the arena.

        Raises:
            ValueError: the front end has no Summary. RuntimeError: not a window of rows yet.
        """

    def votes(self, window: None) -> memoryview:
        """The forest's votes for each class on the window that was fed, uint16: 15 of each tree.

        Raises:
            ValueError: no forest, or an int8 window instead of None. RuntimeError: not a window of rows yet.
        """

    def specialist(self) -> int:
        """The classifier that the last votes name: that of the nearest cluster of votes.

        Raises:
            ValueError: they name none. RuntimeError: there are no votes.
        """

    def both(self, logits: Buffer, weight: int) -> int:
        """The class that a classifier's logits and the last votes like best together; `weight` eighths are the votes'.

        Raises:
            ValueError: no forest, other logits, or a weight beyond 0 to 8. RuntimeError: there are no votes.
        """

    def calibrate(self, samples: array[int]) -> int:
        """Samples like those of `feed`, for the scale of whoever wears the board -> rows since `feed_reset`.

        From now on rows have the mean and the deviation of all of these. The samples do not go into the window.

        Raises:
            ValueError: no front end, or it has nothing to calibrate. RuntimeError: more than 65,535 rows.
        """
