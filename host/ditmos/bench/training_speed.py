"""How fast training is: the K classifiers as one grouped network against K networks one after the other.

The authors' code takes batches of 8 and, for each, runs the K classifiers in turn. Everything is timed in one process,
with the same threads, on the same windows; a figure is the median over repetitions.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.networks.student import StudentNetwork
from ditmos.training.fit import FitConfig

AUTHORS_BATCH = 8


def _median_seconds(step: Callable[[], object], repetitions: int) -> float:
    step()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _looped(spec: NetworkSpec, x: Tensor, y: Tensor) -> Callable[[], None]:
    """One batch: selector and K separate classifiers, each with its own optimiser step."""
    ones = [
        RoutedNetwork(replace(spec, classifiers=1, selector_outputs=spec.classifiers), *_statistics(spec))
        for _ in range(spec.classifiers)
    ]
    steppers = [torch.optim.SGD(one.parameters(), 0.01, momentum=0.9, nesterov=True) for one in ones]

    def step() -> None:
        with torch.no_grad():
            _, maps = ones[0].forward_selector(x)
        for one, stepper in zip(ones, steppers, strict=True):
            loss = F.cross_entropy(one.forward_classifiers(maps)[:, 0], y)
            stepper.zero_grad(set_to_none=True)
            loss.backward()
            stepper.step()

    return step


def _grouped(spec: NetworkSpec, x: Tensor, y: Tensor) -> Callable[[], None]:
    network = RoutedNetwork(spec, *_statistics(spec))
    stepper = torch.optim.SGD(network.classifiers.parameters(), 0.01, momentum=0.9, nesterov=True)

    def step() -> None:
        with torch.no_grad():
            _, maps = network.forward_selector(x)
        logits = network.forward_classifiers(maps)
        loss = F.cross_entropy(logits.flatten(0, 1), y.repeat_interleave(spec.classifiers)) * spec.classifiers
        stepper.zero_grad(set_to_none=True)
        loss.backward()
        stepper.step()

    return step


def _student(spec: NetworkSpec, x: Tensor, y: Tensor, capacity: float | None) -> Callable[[], None]:
    """The whole network, selector included, as the study trains it; capacity None: every classifier sees everything."""
    network = StudentNetwork(spec, delta=FitConfig().delta).train()
    stepper = torch.optim.AdamW(network.parameters(), 0.01, fused=True)
    k = spec.classifiers
    each = len(x) if capacity is None else int(capacity * len(x) / k)

    def step() -> None:
        gate, logits, rows = network.dispatched(x, lambda outputs: outputs[:, :k].detach().topk(each, 0).indices.t())
        loss = F.cross_entropy(logits.flatten(0, 1), y[rows].t().flatten()) + F.cross_entropy(gate, y % k)
        stepper.zero_grad(set_to_none=True)
        loss.backward()
        stepper.step()

    return step


def _statistics(spec: NetworkSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (0.0,) * spec.channels, (1.0,) * spec.channels


def measure(spec: NetworkSpec, *, batch: int = 512, repetitions: int = 15, threads: int = 1) -> list[dict[str, Any]]:
    """Rows: name, batch, steps per second, windows per second, and how many times as fast as the authors' loop.

    Windows are random: the time does not depend on them.
    """
    torch.set_num_threads(threads)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(batch, spec.channels, spec.window, generator=rng)
    y = torch.randint(spec.classes, (batch,), generator=rng)
    small = AUTHORS_BATCH
    cases = [
        (f"loop over {spec.classifiers} networks", small, _looped(spec, x[:small], y[:small])),
        (f"grouped, {spec.classifiers} at once", small, _grouped(spec, x[:small], y[:small])),
        ("grouped", batch, _grouped(spec, x, y)),
        ("student, every window to every classifier", batch, _student(spec, x, y, None)),
        ("student, dispatched", batch, _student(spec, x, y, FitConfig().capacity)),
    ]
    rows: list[dict[str, Any]] = []
    for name, size, step in cases:
        seconds = _median_seconds(step, repetitions * (batch // size))
        rows.append({"name": name, "batch": size, "steps_per_s": 1 / seconds, "windows_per_s": size / seconds})
    for row in rows:
        row["speedup"] = row["windows_per_s"] / rows[0]["windows_per_s"]
    return rows
