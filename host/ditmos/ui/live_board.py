"""A board that is watched: a thread opens it, streams to it, does jobs in between, and has it back when it is lost."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from ditmos.errors import DitmosError
from ditmos.events import soft, steady
from ditmos.link.board import Board
from ditmos.link.deploy import installed
from ditmos.link.repl import BoardError
from ditmos.link.stream import Result, Stream
from ditmos.model.policy import Policy
from ditmos.model.signal import fit
from ditmos.ui.history import Answer, History
from ditmos.ui.openers import Opener
from ditmos.ui.player import Player, Supply

RETRY = 1.0  # seconds between two attempts to have a board back
IDLE = 2.0  # seconds after which a board that does nothing is asked whether it is there
ANSWERS = 5.0  # a second, where nobody names a hop

T = TypeVar("T")
Job = Callable[[Board], Any]


class State(StrEnum):
    """looking: for the board. idle: it is there, nothing to stream. streaming. busy: with a job. lost: not there."""

    looking = "looking"
    idle = "idle"
    streaming = "streaming"
    busy = "busy"
    lost = "lost"


@dataclass(frozen=True)
class Applied:
    """A policy that answers: ``seconds`` from asking for it to its first answer; ``number`` of that answer."""

    version: int
    seconds: float
    number: int


class LiveBoard:
    """Streams ``supply`` to a board until it is closed, whoever looks on.

    Args:
        hop: rows from one window to the next; None: about `ANSWERS` a second.
        rate: rows a second; None: the supply's own.

    ``history`` is None until the first stream has begun. ``message`` says what is wrong, or what the board does.
    """

    def __init__(
        self, title: str, opener: Opener, supply: Supply | None, *, hop: int | None = None, rate: float | None = None
    ) -> None:
        self.title = title
        self.state = State.looking
        self.message = ""
        self.history: History | None = None
        self.model: tuple[str, int] | None = None  # path on the board and CRC-32
        self.policy: Policy | None = None
        self.version = 0
        self.trouble: BoardError | None = None  # the last policy that raised
        self._opener = opener
        self._supply = supply
        self._hop = hop
        self._rate = rate
        self._player: Player | None = None
        self._jobs: queue.Queue[tuple[str, Job, Future]] = queue.Queue()
        self._applying: tuple[Future, float, Policy | None, int] | None = None  # and what to go back to
        self._stream: Stream | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._attend, name=title, daemon=True)

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
        future: Future[T] = _promise()
        self._jobs.put((what, job, future))
        self._interrupt()
        return future

    def apply(self, policy: Policy | None, version: int) -> Future[Applied]:
        """Have a policy answer from now on, None being the board's own. One that does not run leaves the old one.

        The future raises DitmosError where the board refuses it, or nothing is streamed.
        """
        future: Future[Applied] = _promise()
        asked = time.monotonic()

        def take(board: Board) -> None:
            if self._supply is None or self.model is None:
                raise DitmosError("nothing is streamed: a policy answers where there are samples and a model")
            old, number = self.policy, self.version
            if self._applying:
                overtaken, _, old, number = self._applying
                overtaken.set_exception(DitmosError("another policy came before this one answered"))
            self._applying = future, asked, old, number
            self.policy, self.version = policy, version

        def tell(done: Future) -> None:
            if error := done.exception():
                future.set_exception(error)

        self.do("", take).add_done_callback(tell)
        return future

    def supply(self, supply: Supply | None, *, hop: int | None = None, rate: float | None = None) -> Future[None]:
        """Stream other samples from now on."""

        def change(board: Board) -> None:
            self._supply, self._hop, self._rate = supply, hop, rate
            self._player = self.history = None

        return self.do("", change)

    def _interrupt(self) -> None:
        if stream := self._stream:
            stream.leave()

    def _attend(self) -> None:
        while not self._closing.is_set():
            try:
                with self._opener.open() as board:
                    board.require_module()
                    self._serve(board)
            except DitmosError as error:
                self.state, self.message = State.lost, str(error)
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
            if self._supply is not None and self.model is not None and self._jobs.empty():
                self._run_stream(board, self._supply)
            self._stream = None
            if not self._jobs.empty() or self._supply is None or self.model is None:
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
            self.history = self._player = self.policy = None
            self.version = 0
        self.model = model

    def _run_stream(self, board: Board, supply: Supply) -> None:
        """Until it is interrupted, the supply ends, or the policy raises."""
        try:
            self._answer(board, supply)
        except _Unfit as error:
            self._supply, self.message = None, str(error)
        except BoardError as error:
            self._refused(error)

    def _refused(self, error: BoardError) -> None:
        """A policy has raised: the one before answers again, or the board's own; where that is the one, nobody."""
        self.trouble = error
        if self._applying:
            future, _, self.policy, self.version = self._applying
            self._applying = None
            future.set_exception(error)
        elif self.policy is not None:
            self.policy, self.version = None, 0
        else:
            self._supply, self.message = None, str(error)

    def _answer(self, board: Board, supply: Supply) -> None:
        rate = self._rate or supply.fs
        if self.history is None or self._player is None:
            self.history, self._player = self._begin(board, supply, rate)
        history, player = self.history, self._player
        stream = Stream(board, policy=self.policy, hop=history.hop, rate=rate, logits=True)
        self._stream = stream
        if not self._jobs.empty():
            return
        first, earlier = history.count, history.counts
        scores, hear = None, steady()
        self.state, self.message = State.streaming, ""
        for result in stream.run(player.blocks(first * history.hop), supply.dtype, ahead=history.window):
            scores = scores or soft(stream.hello["logit_scale"])
            event = None if result.logits is None else hear(scores(result.logits.tolist()))
            self._take(history, player, replace(result, number=first + result.number), event)
            history.counts = earlier + stream.counts
        if player.ended and not self._closing.is_set() and self._jobs.empty():
            self._supply, self.message = None, f"{supply.name}: it has come to its end"

    def _begin(self, board: Board, supply: Supply, rate: float | None) -> tuple[History, Player]:
        """Ask the board what its model is like, and begin a history of such a stream."""
        stream = Stream(board)
        stream.prepare(supply.dtype)
        signal = stream.signal
        try:
            fitted = fit(signal, supply.signal, supply.name, raw=supply.dtype == np.int16)
        except DitmosError as error:
            raise _Unfit(str(error)) from None
        hop = self._hop or usual_hop(stream.window, stream.hello["spare"] + 1, rate)
        if supply.dtype != np.int16:
            signal = replace(signal, scales=(1.0,) * len(signal.channels))
        made = History(signal, stream.window, hop, stream.hello["classifiers"], rate or 1.0, supply.dtype)
        return made, Player(supply, fitted)

    def _take(self, history: History, player: Player, result: Result, event: int | None) -> None:
        start = result.number * history.hop
        stop = start + history.window
        history.ring.append(player.rows(history.ring.end, stop))
        player.forget(start)
        now = time.monotonic()
        truth = player.label(start, stop)
        history.add(Answer(result, start, stop, now - history.began, truth, self.version, event))
        if self._applying:
            future, asked, _, _ = self._applying
            self._applying = self.trouble = None
            future.set_result(Applied(self.version, now - asked, result.number))


def _promise() -> Future:
    """A future that cannot be cancelled: a page that is closed ends no job."""
    made: Future = Future()
    made.set_running_or_notify_cancel()
    return made


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
