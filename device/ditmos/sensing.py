"""A stream whose samples come from a sensor on the board: results to the host, nothing from it (docs/protocol.md)."""

from .capture import name_of
from .engine import Engine
from .listen import Listener
from .serve import Answers


class Sensing(Answers):
    """hop: rows of samples from one result to the next, 0 for whole windows; of a model with a front end a multiple of
    the front end's. Raises as `Listener`."""

    def __init__(self, model, policy, sensor, hop, logits, agreed=None, before=None):
        step = model.raw_hop or 1
        if hop % step:
            raise ValueError("hop is %d samples, expected a multiple of %d" % (hop, step))
        self.listener = Listener(Engine(model, policy), sensor, hop // step or model.window)
        if model.raw_window:
            inputs = [("", model.raw_units, 0, 0, model.raw_scale)] * model.raw_channels
            geometry = model.raw_window, step - 1, inputs, model.raw_rate
        else:
            geometry = model.window, 0, [channel[:5] for channel in model.inputs], model.rate
        said = dict(agreed or {}, sensor=name_of(sensor))
        hop = hop or geometry[0]
        super().__init__(self.listener.counted, policy, hop, "h", logits, 0, 1, geometry, said, before)

    def samples(self, payload):
        return True

    def status(self):
        counts = super().status()
        counts.update(clipped=self.listener.watch.clipped, lost=self.listener.watch.lost)
        return counts

    def step(self):
        if self.over:
            return 5
        answer = self.listener.step()
        if answer is not None:
            self._send(answer[0], answer[1], self.listener.began)
        if self.listener.ended:
            self.finish()
        return 0
