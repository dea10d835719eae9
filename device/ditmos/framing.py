"""Reliable messages over a noisy serial line: one file for the board and for the host (docs/protocol.md).

Frames are byte-stuffed so that 0x00, which ends a frame, and 0x01 to 0x04 never occur in one. 0x03 is Ctrl-C to
MicroPython: the interrupt stays armed while frames are on the line. The others are commands to the raw REPL: a frame
that reaches a board at its prompt does nothing. `Link` adds order and repetition.
"""

from binascii import crc32

PROTOCOL = 3  # version of what is said over these frames
ACK, NAK, HELLO, SAMPLES, RESULT, STATUS, END, POLICY, SETUP = range(9)
MORE = 0x80  # flag of a kind: the message goes on in the next frame
BOARD = 0x40  # flag of a kind: sent by the board

RESULT_LAYOUT = "<IHBBI"  # number, label, who answered, classifier runs, microseconds; logits follow
NO_LABEL = 0xFFFF  # label of a result when the policy abstains
# Who answered: a classifier, 0 to 63, or one of these. Experts of other kinds come below, downward.
NOBODY = 0xFF  # the policy abstained
SELECTOR = 0xFE  # the selector, by class logits of its own
ALL = 0xFD  # all classifiers together
FOREST = 0xFC  # the forest, by its votes

PAYLOAD = 100  # bytes of payload in one frame, at most
OVERHEAD = 12  # a frame on the line is at most this much longer: header 3, CRC 4, stuffing 3, delimiters 2
CREDIT = 224  # two full frames: what a board with a receive buffer of 260 bytes lets the host send ahead
HEARTBEAT = 500  # ms: an idle side acknowledges this often
SILENCE = 2500  # ms without one good frame: the other side is gone

_RESERVED = (b"\0", b"\1", b"\2", b"\3", b"\4")
_RUN = 50  # longest run of bytes behind one code
_FULL = len(_RESERVED) * _RUN  # code of such a run
_RESIDUE = 0x2144DF1C  # CRC-32 over data followed by its own CRC-32, little-endian
_SLOTS = 16  # frames kept until they are acknowledged; divides 256
_PATIENCE = 100  # ms before an unacknowledged frame is sent again, on top of twice the round trip
_LONGEST = 1600  # ms, limit of that


def _find(data, value, start, stop):
    """First index of a byte in data[start:stop], `stop` where there is none."""
    at = data.find(value, start, stop)
    return stop if at < 0 else at


def stuff(data):
    """`data` without the five reserved values: consistent overhead byte stuffing, made to avoid more than one.

    Each block is a code and up to 50 bytes; the code says how many bytes follow and which reserved value comes after
    them (or none behind a full run). At the end stands a 0x00 that is not part of the data.
    """
    out = bytearray()
    start, size = 0, len(data)
    found = [-1] * len(_RESERVED)
    while start <= size:
        end, which = size, 0
        for i in range(len(_RESERVED)):
            if found[i] < start:
                found[i] = _find(data, _RESERVED[i], start, size)
            if found[i] < end:
                end, which = found[i], i
        if end - start >= _RUN:
            end = start + _RUN
            out.append(_FULL + 5)
            out += data[start:end]
            start = end
        else:
            code = end - start + which * _RUN
            out.append(code + 5)
            out += data[start:end]
            start = end + 1
    return out


