"""A board against the reference: every slice's maps in the arena, then labels and logits end to end. No tolerance."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16
from ditmos.link.board import Board
from ditmos.link.deploy import Place, check_firmware, deploy, installed
from ditmos.link.stream import classify
from ditmos.model.layer_shape import LayerShape
from ditmos.model.plan import Buffer, Plan, Slice, layer_table
from ditmos.model.policy import own_policy, parse_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.use import default_use
from ditmos.progress import Report
from ditmos.routing import Counter, best, verdict

# On the board: a model in an arena that can be read, its slices one by one.
_PROBE = """
import time
from binascii import hexlify
def _probe_open(path, size):
    global _probe, _probe_arena
    import _ditmos, gc
    _probe_arena = bytearray(size)
    if path is None:
        data = _file
    else:
        with open(path, 'rb') as file:
            try:
                data = memoryview(file)
            except TypeError:
                data = file.read()
    _probe = _ditmos.Model(data, _probe_arena)
def _probe_timed(call, *arguments):
    start = time.ticks_cpu()
    found = call(*arguments)
    return time.ticks_diff(time.ticks_cpu(), start) - _probe_cost, found
_probe_cost = 0  # of the clock and of a call that does next to nothing
_probe_cost = min(_probe_timed(len, b'')[0] for _ in range(3))
def _probe_step(i, k, *places):
    print(_probe_timed(_probe.step, i, k)[0])
    for offset, size in places:
        print(hexlify(memoryview(_probe_arena)[offset:offset + size]).decode())
from array import array
def _probe_feed(samples):
    samples = array('h', samples)
    spent, rows = _probe_timed(_probe.feed, samples)
    print(spent, rows, hexlify(_probe.row()).decode())
"""
_ASK = """
def _probe_ask(samples):
    _probe.feed_reset()
    _probe.feed(samples)
    asked = [(_probe.summary,), (_probe.votes, None)]
    if _probe.specialists:
        asked.append((_probe.specialist,))
    for call in asked:
        spent, found = _probe_timed(*call)
        if isinstance(found, int):
            found = bytes((found,))
        print(spent, hexlify(found).decode())
