"""Models with a front end, and what they answer to samples in pieces: for the C module and the boards."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from ditmos.bench.golden import random_model, random_spec, with_left_out
from ditmos.bench.golden_forests import forest_model, linear_model
from ditmos.bench.golden_fronts import random_front, random_samples
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16
from ditmos.frontends.memory import memory
from ditmos.frontends.operations import Affine
from ditmos.model.plan import Plan
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.planner import front, stream_plan, whole_plan

MOST_CHANNELS = 24


@dataclass(frozen=True)
class FeedCase:
    """samples (time, channels), and a script: a call in each line, and what it answers (`script`)."""

    model: QuantizedModel
    plan: Plan
    samples: Int16
    script: str


def feed_case(seed: int) -> FeedCase:
    """The model of one seed; one in four has a forest, before a network or alone, one in eight reads features."""
    rng = np.random.default_rng(seed)
    forest = seed % 4 == 1
    model = forest_model(rng, alone=seed % 8 == 5, most_window=80) if forest else model_with_front(rng)
    if seed % 8 == 2:
        model = linear_model(rng, most_window=80)
    front_end = model.front_end
    assert front_end
    spec, feed = model.spec, memory(front_end, model.spec.window)
    plans = [whole_plan(spec, feed=feed), stream_plan(spec, feed)]
    plan = (plans if seed % 3 else [front(spec, model)[0].plan])[seed % 2 if seed % 3 else 0]
    count = front_end.samples(spec.window) + int(rng.integers(0, 40 * front_end.hop + 1))
    samples = random_samples(rng, count, front_end.channels)
    return FeedCase(model, plan, samples, script(rng, Model(model), samples))


def model_with_front(rng: Generator) -> QuantizedModel:
    while True:
        front_end = random_front(rng, longest=64)
        if front_end.channels_out <= MOST_CHANNELS:
            break
    left_out = min(front_end.channels_out - 1, max(0, int(rng.integers(-3, 4))))
    spec = replace(random_spec(rng, max_rows=30, max_classifiers=4), channels=front_end.channels_out - left_out)
    return replace(with_left_out(rng, random_model(rng, spec), left_out), front_end=front_end)


def script(rng: Generator, model: Model, samples: Int16) -> str:
    """Lines ``feed N rows ROW``, ``calibrate N rows``, ``select LOGITS``, ``classify K LOGITS``, ``reset``, ``early``
    (select_fed is refused), of a forest ``summary FEATURES``, ``votes VOTES``, ``both K WEIGHT CLASS``; N are samples
    from the next one on, what is written in capitals are bytes in hex."""
    front_end: FrontEnd = model.feeder.front
    calibrates = any(isinstance(o, Affine) and o.own for o in front_end.operations)
    lines, at, full = [], 0, False
    while at < len(samples):
        n = min(len(samples) - at, int(rng.integers(1, 2 + 2 * front_end.hop * (1 if full else model.kept_rows))))
        piece = samples[at : at + n]
        at += n
        if calibrates and rng.random() < 0.1:
            lines.append(f"calibrate {n} {model.calibrate(piece)}")
        else:
            rows = model.feed(piece)
            lines.append(f"feed {n} {rows} {model.row().astype('<i2').tobytes().hex()}")
        if rng.random() < 0.03:
            model.feed_reset()
            lines.append("reset")
        try:
            logits = model.select_fed()
        except RuntimeError:
            full = False
            lines.append("early")
            continue
        full = True
        lines.append(f"select {logits.tobytes().hex()}")
        if model.experts:
            lines.append(f"summary {model.summary().tobytes().hex()}")
            lines.append(f"votes {model.votes(None).tobytes().hex()}")
        for k in rng.integers(0, max(model.classifiers, 1), int(rng.integers(0, 3))) if model.classifiers else ():
            logits = model.classify(int(k))
            lines.append(f"classify {k} {logits.tobytes().hex()}")
            if model.experts:
                weight = int(rng.integers(0, 9))
                lines.append(f"both {k} {weight} {model.both(logits, weight)}")
    return "\n".join(lines) + "\n"