class Decoder:
    """Bytes from the line to frames. `frame[:size]` is the last good one; `bad` counts those that were not.

    `sure`: so many more bytes belong to the frame at hand, if nothing got lost.
    """

    def __init__(self):
        self.frame = bytearray(PAYLOAD + 7)
        self.view = memoryview(self.frame)
        self.size = 0
        self.bad = 0
        self._clear()

    def _clear(self):
        self._n = 0  # bytes decoded; -1: the frame is spoilt
        self._left = 0  # bytes up to the next code
        self._after = -1  # value that comes before the next code, -1: none
        self._empty = True
        self.sure = 1

    def feed(self, data, start, stop):
        """Take `data[start:stop]`, bytes or bytearray, up to the end of the first good frame.

        Returns the index behind it; `stop` with `size` 0 when there was none.
        """
        self.size = 0
        while start < stop:
            end = _find(data, b"\0", start, stop)
            if end > start:
                self._take(data, start, end)
            if end == stop:
                break
            start = end + 1
            good = not self._left and self._after == 0 and self._n >= 7 and crc32(self.view[: self._n]) == _RESIDUE
            if good:
                self.size = self._n
            elif not self._empty:
                self.bad += 1
            self._clear()
            if good:
                return start
        return stop

    def _take(self, data, start, end):
        """Undo the stuffing of bytes without a delimiter among them."""
        self._empty = False
        n, left, after = self._n, self._left, self._after
        frame = self.view
        for value in _RESERVED[1:]:
            if data.find(value, start, end) >= 0:
                n = -1
        while start < end and n >= 0:
            if left:
                count = min(left, end - start)
                if n + count > len(frame):
                    n = -1
                    break
                frame[n : n + count] = data[start : start + count]
                n += count
                start += count
                left -= count
                continue
            if after >= 0:
                if n == len(frame):
                    n = -1
                    break
                frame[n] = after
                n += 1
            code = data[start] - 5
            start += 1
            if code < _FULL:
                left, after = code % _RUN, code // _RUN
            else:  # _FULL: no code is above it
                left, after = _RUN, -1
        self._n, self._left, self._after = n, left, after
        self.sure = left + 1 if n >= 0 else 1


def encode(kind, number, ack, payload):
    """One frame as it goes over the line, with a delimiter at each end."""
    frame = bytearray((kind, number, ack))
    frame += payload
    frame += crc32(frame).to_bytes(4, "little")
    return b"\0" + stuff(frame) + b"\0"


