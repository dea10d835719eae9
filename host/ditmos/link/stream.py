"""Stream samples to a board and take its results: the host's end of docs/protocol.md."""

from __future__ import annotations

import json
import struct
import time
import zlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.framing import NO_LABEL, PAYLOAD, POLICY, RESULT, RESULT_LAYOUT, SAMPLES, SETUP, STATUS
from ditmos.link.conversation import Conversation, Counts, Disturbed
from ditmos.link.offers import Offers, Told
from ditmos.link.read_ahead import ReadAhead
from ditmos.link.repl import Repl
from ditmos.model.policy import Policy, parse_policy
from ditmos.model.signal import Signal
from ditmos.model.spec import MAX_CLASSIFIERS

TYPECODES = {np.dtype(np.int8): "b", np.dtype(np.int16): "h", np.dtype(np.float32): "f"}
_LOGITS = struct.calcsize(RESULT_LAYOUT)  # where they begin in a result
STARTS = 8  # attempts to start the board's end
_SESSION = "from ditmos.session import session\nsession(globals())\n"
RESTARTS = 5  # in a row, without a result in between


@dataclass(frozen=True)
class Result:
    """Answer to window ``number``, counted from 0 in the order of the stream.

    label: None where the policy abstained. who: answered, as routing.py numbers them. runs: of classifiers.
    microseconds: on the device, from samples to label. latency: seconds from handing the window's last sample to the
    line to the arrival of the answer. logits: int8 (classes,) of the classifier that ran last, if asked for;
    ``confidence`` is then its softmax of the label.
    """

    number: int
    label: int | None
    name: str | None
    who: int
    runs: int
    microseconds: int
    latency: float
    logits: NDArray[np.int8] | None = None
    confidence: float | None = None

    @property
    def classifier(self) -> int | None:
        """The classifier that answered, None where none did by itself."""
        return self.who if self.who < MAX_CLASSIFIERS else None