"""
_FED_ROWS = 12  # compared of a front end
_FRONT_END = "front end"


@dataclass(frozen=True)
class Difference:
    """The first wrong byte: fully connected layers have time 0."""

    window: int
    slice: str
    layer: str
    channel: int
    time: int
    expected: int
    found: int

    def __str__(self) -> str:
        return (
            f"window {self.window}, slice {self.slice}, {self.layer}: channel {self.channel}, time {self.time} is "
            f"{self.found}, expected {self.expected}"
        )


@dataclass
class SliceReport:
    """``ticks``: of time.ticks_cpu(), the fewest of all windows: cycles, or instructions where the simulated board
    counts them. ``bytes``: compared in all windows."""

    name: str
    phase: str
    bytes: int = 0
    differences: int = 0
    ticks: int = 0


@dataclass
class Verification:
    """What was compared, and what differed. rows: those of the front end, two bytes each. forest: its features and its
    votes, two bytes each, and the specialists that votes name."""

    model: str
    where: str
    slices: list[SliceReport]
    rows: SliceReport | None = None
    forest: list[SliceReport] = field(default_factory=list)
    windows: int = 0
    wrong_labels: int = 0
    wrong_logits: int = 0
    first: Difference | None = None
    policy: str = ""
    unit: str = "ticks"
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        pieces = [*self.slices, *self.forest, *([self.rows] if self.rows else [])]
        return not (self.wrong_labels or self.wrong_logits or any(piece.differences for piece in pieces))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"equal": self.equal}


def verify(
    board: Board,
    model: Path,
    windows: NDArray[np.int8],
    *,
    samples: Int16 | None = None,
    stepped: int = 3,
    progress: Report = lambda what, done, total: None,
) -> Verification:
    """Compare a board with `reference.Model` on int8 windows (n, time, channels).

    The board's own copy is used where it has this very file, else the file is sent to its RAM. The first ``stepped``
    windows are run slice by slice, each with its own classifier and the first one with all K; all windows end to end. A
    front end makes some rows of noise at full scale first, which are compared one by one. A model with a forest decides
    on ``samples``, raw windows (n, time, channels) of its front end, or on noise where there are none; its features and
    votes are compared too, and the specialists that these name.

    Raises:
        DitmosError: another firmware, no room for the model, no window.
    """
    if not len(windows):
        raise DitmosError("no window to verify with")
    quantized, plan = read_model(model)
    data = model.read_bytes()
    reference = Model(quantized)
    check_firmware(board)
    found = installed(board)
    path = found[0] if found and found[1] == zlib.crc32(data) else None
    if path is None:
        deploy(board, model, Place.ram)
    report = Verification(str(model), path or "RAM", [SliceReport(s.name, s.phase) for s in plan.slices])
    board.exec(_PROBE)
    board.exec(f"_probe_open({path!r}, {plan.arena_size})")
    if quantized.front_end:
        report.rows = _feed(board, reference, quantized.front_end, report, progress)
    _step_through(board, plan, reference, windows[:stepped], report, progress)
    sent: NDArray = windows
    if reference.experts:
        sent = _noise(reference, len(windows)) if samples is None else samples
        _ask_forest(board, reference, sent[:stepped], report, progress)
    board.exec("_probe = _probe_arena = None")
    _end_to_end(board, path, zlib.crc32(data), reference, sent, report, progress)
    return report


def _noise(reference: Model, count: int) -> Int16:
    """Windows of samples of every level."""
    rng = np.random.default_rng(0)
    level = 2.0 ** rng.uniform(0, 15, (count, 1, 1))
    noise = rng.normal(0, 0.3, (count, reference.raw_window, reference.raw_channels)) * level
    return np.clip(np.rint(noise), -32768, 32767).astype(np.int16)


def _ask_forest(board: Board, reference: Model, samples: Int16, report: Verification, progress: Report) -> None:
    """Features and votes of some windows, and whom these name, against the reference's."""
    parts = ("features", "votes", "specialist")[: 3 if reference.specialists else 2]
    report.forest = [SliceReport(part, "forest") for part in parts]
    board.exec(_ASK)
    for w, window in enumerate(samples):
        progress("forest", w, len(samples))
        reference.feed_reset()
        reference.feed(window)
        right = [np.asarray(reference.summary()), np.asarray(reference.votes(None))]
        if reference.specialists:
            right.append(np.array([reference.specialist()], np.uint8))
        answers = board.exec(f"_probe_ask(array('h', {window.tobytes()!r}))").split()
        for found, expected, ticks, dump in zip(report.forest, right, answers[::2], answers[1::2], strict=True):
            value = np.frombuffer(bytes.fromhex(dump), expected.dtype)
            found.ticks = min(found.ticks or int(ticks), int(ticks))
            found.bytes += expected.nbytes
            wrong = np.flatnonzero(value != expected)
            found.differences += expected.itemsize * len(wrong)
            if len(wrong) and report.first is None:
                c = int(wrong[0])
                report.first = Difference(w, "forest", found.name, c, 0, int(expected[c]), int(value[c]))
    reference.feed_reset()


def _feed(board: Board, reference: Model, front: FrontEnd, report: Verification, progress: Report) -> SliceReport:
    """Noise in pieces of one row, and each row against the reference's."""
    rng = np.random.default_rng(0)
    found = SliceReport(_FRONT_END, "feed")
    board.exec("_probe.feed_reset()")
    reference.feed_reset()
    for i in range(_FED_ROWS):
        progress(_FRONT_END, i, _FED_ROWS)
        count = front.hop if i else front.samples(1)
        samples = rng.integers(-32768, 32768, (count, front.channels)).astype(np.int16)
        ticks, rows, dump = board.exec(f"_probe_feed({samples.tobytes()!r})").split()
        right = np.append(reference.feed(samples), reference.row())
        value = np.append(int(rows), np.frombuffer(bytes.fromhex(dump), np.int16))
        found.ticks = min(found.ticks or int(ticks), int(ticks)) if i else 0  # the first one takes in a whole frame
        found.bytes += 2 * (len(right) - 1)
        wrong = np.flatnonzero(value != right)
        found.differences += 2 * len(wrong)
        if len(wrong) and report.first is None:
            c = int(wrong[0])
            report.first = Difference(0, _FRONT_END, f"row {i}", c - 1, i, int(right[c]), int(value[c]))
    reference.feed_reset()
    return found


