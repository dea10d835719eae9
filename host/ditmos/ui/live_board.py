"""A board that is watched: a thread opens it, streams to it, does jobs in between, and has it back when it is lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ditmos.errors import DitmosError
from ditmos.events import soft, steady
from ditmos.link.board import Board
from ditmos.link.deploy import installed
from ditmos.link.record import Sensor
from ditmos.link.repl import BoardError
from ditmos.link.sensing import SensorStream
from ditmos.link.sent import sent_as
from ditmos.link.stream import Result, Stream
from ditmos.model.policy import Policy
from ditmos.model.signal import fit
from ditmos.ui.exchange import Applied, Exchange, promise
from ditmos.ui.history import Answer, History
from ditmos.ui.openers import Opener
from ditmos.ui.player import Player, Supply
from ditmos.ui.sensed import Sensed, history_of, shown

RETRY = 1.0  # seconds between two attempts to have a board back
IDLE = 2.0  # seconds after which a board that does nothing is asked whether it is there
ANSWERS = 5.0  # a second, where nobody names a hop
COUNTS = 2.0  # seconds between two questions for the board's own counts

T = TypeVar("T")
Job = Callable[[Board], Any]
_NOTHING = "nothing is streamed: a policy answers where there are samples and a model"


class State(StrEnum):
    """looking: for the board. idle: it is there, nothing to stream. streaming. busy: with a job. lost: not there."""

    looking = "looking"
    idle = "idle"
    streaming = "streaming"
    busy = "busy"
    lost = "lost"


class LiveBoard:
    """Streams ``supply`` to a board, or listens to its sensor, until it is closed, whoever looks on.

    Args:
        hop: rows from one window to the next; None: about `ANSWERS` a second.
        rate: rows a second; None: the supply's own.

    ``history`` is None until the first stream has begun. ``message`` says what is wrong, or what the board does.
    """

    def __init__(
        self,
        title: str,
        opener: Opener,
        supply: Supply | Sensed | None,
        *,
        hop: int | None = None,
        rate: float | None = None,
    ) -> None:
        self.title = title
        self.state = State.looking
        self.message = ""
        self.history: History | None = None
        self.model: tuple[str, int] | None = None  # path on the board and CRC-32
        self._exchange = Exchange()
        self._opener = opener
        self._supply = supply
        self._hop = hop
        self._rate = rate
        self._player: Player | None = None
        self._every = 0  # rows of a sensor from one window to the next
        self._sensor: tuple[Board, str, Sensor] | None = None
        self._jobs: queue.Queue[tuple[str, Job, Future]] = queue.Queue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._attend, name=title, daemon=True)

    @property
    def policy(self) -> Policy | None:
        """What decides; None: the board's own."""
        return self._exchange.policy

    @property
    def version(self) -> int:
        """Of the policy."""
        return self._exchange.version

    @property
    def trouble(self) -> BoardError | None:
        """What the last policy that failed has raised."""
        return self._exchange.trouble

    @property
    def source(self) -> str:
        """Name of what is streamed, or of the sensor; nothing where nothing is."""
        return self._supply.name if self._supply else ""

    @property
    def senses(self) -> bool:
        """Whether it reads a sensor of its own."""
        return isinstance(self._supply, Sensed)

    def start(self) -> LiveBoard:
        self._thread.start()
        return self

    def close(self) -> None:
        """Leave the board at its REPL."""
        self._closing.set()
        self._interrupt()
        if self._thread.is_alive():
            self._thread.join(10)
        self._opener.close()

    def do(self, what: str, job: Callable[[Board], T]) -> Future[T]:
        """Interrupt the stream, run a job on the board, and go on; ``what`` is shown meanwhile."""
        future: Future[T] = promise()
        self._jobs.put((what, job, future))
        self._interrupt()
        return future

    def apply(self, policy: Policy | None, version: int) -> Future[Applied]:
        """Have a policy answer from now on, None being the board's own, without a break in the stream. One that does
        not run leaves the old one.

        The future raises DitmosError where the board refuses it, or nothing is streamed.
        """
        future = self._exchange.ask(policy, version)
        if self._exchange.stream is None:
            self._jobs.put(("", lambda board: None, promise()))  # whoever waits for a job looks again
        return future

    def supply(
        self, supply: Supply | Sensed | None, *, hop: int | None = None, rate: float | None = None
    ) -> Future[None]:
        """Stream other samples from now on, or listen to a sensor."""

        def change(board: Board) -> None:
            self._supply, self._hop, self._rate = supply, hop, rate
            self._player = self.history = None

        return self.do("", change)

    def sensor(self, board: Board, driver: str, *, fresh: bool = False) -> Sensor:
        """A driver, running on the board, where there is one at a time. ``fresh``: made anew. For jobs.

        Raises:
            DitmosError: as `Sensor`.
        """
        if not fresh and self._sensor and self._sensor[:2] == (board, driver):
            return self._sensor[2]
        self._sensor = None
        board.exec("if hasattr(globals().get('_sensor'), 'close'):\n _sensor.close()")
        made = Sensor(board, driver)
        self._sensor = board, driver, made
        return made

    def _interrupt(self) -> None:
        if stream := self._exchange.stream:
            stream.leave()

    def _attend(self) -> None:
        while not self._closing.is_set():
            try:
                with self._opener.open() as board:
                    board.require_module()
                    self._serve(board)
            except DitmosError as error:
                self.state, self.message = State.lost, str(error)
                self._exchange.end()
                self._exchange.drop(error)
                self._fail_jobs(error)
                self._closing.wait(RETRY)

    def _fail_jobs(self, error: DitmosError) -> None:
        while not self._jobs.empty():
            _, _, future = self._jobs.get()
            future.set_exception(error)

    def _serve(self, board: Board) -> None:
        self._found(model_on(board))
        self.message = ""
        while not self._closing.is_set():
            if self._jobs.empty() and self._supply is not None and self.model is not None:
                self._run_stream(board, self._supply)
                self._exchange.end()
            if self._supply is None or self.model is None:
                self._exchange.drop(DitmosError(_NOTHING))
            elif self._jobs.empty():
                continue
            self._next_job(board)

    def _next_job(self, board: Board) -> None:
        try:
            what, job, future = self._jobs.get(timeout=IDLE)
        except queue.Empty:
            board.exec("")
            self.state = State.idle
            return
        if what:
            self.state, self.message = State.busy, what
        try:
            result = job(board)
        except Exception as error:  # whoever asked for the job has it; the board is attended on
            future.set_exception(error)
            board.regain()
        else:
            future.set_result(result)
        if what:
            self.state, self.message = State.idle, ""
            self._found(model_on(board))

    def _found(self, model: tuple[str, int] | None) -> None:
        """Take over which model the board has: with another one a stream begins anew, by the board's own policy."""
        if self.model is not None and model != self.model:
            self.history = self._player = None
            self._exchange.forget()
        self.model = model

    def _run_stream(self, board: Board, supply: Supply | Sensed) -> None:
        """Until it is interrupted, the supply ends, or the policy raises."""
        try:
            if isinstance(supply, Sensed):
                self._listen(board, supply)
            else:
                self._play(board, supply)
        except _Unfit as error:
            self._supply, self.message = None, str(error)
        except BoardError as error:
            if not self._exchange.raised(error):
                self._supply, self.message = None, str(error)

    def _play(self, board: Board, supply: Supply) -> None:
        """Samples of the host to the board."""
        rate = self._rate or supply.fs
        if self.history is None or self._player is None:
            self.history, self._player = self._begin(board, supply, rate)
        history, player = self.history, self._player
        first = history.count

        def make(policy: Policy | None) -> Stream:
            return Stream(board, policy=policy, hop=history.hop, rate=rate, logits=True)

        stream = self._exchange.begin(first, make)
        if self._jobs.empty():
            keep = self._keeper(history, stream)
            for result in stream.run(player.blocks(first * history.hop), player.dtype, ahead=history.window):
                start = (first + result.number) * history.hop
                stop = start + history.window
                rows = player.rows(history.ring.end, stop)
                player.forget(start)
                keep(result, rows, player.label(start, stop))
        if player.ended and not self._closing.is_set() and self._jobs.empty():
            self._supply, self.message = None, f"{supply.name}: it has come to its end"

    def _listen(self, board: Board, supply: Sensed) -> None:
        """Samples of the board's own sensor."""
        try:
            sensor = self.sensor(board, supply.driver)
        except BoardError as error:
            raise _Unfit(str(error)) from None
        show = shown(sensor.signal)
        if self.history is None:
            probe = Stream(board)
            probe.prepare(np.int16)
            hop = self._hop or usual_hop(probe.window, probe.hello["spare"] + 1, sensor.signal.rate)
            self.history, self._every = history_of(probe, sensor.signal, hop, show), hop
        history = self.history

        def make(policy: Policy | None) -> SensorStream:
            return SensorStream(board, policy=policy, hop=self._every, logits=True, show=show)

        stream = self._exchange.begin(history.count, make)
        assert isinstance(stream, SensorStream)
        if self._jobs.empty():
            keep = self._keeper(history, stream)
            for result, rows in stream.seen():
                keep(result, rows, None)
            if self._jobs.empty() and not self._closing.is_set():
                self._supply, self.message = None, f"{supply.name}: it has come to its end"

    def _keeper(self, history: History, stream: Stream) -> Callable[[Result, NDArray, int | None], None]:
        """What takes the stream's results into the history: with the rows that are new up to the end of the window,
        and its class."""
        first, earlier = history.count, history.counts
        scores, hear = None, steady()
        asked = time.monotonic()
        self.state, self.message = State.streaming, ""

        def keep(result: Result, rows: NDArray, truth: int | None) -> None:
            nonlocal scores, asked
            history.ring.append(rows)
            stop = history.ring.end
            scores = scores or soft(stream.hello["logit_scale"])
            event = None if result.logits is None else hear(scores(result.logits.tolist()))
            result = replace(result, number=first + result.number)
            version = self._exchange.answers(result.number)
            now = time.monotonic()
            history.add(Answer(result, stop - history.window, stop, now - history.began, truth, version, event))
            history.counts = earlier + stream.counts
            if now - asked > COUNTS:
                asked = now
                stream.ask()

        return keep

    def _begin(self, board: Board, supply: Supply, rate: float | None) -> tuple[History, Player]:
        """Ask the board what its model is like, and begin a history of such a stream."""
        stream = Stream(board)
        dtype = sent_as(supply.dtype, supply.signal, stream)
        stream.prepare(dtype)
        signal = stream.signal
        try:
            fitted = fit(signal, supply.signal, supply.name, raw=supply.dtype == np.int16)
        except DitmosError as error:
            raise _Unfit(str(error)) from None
        hop = self._hop or usual_hop(stream.window, stream.hello["spare"] + 1, rate)
        if not any(signal.channels) and len(supply.signal.channels) == len(signal.channels):
            signal = replace(signal, channels=supply.signal.channels)  # samples of a front end have no names there
        player = Player(supply, fitted, signal if dtype != supply.dtype else None)
        if dtype != np.int16:
            signal = replace(signal, scales=(1.0,) * len(signal.channels))
        return History(signal, stream.window, hop, stream.hello["classifiers"], rate or 1.0, dtype), player


def model_on(board: Board) -> tuple[str, int] | None:
    """Path and CRC-32 of the model that a stream would find: one that was deployed to RAM, or the installed one."""
    in_ram = board.eval("(_model_path, _model_crc) if globals().get('_model_path') == 'RAM' else None")
    return in_ram or installed(board)


class _Unfit(DitmosError):
    """Samples and model do not go together."""


def usual_hop(window: int, step: int, rate: float | None) -> int:
    """About `ANSWERS` a second, in whole steps of the front end; whole windows where nobody knows the rate."""
    if rate is None:
        return window
    return min(window, max(1, round(rate / ANSWERS / step)) * step)