class Stream:
    """Samples to results, on a board that has the model.

    Args:
        model: path of the model file on the board; None: the board's own search (model.dtm).
        policy: as `ditmos.model.policy.parse_policy` reads it; its source is sent to the board. None: the board's own,
            which is the one that its model's file names unless a policy was deployed with it.
        hop: rows from one window to the next; None: whole windows.
        rate: rows per second to send; None: as fast as the line takes them.
        logits: have the class logits sent back.
        crc: CRC-32 that the model's file must have on the board.

    After iterating, ``counts`` has what happened on the line.
    """

    def __init__(
        self,
        board: Repl,
        *,
        model: str | None = None,
        policy: str | Policy | None = None,
        hop: int | None = None,
        rate: float | None = None,
        logits: bool = False,
        crc: int | None = None,
    ) -> None:
        if hop is not None and hop < 1:
            raise DitmosError(f"hop is {hop}, expected 1 row or more")
        if rate is not None and not 0 < rate < float("inf"):
            raise DitmosError(f"rate is {rate}, expected rows per second")
        self.board = board
        self.model = model
        self.policy = parse_policy(policy) if isinstance(policy, str) else policy
        self.rate = rate
        self.logits = logits
        self._hop = hop
        self._talk = Conversation(board, self._deliver)
        self._results: deque[Result] = deque()
        self._handed: deque[tuple[int, float]] = deque()  # (byte of the stream, time it went to the line)
        self._crc = crc  # of the model's file; None: that of the first start
        self._next = 0
        self._offers = Offers()
        self._sent = 0  # bytes of the stream handed to the line
        self._row = 0  # bytes
        self._left = False
        self.hop = self.window = 0

    @property
    def counts(self) -> Counts:
        return self._talk.counts

    @property
    def hello(self) -> dict[str, Any]:
        """What the board said of itself, its model and the stream when it last started."""
        return self._talk.hello

    @property
    def signal(self) -> Signal:
        """What the board's model was made for, from `prepare` on."""
        said = self._talk.hello
        return Signal.of_inputs(said["class_names"], said["inputs"], said["rate"])

    def prepare(self, dtype: np.dtype | type = np.int8) -> None:
        """Load model and policy on the board, where they stay: the next stream of the same model starts at once.
        ``dtype``: of the samples that will come; int16 are raw samples of the front end where the model has one.

        Raises:
            DitmosError: no model, a damaged one, another than ``crc``, a policy that does not run.
        """
        self._start(TYPECODES[np.dtype(dtype)])
        self._talk.stop()

    def cut(self, windows: NDArray) -> NDArray:
        """Windows (n, time, channels) of just what the board takes: raw ones may have some samples more than their rows
        are made of.

        Raises:
            DitmosError: they do not fit.
        """
        rows, channels = windows.shape[1:]
        if channels != self.channels or not self.window <= rows <= self.window + self.hello["spare"]:
            raise DitmosError(f"windows are {rows} x {channels}, the model takes {self.window} x {self.channels}")
        return windows[:, : self.window]

    def leave(self) -> None:
        """End `run` within some milliseconds, from another thread; what has not been answered by then stays so."""
        self._left = True

    def ask(self) -> None:
        """Have the board say what it counts, which is soon in ``counts.device``; for the thread that iterates."""
        self._talk.link.send(STATUS, b"")

    def exchange(self, policy: Policy | None, told: Told) -> None:
        """Have another policy decide while `run` goes on, None being the board's own; from any thread.

        ``told`` is called by the thread that iterates, before it has a result of the new policy: with the number of the
        first one, and with nothing, or what the board raised; then the policy before decides on.

        Raises:
            DitmosError: the plan of the board's model has no room for it.
        """
        self._check_once(policy)
        self._offers.add(policy, told)

    def run(self, blocks: Iterable[NDArray], dtype: np.dtype | type, ahead: int = 0) -> Generator[Result]:
        """Results for blocks of samples (rows, channels) of any number of rows: int8, raw int16, or float32 real units.

        ``ahead``: rows at the beginning that are sent at once whatever the rate, because their time has passed.

        Raises:
            DitmosError: samples of another type or shape, the policy raised, the board has fallen silent.
        """
        dtype = np.dtype(dtype)
        if dtype not in TYPECODES:
            raise DitmosError(f"samples are {dtype}, expected int8, int16 or float32")
        self._next = 0
        feed: ReadAhead | None = None
        try:
            self._start(TYPECODES[dtype])
            self._row = self.channels * dtype.itemsize
            feed = ReadAhead(blocks, dtype, self.channels)
            yield from self._serve(feed, TYPECODES[dtype], ahead)
        finally:
            if feed:
                feed.close()
            self._talk.stop()

    def _serve(self, feed: ReadAhead, typecode: str, ahead: int) -> Iterator[Result]:
        talk = self._talk
        self._sent = 0
        self._handed.clear()
        started = time.monotonic()
        tries = 0
        while not (feed.complete and self._next >= self._expected(feed.end)):
            if self._left:
                return
            feed.fill()
            self._offers.send(talk.link)
            self._send(feed, None if self.rate is None else ahead + int((time.monotonic() - started) * self.rate))
            talk.pump()
            talk.check()
            while self._results:
                tries = 0
                yield self._results.popleft()
            feed.forget(min(self._next * self.hop * self._row, self._sent))
            if talk.ended or talk.silent:
                tries += 1
                if tries > RESTARTS:
                    raise DitmosError(f"{self.board.port}: the stream ended {tries} times in a row without a result")
                talk.stop()
                talk.counts.restarts += 1
                self._begin(typecode)
        talk.finish()

    def _begin(self, typecode: str) -> None:
        """Start the board's end again, at window ``_next``."""
        self._sent = self._next * self.hop * self._row
        self._handed.clear()
        self._start(typecode)
        self._offers.repeat(self._talk.link)

    def _start(self, typecode: str) -> None:
        """Have the board begin with window ``_next``, and see that it says back what it was told."""
        source = (self.policy.source or "" if self.policy else "").encode()
        expression = self.policy.expression if self.policy else ""  # the board's own
        wanted = self._wanted(expression, typecode)
        messages = [*((POLICY, part) for part in (source,) if part), (SETUP, json.dumps(wanted).encode())]
        for left in reversed(range(STARTS)):
            try:
                self._talk.start(_SESSION, messages)
                self._compare(wanted, zlib.crc32(expression.encode(), zlib.crc32(source)))
                return
            except Disturbed:
                if not left:
                    self.board.require_module()  # says so where it is not our firmware
                    raise
                self.counts.restarts += 1

    def _wanted(self, expression: str, typecode: str) -> dict[str, Any]:
        """What SETUP says."""
        return {
            "model": self.model,
            "policy": expression,
            "hop": self._hop or 0,
            "type": typecode,
            "logits": self.logits,
            "first": self._next,
        }

    def _compare(self, wanted: dict[str, Any], policy: int) -> None:
        """Take over what the board said. Raises Disturbed where it is not what it was told, DitmosError for another
        model, or a policy that its plan has no room for."""
        said = self._talk.hello
        expected = {key: wanted[key] for key in ("type", "logits", "first")} | {"policy": policy}
        expected["hop"] = self._hop or said.get("window")
        for key, value in expected.items():
            if said.get(key) != value:
                self._talk.stop()
                raise Disturbed(f"{self.board.port}: the board took {key} as {said.get(key)}, it was told {value}")
        self.window, self.channels, self.hop = said["window"], said["channels"], said["hop"]
        if self._crc is not None and said["model"] != self._crc:
            self._talk.stop()
            raise DitmosError(
                f"{self.board.port}: the model in {said['path']}: CRC {said['model']:08x}, expected {self._crc:08x}; "
                "it was replaced meanwhile"
            )
        self._crc = said["model"]
        try:
            self._check_once(self.policy)
        except DitmosError:
            self._talk.stop()
            raise

    def _check_once(self, policy: Policy | None) -> None:
        """Raises DitmosError for a policy that the plan of the board's model has no room for."""
        said = self.hello
        if policy and said.get("once"):
            policy.check_once(said["classifiers"], said["routes"])

    def _expected(self, end: int) -> int:
        """Number of windows in ``end`` bytes."""
        rows = end // self._row
        return 0 if rows < self.window else (rows - self.window) // self.hop + 1

    def _send(self, feed: ReadAhead, due: int | None) -> None:
        """Hand samples to the line, up to row ``due``, as long as it takes them."""
        link = self._talk.link
        end = feed.end if due is None else min(feed.end, due * self._row)
        while self._sent < end and link.queued() < 6:
            stop = min(self._sent + PAYLOAD, end)
            if stop - self._sent < PAYLOAD and link.queued() and not feed.complete and due is None:
                break  # more is coming
            link.send(SAMPLES, feed.take(self._sent, stop))
            self._sent = stop
            self._handed.append((stop, time.monotonic()))

    def _deliver(self, kind: int, payload: memoryview) -> bool:
        if kind == RESULT:
            number, label, who, runs, microseconds = struct.unpack_from(RESULT_LAYOUT, payload)
            if number == self._next:
                self._next += 1
                self._results.append(self._result(number, label, who, runs, microseconds, bytes(payload[_LOGITS:])))
        elif kind == SETUP:
            self.policy = self._offers.answered(json.loads(bytes(payload)), self.policy)
        return True

    def _result(self, number: int, label: int, who: int, runs: int, microseconds: int, logits: bytes) -> Result:
        end = (self.window + number * self.hop) * self._row
        while len(self._handed) > 1 and self._handed[0][0] < end:
            self._handed.popleft()
        hello = self._talk.hello
        values = np.frombuffer(logits, np.int8) if logits else None
        confidence = None
        if values is not None and label != NO_LABEL:
            real = (values.astype(np.float64) - hello["logit_zero_point"]) * hello["logit_scale"]
            odds = np.exp(real - real.max())
            confidence = float(odds[label] / odds.sum())
        return Result(
            number=number,
            label=None if label == NO_LABEL else label,
            name=None if label == NO_LABEL else hello["class_names"][label],
            who=who,
            runs=runs,
            microseconds=microseconds,
            latency=time.monotonic() - self._handed[0][1] if self._handed else microseconds / 1e6,
            logits=values,
            confidence=confidence,
        )


def classify(board: Repl, windows: NDArray, **options: Any) -> Iterator[Result]:
    """Results for whole windows (n, time, channels), int8, raw int16 or float32 real units; options as of `Stream`."""
    windows = np.asarray(windows)
    if windows.ndim != 3:
        raise DitmosError(f"windows have shape {windows.shape}, expected (n, time, channels)")
    stream = Stream(board, **options)
    stream.prepare(windows.dtype if windows.dtype in TYPECODES else np.int8)
    return stream.run(stream.cut(windows), windows.dtype)


def samples(board: Repl, blocks: Iterable[NDArray] | NDArray, dtype: Any = None, **options: Any) -> Iterator[Result]:
    """Results every ``hop`` rows of a stream: an array (rows, channels), or blocks of one type, int16 unless given."""
    if isinstance(blocks, np.ndarray):
        dtype = blocks.dtype
        blocks = [blocks]
    return Stream(board, **options).run(blocks, np.int16 if dtype is None else dtype)
