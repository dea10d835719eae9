"""Recorded windows from a NumPy file, one at a time."""

import struct
from array import array

from .engine import find

_TYPES = {"|i1": "b", "|u1": "B", "<i2": "h", "<u2": "H", "<i4": "i", "<i8": "q", "<f4": "f"}


class Windows:
    """A `.npy` file of shape (n, ...) as a sequence of n flat arrays; nothing but the one asked for is in memory.

    `shape`: of the whole, `typecode`: of the arrays. An array is overwritten by the next access.
    Raises OSError (no file) and ValueError (not a little-endian C-ordered array of a type above).
    """

    def __init__(self, path):
        self.file = open(path, "rb")
        try:
            self.start, self.shape, self.typecode = self._header()
        except (ValueError, IndexError):
            self.file.close()
            known = " ".join(sorted(_TYPES))
            what = "np.save(%r, np.ascontiguousarray(x, np.float32)) writes one, int16 of raw samples" % path
            raise ValueError("%s: no NumPy array of a type in %s; %s" % (path, known, what))
        size = 1
        for n in self.shape[1:]:
            size *= n
        self.buffer = array(self.typecode, (0 for _ in range(size)))
        self.bytes = size * struct.calcsize(self.typecode)

    def _header(self):
        """Offset of the data, shape and typecode. Counts bytes itself: files under `mpremote mount` have no tell()."""
        head = self.file.read(8)
        if head[:6] != b"\x93NUMPY":
            raise ValueError
        form = "<H" if head[6] == 1 else "<I"
        size = struct.calcsize(form)
        field = self.file.read(size)
        if len(field) != size:
            raise ValueError
        length = struct.unpack(form, field)[0]
        header = self.file.read(min(length, 1024)).decode()
        if length > 1024 or "'fortran_order': False" not in header:
            raise ValueError
        typecode = _TYPES.get(header.split("'descr': '")[1].split("'")[0])
        shape = tuple(int(n) for n in header.split("'shape': (")[1].split(")")[0].split(",") if n.strip())
        if typecode is None or not shape or min(shape) < 0:
            raise ValueError
        return 8 + size + length, shape, typecode

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, i):
        if isinstance(i, slice):
            return Part(self, range(len(self))[i])
        if not 0 <= i < len(self):
            raise IndexError("window %d of %d" % (i, len(self)))
        self.file.seek(self.start + i * self.bytes)
        if self.file.readinto(self.buffer) != self.bytes:
            raise ValueError("the file ends inside window %d" % i)
        return self.buffer

    def close(self):
        self.file.close()


class Part:
    """`windows[2:7]`: some of them, by the same rules."""

    def __init__(self, windows, rows):
        self.windows = windows
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        rows = self.rows[i]
        return Part(self.windows, rows) if isinstance(i, slice) else self.windows[rows]


def windows(path=None):
    """`Windows` of a file (default: windows.npy, searched for)."""
    return Windows(path or find("windows.npy"))
