"""Calibrate on training windows, follow the float network for some epochs, keep what validation likes best."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ditmos.model.inputs import InputChannel
from ditmos.model.quantized import QuantizedModel, check
from ditmos.model.signal import Signal
from ditmos.model.use import Use, default_use
from ditmos.quantize.fake import FakeQuantNetwork, divergence
from ditmos.training.data import Windows
from ditmos.training.evaluation import choice
from ditmos.training.networks import RoutedNetwork

CALIBRATION = 1024  # training windows that scales are chosen on
_BATCH = 128
_EVALUATION_BATCH = 512
_LR = 1e-3  # in units of a channel's largest weight
_SCALE_LR = 3e-4  # of the logarithm of a scale


@dataclass(frozen=True)
class Quantization:
    """Of the fine-tuning: which epoch was kept (0: calibration alone), and (epoch, loss, validation) of each.

    ``validation`` is routed accuracy, or the mean recall for ``metric="balanced"`` runs.
    """

    epoch: int
    history: tuple[tuple[int, float, float], ...]


def quantize(
    network: RoutedNetwork,
    train: Windows,
    validation: Windows,
    *,
    signal: Signal,
    use: Use | None = None,
    epochs: int = 4,
    seed: int = 0,
    metric: Callable[[Tensor, Tensor], float] | None = None,
    metadata: dict[str, Any] | None = None,
    progress: Callable[[float], None] = lambda done: None,
) -> tuple[QuantizedModel, Quantization]:
    """Quantise a trained network. Test windows have no business here.

    Args:
        signal: what the windows are: names, units, scales, rate, classes.
        use: who answers, by which policy; default: the selector's first choice, or all classifiers without one.
        epochs: of fine-tuning, 0 for none.
        metric: (right (N,) float, y (N,)) -> number to be as large as possible; default: the mean of right.
        progress: called with the part that is done, 0 to 1.

    Raises:
        DitmosError: the integers break a rule of docs/arithmetic.md, for example an accumulator that could overflow.
    """
    rng = torch.Generator().manual_seed(seed)
    network = copy.deepcopy(network).cpu().eval()
    sample = torch.randperm(len(train), generator=rng)[:CALIBRATION]
    fake = FakeQuantNetwork(network, train.x[sample])
    metric = metric or (lambda right, y: right.mean().item())

    best = _validate(fake, validation, metric), 0, copy.deepcopy(fake.state_dict())
    history = [(0, float("nan"), best[0])]
    targets = _teach(network, train.x, fake.classifiers[-1].temperature) if epochs else None
    for epoch in range(1, epochs + 1):
        loss = _epoch(fake, train.x, targets, epoch, epochs, rng, progress)
        value = _validate(fake, validation, metric)
        history.append((epoch, loss, value))
        if value > best[0]:
            best = value, epoch, copy.deepcopy(fake.state_dict())
    fake.load_state_dict(best[2])
    model = _model(fake, signal, use, metadata or {})
    check(model)
    return model, Quantization(best[1], tuple(history))


def _model(fake: FakeQuantNetwork, signal: Signal, use: Use | None, metadata: dict[str, Any]) -> QuantizedModel:
    selector, classifiers = fake.export()
    gate = fake.selector[-1] if len(fake.selector) else None
    last = fake.classifiers[-1]
    return QuantizedModel(
        spec=fake.spec,
        selector=tuple(selector),
        classifiers=tuple(map(tuple, classifiers)),
        inputs=tuple(
            InputChannel.of(fake.input_scale, fake.input_zero_point, scale, name, units)
            for name, units, scale in zip(signal.channels, signal.units, signal.scales, strict=True)
        ),
        selector_scale=float(np.float32(gate.scale[0].item())) if gate is not None else 1.0,
        selector_zero_point=gate.zero_point if gate is not None else 0,
        logit_scale=float(np.float32(last.scale[0].item())),
        logit_zero_point=last.zero_point,
        class_names=signal.class_names,
        rate=float(np.float32(signal.rate)),
        use=use or default_use(fake.spec),
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


def _epoch(
    fake: FakeQuantNetwork,
    x: Tensor,
    targets: tuple[Tensor, Tensor],
    epoch: int,
    epochs: int,
    rng: torch.Generator,
    progress: Callable[[float], None],
) -> float:
    """One pass over the training windows, learning rate falling as a cosine over all epochs; returns the mean loss.

    The loss is the divergence from the float network's answers, each classifier's weighed by how much the float
    selector wants it, so that classifiers stay as different from each other as training has made them. What a selector
    says of classifiers and of classes (an early exit) are two answers.
    """
    scales = [layer.log_scale for layer in fake.modules() if hasattr(layer, "log_scale") and layer.shape.relu]
    fixed = {id(p) for p in fake.parameters() if not p.requires_grad} | {id(p) for p in scales}
    weights = [p for p in fake.parameters() if id(p) not in fixed]
    optimizer = torch.optim.Adam([{"params": weights, "lr": _LR}, {"params": scales, "lr": _SCALE_LR}])
    index = torch.randperm(len(x), generator=rng).split(_BATCH)
    total = 0.0
    for i, rows in enumerate(index):
        done = (epoch - 1 + i / len(index)) / epochs
        factor = 0.5 * (1 + np.cos(np.pi * done))
        for group, rate in zip(optimizer.param_groups, (_LR, _SCALE_LR), strict=True):
            group["lr"] = rate * factor
        gate, logits = fake(x[rows])
        wanted = targets[0][rows] if gate is not None else None
        loss = (fake.shares(wanted) * divergence(targets[1][rows], logits)).sum(1).mean()
        if gate is not None:
            loss = loss + fake.gate_divergence(wanted, gate)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        progress(done)
    return total / len(index)


@torch.no_grad()
def _validate(fake: FakeQuantNetwork, windows: Windows, metric: Callable[[Tensor, Tensor], float]) -> float:
    right = []
    for x, y in zip(windows.x.split(_EVALUATION_BATCH), windows.y.split(_EVALUATION_BATCH), strict=True):
        gate, logits = fake.stored(x)
        right.append((logits[torch.arange(len(x)), choice(gate, logits)].argmax(1) == y).double())
    return metric(torch.cat(right), windows.y)