def _step_through(
    board: Board,
    plan: Plan,
    reference: Model,
    windows: NDArray[np.int8],
    report: Verification,
    progress: Report,
) -> None:
    layers = layer_table(reference.spec)
    if not layers:
        return
    for w, window in enumerate(windows):
        chosen = best(reference.select(window)[: reference.routes])
        others = [k for k in range(reference.classifiers) if k != chosen] if w == 0 else []
        for k in (chosen, *others):
            progress("slice by slice", w, len(windows))
            board.exec(f"_probe.load({window.tobytes()!r})")
            expected = reference.layer_outputs(window[None], k)
            for i, piece in enumerate(plan.slices):
                outputs = _outputs(plan, piece, layers)
                places = ", ".join(f"({b.offset}, {b.stride * b.channels})" for _, b in outputs)
                ticks, *dumps = board.exec(f"_probe_step({i}, {k}, {places})").split()
                row = report.slices[i]
                row.ticks = min(row.ticks or int(ticks), int(ticks))
                for (layer, buffer), dump in zip(outputs, dumps, strict=True):
                    value = np.frombuffer(bytes.fromhex(dump), np.int8).reshape(buffer.channels, buffer.stride)
                    value = value[:, : buffer.rows]
                    right = expected[layer.name][0].reshape(buffer.channels, buffer.rows)
                    row.bytes += right.size
                    wrong = np.argwhere(value != right)
                    row.differences += len(wrong)
                    if len(wrong) and report.first is None:
                        c, t = map(int, wrong[0])
                        report.first = Difference(w, piece.name, layer.name, c, t, int(right[c, t]), int(value[c, t]))


def _outputs(plan: Plan, piece: Slice, layers: Sequence[LayerShape]) -> list[tuple[LayerShape, Buffer]]:
    """What of a slice's results is whole in the arena when the slice has run: its layers and their buffers.

    Line buffers hold a few rows of a map only, and a buffer may lie where an earlier one of the slice was.
    """
    stages = plan.stages[piece.first : piece.first + piece.count]
    written = [plan.buffers[s.out] for s in stages]
    outputs = []
    for i, (stage, buffer) in enumerate(zip(stages, written, strict=True)):
        layer = layers[stage.layer]
        later = [*written[i + 1 :], *_helpers(plan, piece, i + 1)]
        if buffer.rows == layer.rows_out and not any(_overlap(buffer, other) for other in later):
            outputs.append((layer, buffer))
    return outputs


def _helpers(plan: Plan, piece: Slice, first: int) -> list[Buffer]:
    """Carry and scratch buffers of the stages from ``first`` on."""
    stages = plan.stages[piece.first + first : piece.first + piece.count]
    return [plan.buffers[b] for s in stages for b in (s.carry, s.scratch) if b < len(plan.buffers)]


def _overlap(a: Buffer, b: Buffer) -> bool:
    return a.offset < b.offset + b.size and b.offset < a.offset + a.size


def _end_to_end(
    board: Board,
    path: str | None,
    crc: int,
    reference: Model,
    windows: NDArray,
    report: Verification,
    progress: Report,
) -> None:
    """int8 windows, or samples of the front end, by the policy that the file names; where routing.py has none of that
    name, by the one that fits the network."""
    try:
        policy = own_policy(reference.model)
    except DitmosError:
        policy = parse_policy(default_use(reference.spec).policy)
    report.policy = policy.text
    function, counted = policy.load(), Counter(reference)
    for n, result in enumerate(classify(board, windows, model=path, policy=policy, logits=True, crc=crc)):
        counted.begin()
        label, who = verdict(reference, function(counted, _taken_in(reference, windows[n])))
        report.windows += 1
        report.wrong_labels += (result.label, result.who, result.runs) != (label, who, counted.runs)
        if counted.runs:
            logits = np.asarray(counted.logits)
            found = np.full_like(logits, -128) if result.logits is None else result.logits
            wrong = np.flatnonzero(found != logits)
            report.wrong_logits += len(wrong)
            if len(wrong) and report.first is None:
                c = int(wrong[0])
                report.first = Difference(n, "end to end", "logits", c, 0, int(logits[c]), int(found[c]))
        progress("end to end", n + 1, len(windows))


def _taken_in(reference: Model, window: NDArray) -> NDArray | None:
    """What a policy is handed: int8, or None for samples that have been fed."""
    if window.dtype == np.int8:
        return window
    reference.feed_reset()
    reference.feed(window)
    return None
