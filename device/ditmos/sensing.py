"""A stream whose samples come from a sensor on the board: results to the host, nothing from it (docs/protocol.md)."""

import struct

from .capture import name_of, raw_inputs
from .engine import Engine
from .framing import SAMPLES
from .listen import Listener
from .serve import WAITING, Answers

MOST_READS = 64  # of the line, between two blocks of the sensor


class Sensing(Answers):
    """hop: rows of samples from one result to the next, 0 for whole windows; of a model with a front end a multiple of
    the front end's. show: what else the host gets, "samples", or the "level" of each hop. Raises as `Listener`."""

    def __init__(self, model, policy, sensor, hop, logits, agreed=None, before=None, show=None):
        step = model.raw_hop or 1
        if hop % step:
            raise ValueError("hop is %d samples, expected a multiple of %d" % (hop, step))
        self.listener = Listener(Engine(model, policy), sensor, hop // step or model.kept_rows)
        self._show = show
        self._level = self._unsent = 0
        self._deciding = False
        self._later = []  # (text, expression) of policies that wait for the answer at hand
        if model.raw_window:
            inputs = raw_inputs(model)
            geometry = model.raw_window, step - 1, inputs, model.raw_rate
        else:
            geometry = model.window, 0, [channel[:5] for channel in model.inputs], model.rate
        said = dict(agreed or {}, sensor=name_of(sensor))
        hop = hop or geometry[0]
        super().__init__(self.listener.counted, policy, hop, "h", logits, 0, 1, geometry, said, before)

    def use(self, policy):
        self.listener.engine.policy = policy

    def samples(self, payload):
        return True

    def status(self):
        counts = super().status()
        watch = self.listener.watch
        counts.update(clipped=watch.clipped, lost=watch.lost + self._unsent)
        return counts

    def _hear(self):
        """Take in what came while the sensor was waited for: more than one frame, where samples are acknowledged."""
        port, link = self.port, self.link
        for _ in range(MOST_READS):
            n = port.read(0, link.decoder.sure)
            if not n:
                return
            link.receive(port.data, n)

    def step(self):
        if self.over:
            return 5
        listener = self.listener
        answer = listener.step()
        self._deciding = True  # a policy that comes now is for the next answer
        self._hear()
        self._tell(answer)
        self._deciding = False
        while self._later:
            self._setup.text, expression = self._later.pop(0)
            super()._exchange(expression)
        if listener.ended:
            self.finish()
        return 0

    def _tell(self, answer):
        """Samples and answer of this step, or neither: where the line or the host is too slow, there is a gap in which
        no window lies."""
        listener = self.listener
        if self._show == "samples" and listener.newest is not None:
            if self.link.queued() > WAITING:
                self._unsent += len(listener.newest) // len(listener.watch.sensor.channels)
                listener.restart()
                return
            self.link.send(SAMPLES, bytes(listener.newest))
        self._level = max(self._level, listener.watch.loudness)
        if answer is not None:
            if self._show == "level":
                self.link.send(SAMPLES, struct.pack("<h", min(self._level, 32767)))
                self._level = 0
            self._send(answer[0], answer[1], listener.began)

    def _exchange(self, expression):
        if self._deciding:
            self._later.append((self._setup.text, expression))
            self._setup.text = b""
        else:
            super()._exchange(expression)