class Link:
    """One end of a line: messages arrive once, in order, whole, or not at all.

    Args:
        write: sends bytes.
        clock: milliseconds, modulo 2^30 or more.
        deliver: called with (kind, payload) for each message; the payload is valid until it returns. When it returns
            False the frame counts as not received; the other side sends it again.
        credit: bytes that may be on their way to the other side.
        side: BOARD, or 0 for the host. A board at its prompt echoes what it gets: frames of one's own are not heard,
            but counted in `echoes`.
    """

    def __init__(self, write, clock, deliver, credit=CREDIT, side=0):
        self._put = write
        self._clock = clock
        self.deliver = deliver
        self._side = side
        self.credit = credit
        self.decoder = Decoder()
        # Frame number n is in slot n % 16. All of them are there from the start: a board's heap stays as it is.
        self._slots = [memoryview(bytearray(PAYLOAD)) for _ in range(_SLOTS)]
        self._kinds = bytearray(_SLOTS)
        self._sizes = bytearray(_SLOTS)
        self._rest = []  # (kind, payload) for which there was no slot
        self._first = 0  # number of the first frame that is not acknowledged
        self._held = 0  # how many from there on are in slots
        self._sent = 0  # how many of these are on their way
        self._flight = 0  # bytes of those on the line, at most
        self._next = 0  # number expected from the other side
        self._owed = False  # an acknowledgement is due
        self._asked = False  # a repetition from _next on has been asked for
        self._text = b""
        self._patience = _PATIENCE
        self._trip = 0  # ms, recent longest round trip
        self.heard = self._said = self._timer = self._back = clock()
        self.frames = self.resent = self.duplicates = self.missed = self.received = self.echoes = 0

    def since(self, then):
        """Milliseconds since a clock reading."""
        return (self._clock() - then) & 0x3FFFFFFF

    def queued(self):
        """Frames that are not acknowledged yet."""
        return self._held + len(self._rest)

    def send(self, kind, payload):
        """Queue a message and send what the credit allows."""
        size = len(payload)
        start = 0
        while size - start > PAYLOAD:
            self._hold(kind | MORE, payload[start : start + PAYLOAD])
            start += PAYLOAD
        self._hold(kind, payload[start:])
        self._transmit()

    def _hold(self, kind, payload):
        if self._held == _SLOTS:
            self._rest.append((kind, bytes(payload)))
            return
        slot = (self._first + self._held) % _SLOTS
        self._kinds[slot] = kind
        self._sizes[slot] = len(payload)
        self._slots[slot][: len(payload)] = payload
        self._held += 1

    def _write(self, kind, number, payload):
        self._owed = False
        self._said = self._clock()
        self.frames += 1
        self._put(encode(kind | self._side, number, self._next, payload))

    def _transmit(self):
        while self._sent < self._held:
            number = (self._first + self._sent) & 255
            slot = number % _SLOTS
            size = self._sizes[slot]
            if self._flight and self._flight + size + OVERHEAD > self.credit:
                break
            if not self._sent:
                self._timer = self._clock()
            self._write(self._kinds[slot], number, self._slots[slot][:size])
            self._flight += size + OVERHEAD
            self._sent += 1

    def _go_back(self):
        self.resent += self._sent
        self._sent = self._flight = 0
        self._back = self._clock()
        self._transmit()

    def _acknowledged(self, number):
        count = (number - self._first) & 255
        if 0 < count <= self._sent:
            self._trip = max(self.since(self._timer), self._trip * 7 // 8)
            self._patience = _PATIENCE + 2 * self._trip
            for i in range(count):
                self._flight -= self._sizes[(self._first + i) % _SLOTS] + OVERHEAD
            self._first = number
            self._held -= count
            self._sent -= count
            while self._rest and self._held < _SLOTS:
                self._hold(*self._rest.pop(0))
            self._timer = self._clock()
            self._transmit()
            return True
        return False

    def receive(self, data, size):
        """Take `data[:size]` from the line."""
        decoder = self.decoder
        start = 0
        while start < size:
            bad = decoder.bad
            start = decoder.feed(data, start, size)
            if decoder.bad != bad:
                self._write(NAK, 0, b"")
            if decoder.size:
                kind = decoder.frame[0]
                if kind & BOARD == self._side:
                    self.echoes += 1
                    continue
                self.heard = self._clock()
                self.received += 1
                self._frame(kind & ~BOARD, decoder.frame[1], decoder.frame[2])

    def _frame(self, kind, number, ack):
        progress = self._acknowledged(ack)
        if kind == NAK and self._sent and (progress or self.since(self._back) > 20):
            self._go_back()
        if kind <= NAK:
            return
        ahead = (number - self._next) & 255
        if ahead == 0:
            # Before delivery, so that an answer sent from there carries the acknowledgement.
            self._next = (number + 1) & 255
            self._owed = True
            self._asked = False
            if not self._message(kind, self.decoder.view[3 : self.decoder.size - 4]):
                self._next = number
        elif ahead >= 128:
            self.duplicates += 1
            self._owed = True
        else:
            self.missed += 1
            if not self._asked:
                self._asked = True
                self._write(NAK, 0, b"")

    def _message(self, kind, payload):
        if kind & MORE:
            self._text += bytes(payload)
            return True
        whole = self._text + bytes(payload) if self._text else payload
        if self.deliver(kind, whole) is False:
            return False
        self._text = b""
        return True

    def poll(self):
        """What time brings: acknowledgements, repetitions, heartbeats. Call it often."""
        if self._sent and self.since(self._timer) > self._patience:
            self._patience = min(2 * self._patience, _LONGEST)
            self._timer = self._clock()
            self._go_back()
        elif self._owed or self.since(self._said) > HEARTBEAT:
            self._write(ACK, 0, b"")

    def gone(self, limit=SILENCE):
        """Whether nothing good has been heard for `limit` ms."""
        return self.since(self.heard) > limit
