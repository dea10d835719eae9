"""The board's end of a stream: rows of samples come in, a result goes out every `hop` rows (docs/protocol.md).

Whole windows are the case hop = window. The line is the REPL's own. Ctrl-C stays armed throughout: it never occurs in
a frame, so it ends the stream and leaves the REPL whatever the board is doing.
"""

import gc
import io
import json
import select
import struct
import sys
import time
from array import array

import uctypes

from .capture import raw_inputs
from .engine import own_policy
from .framing import (
    BOARD,
    CREDIT,
    END,
    HELLO,
    NO_LABEL,
    POLICY,
    PROTOCOL,
    RESULT,
    RESULT_LAYOUT,
    SAMPLES,
    SETUP,
    STATUS,
    Link,
)
from .routing import NOBODY, Counter, verdict
from .window import Sliding, Window

COLLECT = 10  # results between two garbage collections
WARM = 100  # results after which the heap has to stay as it is
WAITING = 12  # frames for the host beyond which no samples are taken
DESERTED = 10000  # ms without a sign of the host: back to the REPL
ITEM = {"b": 1, "h": 2, "f": 4}
MOST_SAMPLES = 1024  # raw, taken in at a time


def traceback(error):
    text = io.StringIO()
    sys.print_exception(error, text)
    return text.getvalue()


class Port:
    """Bytes of the REPL's line."""

    def __init__(self):
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self.data = bytearray(128)
        self._view = memoryview(self.data)
        self._readinto = sys.stdin.buffer.readinto
        self.write = sys.stdout.buffer.write

    def read(self, ms, sure):
        """Number of bytes put in `data`: `sure` of them if the first one comes within `ms`, else 0.

        Asking for each byte costs ten times what reading it does, so the rest is waited for. Should some of it be
        lost, what the host repeats takes its place.
        """
        for _ in self._poll.ipoll(ms):
            return self._readinto(self._view[:sure])
        return 0


class Server:
    """A link to the host and the loop that serves it; subclasses say what is done with samples and with time.

    hello: what the first message says, None for none. before: a server whose line this one goes on with.
    """

    def __init__(self, hello, before=None):
        if before:
            self.port, self.link = before.port, before.link
            self.link.deliver = self._message
        else:
            self.port = Port()
            self.link = Link(self.port.write, time.ticks_ms, self._message, 1024, BOARD)
        self.over = False
        self.answers = 0  # results so far
        self._collect = 0
        self._free = 0
        self.heap_low = self.heap_warm = 0  # bytes free at the low-water mark, now and after the first 100 results
        if hello:
            hello.update(protocol=PROTOCOL, credit=CREDIT)
            self._say(HELLO, hello)

    def _housekeeping(self):
        """Now and then a garbage collection, and what is then free at least.

        The collector takes whatever lies on the stack for a pointer, now and then a stale one, which keeps a block
        until the next time. So what counts is the better of two collections in a row; what leaks is in both.
        """
        self._collect = self.answers + COLLECT
        gc.collect()
        free = gc.mem_free()
        better = max(free, self._free)
        self._free = free
        self.heap_low = min(self.heap_low or better, better)
        if self.answers <= WARM:
            self.heap_warm = self.heap_low

    def status(self):
        link = self.link
        return {
            "heap_low": self.heap_low,
            "heap_warm": self.heap_warm,
            "received": link.received,
            "sent": link.frames,
            "bad": link.decoder.bad,
            "missed": link.missed,
            "duplicates": link.duplicates,
            "resent": link.resent,
        }

    def finish(self, **data):
        """Send the last message; the loop ends when the host has it."""
        self.over = True
        data.update(self.status())
        self._say(END, data)

    def fail(self, error):
        """Tell the host of an exception, of a policy or a sensor; the board stays usable."""
        self.finish(error=traceback(error))

    def _say(self, kind, data):
        self.link.send(kind, json.dumps(data).encode())

    def _message(self, kind, payload):
        if self.over:
            return True
        if kind == SAMPLES:
            return self.samples(payload)
        if kind == STATUS:
            self._say(STATUS, self.status())
        elif kind == END:
            self.finish()
        return True

    def samples(self, payload):
        """Samples from the host; False when they cannot be taken now."""
        return True

    def step(self):
        """Called over and over; returns how many ms may pass until the next call."""
        return 5

    def run(self):
        """Serve until the host ends it or is gone for 10 s. Ctrl-C: KeyboardInterrupt."""
        link, port = self.link, self.port
        while not self.over or link.queued():
            try:
                n = port.read(5 if self.over else self.step(), link.decoder.sure)
                if n:
                    link.receive(port.data, n)
            except Exception as error:
                self.fail(error)
            link.poll()
            if self.answers >= self._collect and link.queued() <= WAITING:
                self._housekeeping()
            if link.gone(DESERTED):
                break


