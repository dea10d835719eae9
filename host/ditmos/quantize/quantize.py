"""Calibrate on training windows, follow the float network for some epochs, keep what validation likes best."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditmos.datasets.tensors import Windows
from ditmos.keep import Keep
from ditmos.model.inputs import InputChannel
from ditmos.model.quantized import QuantizedModel, check
from ditmos.model.signal import Signal
from ditmos.networks.routed_network import RoutedNetwork, choice
from ditmos.quantize.fake import FakeQuantNetwork, divergence
from ditmos.quantize.ranges import varies

PIECE = "tuning"  # of unfinished work
CALIBRATION = 1024  # training windows that scales are chosen on
BATCH = 128  # of fine-tuning
_EVALUATION_BATCH = 512
_LR = 1e-3  # in units of a channel's largest weight
_SCALE_LR = 3e-4  # of the logarithm of a scale

Distance = Callable[[FakeQuantNetwork], float]  # from what the network was in floats; the smallest is kept


@dataclass(frozen=True)
class Quantization:
    """What was kept: the rule of clipping and the epoch of fine-tuning (0: calibration alone).

    clips: distance by rule, calibrated alone. history: (epoch, loss, distance) of the fine-tuning.
    """

    clip: str
    epoch: int
    clips: dict[str, float]
    history: tuple[tuple[int, float, float], ...]


def routed_accuracy(gate: Tensor | None, logits: Tensor, y: Tensor) -> float:
    """The selector's first choice answers; early exits are not looked at."""
    return (logits[torch.arange(len(y)), choice(gate, logits)].argmax(1) == y).double().mean().item()


def divergence_from(network: RoutedNetwork, x: Tensor, given: Tensor | None = None) -> Distance:
    """How far the answers of integers are from the network's on windows x (N, channels, time): the loss of the
    fine-tuning. Of two classes that are nearly level, integers name one or the other by chance: on a few hundred
    windows that is most of what accuracy says of them, and the divergence does not count it. ``given``: as `quantize`.
    """
    parts = x.split(_EVALUATION_BATCH)
    asked = [None] * len(parts) if given is None else list(given.split(_EVALUATION_BATCH))

    @torch.no_grad()
    def distance(fake: FakeQuantNetwork) -> float:
        temperature, total = fake.classifiers[-1].temperature, 0.0
        for part, k in zip(parts, asked, strict=True):
            total += len(part) * _loss(fake, part, *_teach(network, part, temperature), k).item()
        return total / len(x)

    return distance


def quantize(
    network: RoutedNetwork,
    train: Windows,
    validation: Tensor,
    *,
    signal: Signal,
    clips: Sequence[str] = ("error",),
    epochs: int = 4,
    seed: int = 0,
    distance: Distance | None = None,
    metadata: dict[str, Any] | None = None,
    given: Tensor | None = None,
    keep: Keep | None = None,
    progress: Callable[[float], None] = lambda done: None,
) -> tuple[QuantizedModel, Quantization, FakeQuantNetwork]:
    """Quantise a trained network: scales are chosen and weights are tuned on training windows; of the rules of clipping
    and of the epochs, what is nearest to the float network's answers on validation windows is kept. Labels are not
    looked at, and test windows have no business here.

    Args:
        validation: windows (N, channels, time) in real units.
        signal: what the windows are: names, units, scales, rate, classes.
        clips: rules to try, see `ranges.relu_scale`.
        epochs: of fine-tuning, 0 for none.
        distance: of integers from floats, to be as small as possible; by default `divergence_from` the float network.
        given: (N,) the classifier that each training window is for, where something else chooses than a selector.
        keep: where a fine-tuning that is stopped goes on from.
        progress: called with the part that is done, 0 to 1.

    Returns:
        The model, what was kept, and the same network in torch.

    Raises:
        DitmosError: the integers break a rule of docs/arithmetic.md, for example an accumulator that could overflow.
    """
    rng, keep = torch.Generator().manual_seed(seed), keep or Keep()
    network = copy.deepcopy(network).cpu().eval()
    sample = torch.randperm(len(train), generator=rng)[:CALIBRATION]
    used = varies(train.x)
    asked = None if given is None else given[sample]
    made = {clip: FakeQuantNetwork(network, train.x[sample], clip, used, asked) for clip in clips}
    distance = distance or divergence_from(network, validation)
    found = {clip: distance(fake) for clip, fake in made.items()}
    clip = min(found, key=lambda name: found[name])  # the first of equals
    fake = made[clip]

    best = found[clip], 0, copy.deepcopy(fake.state_dict())
    history = [(0, float("nan"), best[0])]
    targets = _teach(network, train.x, fake.classifiers[-1].temperature)
    state = keep.load(PIECE) or {}
    if state:
        best, history = state["best"], state["history"]

    def save(running: dict[str, Any]) -> None:
        if keep.due():
            keep.save(PIECE, running | {"best": best, "history": history})

    for epoch in range(len(history), epochs + 1):
        loss = _epoch(fake, train.x, targets, given, (epoch, epochs), rng, state, save, progress)
        state = {}
        value = distance(fake)
        history.append((epoch, loss, value))
        if value < best[0]:
            best = value, epoch, copy.deepcopy(fake.state_dict())
    fake.load_state_dict(best[2])
    model = _model(fake, signal, metadata or {})
    check(model)
    return model, Quantization(clip, best[1], found, tuple(history)), fake


