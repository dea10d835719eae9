"""A track through a model, as a board hears it: front end, windows that overlap, the policy, scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ditmos.bench.route import Logits, Replay
from ditmos.errors import DitmosError
from ditmos.events import Watched
from ditmos.frontends.frontend import FrontEnd, Stream
from ditmos.frontends.integers import Int16, sat16
from ditmos.live.track import Track
from ditmos.model.policy import Policy, own_policy
from ditmos.model.reference import Model
from ditmos.model.signal import Signal, fit
from ditmos.routing import verdict

_PIECE_S = 30.0  # of the samples that the front end takes in at a time
_WINDOWS = 1000  # through the network at a time


@dataclass(frozen=True)
class Hearing:
    """n windows of a track. times: seconds from its start at which each is complete. scores: (n, classes) uint8, of
    whoever answered; heard: (n,) whether anybody did. runs: (n,) classifiers that were asked. clipped: share of the
    samples at the end of what the front end takes. rate: windows a second.
    """

    times: NDArray[np.float64]
    scores: NDArray[np.uint8]
    heard: NDArray[np.bool_]
    runs: NDArray[np.int64]
    clipped: float
    rate: float


def hear(
    model: Model, track: Track, hop: int, policy: Policy | None = None, calibrate: float = 0,
    report: Callable[[float], None] = lambda done: None,
) -> Hearing:  # fmt: skip
    """Windows every ``hop`` rows.

    Args:
        policy: None is the model's own.
        calibrate: seconds at the track's start by which the front end is put on the wearer's scale; no window has
            anything of them.

    Raises:
        DitmosError: the track is not what the model was made for, or shorter than a window, or all its samples are
            equal; the policy raised.
    """
    front, first, clipped = model.model.front_end, 0, 0.0
    x = _samples(model, track)
    if (x == x[0]).all():
        values = ", ".join(f"{value:g}" for value in x[0])
        raise DitmosError(
            f"{track.name}: every sample is {values}: its sensor sent nothing; check wiring and supply, record anew"
        )
    if front:
        clipped = clipped_share(front, x)
        if calibrate:
            first = round(calibrate * front.fs)
            if first >= len(x):
                raise DitmosError(f"calibrate is {calibrate:g} s, {track.name} has {track.seconds:g}; take less of it")
        rows = np.concatenate([*_rows(front, x, first, lambda done: report(done / 2))])
    elif calibrate:
        raise DitmosError("the model has no front end, there is nothing to calibrate")
    else:
        rows = x
    count = (len(rows) - model.kept_rows) // hop + 1
    if count < 1:
        raise DitmosError(f"{track.name}: {len(rows)} rows, a window of the model has {model.kept_rows}")
    policy = policy or own_policy(model.model)
    function = policy.load()
    watched = Watched(model)
    scores = np.zeros((count, model.classes), np.uint8)
    heard, runs = np.zeros(count, bool), np.zeros(count, np.int64)
    windows = sliding_window_view(rows, model.kept_rows, axis=0)[::hop]
    for start in range(0, count, _WINDOWS):
        part = windows[start : start + _WINDOWS].transpose(0, 2, 1)
        read = model.quantize_rows(front.of_window(part)) if front else model.quantize(part)
        window = np.ascontiguousarray(read)
        replay = Replay(model, window, Logits.of(model, window, part if model.experts else None))
        watched.model = replay
        for i in range(start, start + len(part)):
            with policy.at(f"window {i}"):
                label, _ = verdict(model, function(watched, replay.next()))
            runs[i] = watched.runs
            found = None if label is None else watched.scores()
            if found is not None:
                heard[i], scores[i] = True, np.frombuffer(found, np.uint8)
        report(0.5 + 0.5 * (start + len(part)) / count)
    raw_hop = front.hop if front else 1
    size = front.samples(model.window) if front else model.window
    times = (first + size + np.arange(count) * hop * raw_hop) / track.fs
    return Hearing(times, scores, heard, runs, clipped, track.fs / (hop * raw_hop))


def clipped_share(front: FrontEnd, x: Int16) -> float:
    """Of samples that the front end cuts off, or that lie at an end of int16."""
    top = 32767 >> (front.spectrum.shift if front.spectrum is front.operations[0] else 0)
    return float(((x >= top) | (x <= -top - 1)).mean())


def _samples(model: Model, track: Track) -> NDArray:
    """As the model takes them: for a front end int16 in its steps; else as the track has them, floats in real units."""
    raw, front = track.samples.dtype == np.int16, model.model.front_end
    signal = Signal.of(track.class_names, track.channels, track.units, track.scale, track.fs)
    made_for = Signal.of_model(model.model)
    x = track.samples
    if x.shape[1] != len(made_for.channels):
        raise DitmosError(f"{track.name}: {x.shape[1]} channels, the model takes {len(made_for.channels)}")
    fitted = fit(made_for, signal, track.name, raw=raw and not front)
    if raw and (front is None or (fitted.conversions is None and abs(track.scale / front.scale - 1) < 1e-6)):
        return fitted.taken(x)
    real = fitted.taken(x.astype(np.float32) * np.float32(track.scale))
    return real if front is None else sat16(np.rint(real / np.float32(front.scale)))


def _rows(front: FrontEnd, x: Int16, first: int, report: Callable[[float], None]) -> Iterator[Int16]:
    """Rows of the samples from ``first`` on; those before are for the calibration."""
    stream, size = Stream(front), max(front.samples(1), round(_PIECE_S * front.fs))
    if first:
        try:
            stream.calibrate(x[:first])
        except (ValueError, RuntimeError) as error:
            raise DitmosError(f"calibration: {error}") from None
        stream.reset()
    for start in range(first, len(x), size):
        yield stream.push(x[start : start + size])
        report(min(1.0, (start + size) / len(x)))