class Answers(Server):
    """Samples in, results out; subclasses say what is done with samples.

    size: values that are taken in at a time, at most. geometry: rows of a window, how many more a window may have that
    are left out, of each channel (name, units, scale, zero point, real units of a raw sample), rows a second. agreed:
    what else the first message says, beside what the stream is like.
    """

    def __init__(self, model, policy, hop, typecode, logits, first, size, geometry, agreed, before):
        self.model = model  # that counts
        self.policy = policy
        self._setup = before  # what loads another policy
        self.hop = hop
        self.logits = logits
        self.number = first  # of the next result
        self._item = ITEM[typecode]
        # Values as they come; bytes are put in through a second view of the same memory.
        self._raw = memoryview(array(typecode, bytes(size * self._item)))
        self._bytes = uctypes.bytearray_at(uctypes.addressof(self._raw), size * self._item)
        self._have = 0
        self._need = size * self._item
        window, spare, inputs, rate = geometry
        hello = {"hop": hop, "type": typecode, "logits": bool(logits), "first": first}
        hello.update(agreed or {})
        hello.update(
            {
                "window": window,
                "spare": spare,
                "channels": len(inputs),
                "classifiers": model.classifiers,
                "routes": model.routes,
                "once": model.model.once,
                "logit_scale": model.logit_scale,
                "logit_zero_point": model.model.logit_zero_point,
                "class_names": list(model.model.class_names),
                "inputs": inputs,
                "rate": rate,
            }
        )
        super().__init__(hello, before)

    def _message(self, kind, payload):
        if self.over or self._setup is None or kind not in (POLICY, SETUP):
            return super()._message(kind, payload)
        if kind == POLICY:
            self._setup.text = bytes(payload)
        else:
            self._exchange(json.loads(bytes(payload))["policy"])
        return True

    def _exchange(self, expression):
        """Another policy from the next window on; one that does not load leaves the one before."""
        setup = self._setup
        said = {"first": self.number}
        try:
            setup.load_policy(expression)
            self.use(setup.names["_policy"])
        except Exception as error:
            said["error"] = traceback(error)
        self._say(SETUP, said)

    def use(self, policy):
        """Have this policy decide from now on."""
        self.policy = policy

    def samples(self, payload):
        if self.link.queued() > WAITING:
            return False  # the host does not take its results
        start, size = 0, len(payload)
        while start < size:
            take = min(size - start, self._need - self._have)
            self._bytes[self._have : self._have + take] = payload[start : start + take]
            self._have += take
            start += take
            if self._have == self._need:
                self._have = 0
                self._take(self._need // self._item)
        return True

    def _send(self, label, who, start):
        model = self.model
        result = struct.pack(
            RESULT_LAYOUT,
            self.number,
            NO_LABEL if label is None else label,
            who,
            model.runs,
            time.ticks_diff(time.ticks_us(), start),
        )
        if self.logits and model.runs:
            result += bytes(model.logits)
        self.link.send(RESULT, result)
        self.number += 1
        self.answers += 1


class Classifier(Answers):
    """Rows of a window in."""

    def __init__(self, model, policy, hop, typecode, logits, first, agreed=None, before=None):
        hop = hop or model.window
        if not 1 <= hop <= model.window:
            raise ValueError("hop is %d, expected 1 to %d" % (hop, model.window))
        self._window = Window(model)
        self._int8 = typecode == "b"
        # Rows have all channels; int8 are of those that the network reads.
        inputs = [channel[:5] for channel in model.inputs if not self._int8 or channel[5]]
        self._row = len(inputs)
        self._size = model.window * model.channels  # values of a window
        geometry = model.window, 0, inputs, model.rate
        size = model.window * self._row
        super().__init__(Sliding(model), policy, hop, typecode, logits, first, size, geometry, agreed, before)

    def _take(self, count):
        start = time.ticks_us()
        model = self.model
        window, new = self._window.push(self._raw[:count], self._int8)
        model.move(new if len(new) < self._size else None)
        if self._window.clean < self.model.model.window:
            label, who = None, NOBODY
        else:
            label, who = verdict(model, self.policy(model, window))
        self._send(label, who, start)
        self._need = self.hop * self._row * self._item


class Fed(Answers):
    """Raw samples in, through the model's front end. hop: samples, a multiple of the front end's, or a whole window."""

    def __init__(self, model, policy, hop, logits, first, agreed=None, before=None):
        step, whole = model.raw_hop, model.raw_window
        hop = hop or whole
        if hop % step and hop != whole:
            raise ValueError("hop is %d samples, expected a multiple of %d, or %d" % (hop, step, whole))
        self._channels = model.raw_channels
        self._room = min(hop, MOST_SAMPLES)
        self._missing = whole  # samples until the next result
        inputs = raw_inputs(model)
        geometry = whole, step - 1, inputs, model.raw_rate
        size = self._room * self._channels
        super().__init__(Counter(model), policy, hop, "h", logits, first, size, geometry, agreed, before)
        model.feed_reset()
        self._next()

    def _next(self):
        self._need = min(self._missing, self._room) * self._channels * 2

    def _take(self, count):
        start = time.ticks_us()
        model = self.model.model
        model.feed(self._raw[:count])
        self._missing -= count // self._channels
        if self._missing == 0:
            self.model.begin()
            label, who = verdict(self.model, self.policy(self.model, None))
            self._send(label, who, start)
            self._missing = self.hop
            if self.hop == model.raw_window:  # windows that have nothing to do with each other
                model.feed_reset()
        self._next()


def answers(model, policy, hop, typecode, logits, first, agreed=None, before=None):
    """What serves such a stream: a model with a front end takes raw samples where they are int16."""
    if typecode not in ITEM:
        raise ValueError("typecode is %r, expected one of %s" % (typecode, " ".join(sorted(ITEM))))
    if typecode == "h" and model.raw_window:
        return Fed(model, policy, hop, logits, first, agreed, before)
    return Classifier(model, policy, hop, typecode, logits, first, agreed, before)


def serve(model, policy=None, hop=0, typecode="h", logits=False, first=0):
    """Serve one host until it ends the stream, is gone for 10 s, or Ctrl-C.

    policy: the model's own if none is given. hop: rows between two results, 0 for whole windows. typecode: of the
    samples, "b" int8 as the model takes them, "h" raw int16 (of the front end where the model has one; hop then counts
    them), "f" real units. logits: send the last classifier's. first: number of the first result. A window with a NaN or
    infinity in it is answered by nobody.
    """
    answers(model, policy or own_policy(model), hop, typecode, logits, first).run()
