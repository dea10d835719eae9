"""Which layer loses most when a network becomes integers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ditmos.quantize.fake import FakeQuantNetwork
from ditmos.quantize.fake_layer import FakeQuantLayer, Quantized


@torch.no_grad()
def losses(fake: FakeQuantNetwork, x: Tensor) -> dict[str, float]:
    """Layer -> how far its integers are from what its own weights make in floats of the very same inputs: the root of
    the squared error over that of the values. ``x`` (N, channels, time); "window": what quantising the window costs.
    """
    found: dict[str, float] = {}

    def run(layer: FakeQuantLayer, operands: Sequence[Quantized]) -> Quantized:
        stored, scale = layer(operands)
        exact = layer.floats(operands)
        shape = (1, -1, *[1] * (stored.ndim - 2))
        found[layer.shape.name] = _relative((stored - layer.zero_point) * scale.view(shape), exact)
        return stored, scale

    window = fake.window(x)
    mean = x.mean((0, 2))
    centred = (x - mean[:, None]) / x.std((0, 2)).clamp(min=1e-12)[:, None]  # channels differ in size
    got = fake.inputs.real(window["selector", 0][0], mean)
    found["window"] = _relative((got - mean[:, None]) / x.std((0, 2)).clamp(min=1e-12)[:, None], centred)
    fake.branch(fake.selector, window, run)
    fake.branch(fake.classifiers, window, run)
    return found


def _relative(got: Tensor, exact: Tensor) -> float:
    return ((got - exact).norm() / exact.norm().clamp(min=1e-12)).item()