def _model(fake: FakeQuantNetwork, signal: Signal, metadata: dict[str, Any]) -> QuantizedModel:
    selector, classifiers = fake.export()
    gate = fake.selector[-1] if len(fake.selector) else None
    last = fake.classifiers[-1]
    return QuantizedModel(
        spec=fake.spec,
        selector=tuple(selector),
        classifiers=tuple(map(tuple, classifiers)),
        inputs=tuple(
            InputChannel.of(scale.item(), int(zero_point), sample_scale, name, units)
            for scale, zero_point, sample_scale, name, units in zip(
                fake.inputs.scale, fake.inputs.zero_point, signal.scales, signal.channels, signal.units, strict=True
            )
        ),
        selector_scale=float(np.float32(gate.scale[0].item())) if gate is not None else 1.0,
        selector_zero_point=gate.zero_point if gate is not None else 0,
        logit_scale=float(np.float32(last.scale[0].item())),
        logit_zero_point=last.zero_point,
        class_names=signal.class_names,
        rate=float(np.float32(signal.rate)),
        padding=fake.padding,
        metadata=metadata,
    )


@torch.no_grad()
def _teach(network: RoutedNetwork, x: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """The float network's answers: logits of the selector (N, outputs) or (N, 0), log-softmax of the classifiers'
    (N, K, classes), which are divided by ``temperature[k]``.
    """
    gates, answers = [], []
    for part in x.split(_EVALUATION_BATCH):
        gate, logits = network(part)
        gates.append(gate if gate is not None else logits.new_zeros(len(part), 0))
        answers.append((logits / temperature.view(1, -1, 1)).float().log_softmax(2))
    return torch.cat(gates), torch.cat(answers)


def _loss(fake: FakeQuantNetwork, x: Tensor, wanted: Tensor, answers: Tensor, given: Tensor | None) -> Tensor:
    """The mean divergence from the float network's ``answers`` (as `_teach` gives both), each classifier's weighed by
    how much the float selector wants it, so that classifiers stay as different from each other as training has made
    them. What a selector says of classifiers and of classes (an early exit) are two answers.
    """
    gate, logits = fake(x)
    shares = fake.shares(wanted if gate is not None else None, given)
    loss = (shares * divergence(answers, logits)).sum(1).mean()
    return loss if gate is None else loss + fake.gate_divergence(wanted, gate)


def _epoch(
    fake: FakeQuantNetwork,
    x: Tensor,
    targets: tuple[Tensor, Tensor],
    given: Tensor | None,
    which: tuple[int, int],
    rng: torch.Generator,
    state: dict[str, Any],
    save: Callable[[dict[str, Any]], None],
    progress: Callable[[float], None],
) -> float:
    """One pass over the training windows, learning rate falling as a cosine over all epochs; returns the mean loss.

    which: epoch, and of how many. state: what ``save`` received before a stop in this epoch, or nothing.
    """
    scales = [layer.log_scale for layer in fake.modules() if hasattr(layer, "log_scale") and layer.shape.relu]
    fixed = {id(p) for p in fake.parameters() if not p.requires_grad} | {id(p) for p in scales}
    weights = [p for p in fake.parameters() if id(p) not in fixed]
    optimizer = torch.optim.Adam([{"params": weights, "lr": _LR}, {"params": scales, "lr": _SCALE_LR}])
    order, first, total = torch.randperm(len(x), generator=rng), 0, 0.0
    if state:
        fake.load_state_dict(state["fake"])
        optimizer.load_state_dict(state["optimizer"])
        rng.set_state(state["rng"])
        order, first, total = state["order"], state["first"], state["total"]
    index = order.split(BATCH)
    for i, rows in enumerate(index[first:], first):
        done = (which[0] - 1 + i / len(index)) / which[1]
        factor = float(0.5 * (1 + np.cos(np.pi * done)))
        for group, rate in zip(optimizer.param_groups, (_LR, _SCALE_LR), strict=True):
            group["lr"] = rate * factor
        loss = _loss(fake, x[rows], targets[0][rows], targets[1][rows], None if given is None else given[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        save(
            {
                "fake": fake.state_dict(), "optimizer": optimizer.state_dict(), "rng": rng.get_state(),
                "order": order, "first": i + 1, "total": total,
            }
        )  # fmt: skip
        progress(done)
    return total / len(index)
