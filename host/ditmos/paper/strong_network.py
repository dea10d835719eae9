"""The strong network that guides the training of METHOD."""

from __future__ import annotations

from torch import nn

from ditmos.networks.large_network import LargeNetwork
from ditmos.paper.config import StrongConfig

_DROPOUT = 0.2
PADDING = 1  # of its convolutions


def strong_network(window: int, channels: int, classes: int, config: StrongConfig) -> LargeNetwork:
    """Convolutions in pairs, a pool after each pair; batch normalisation and ReLU after every convolution, then
    dropout, fully connected, ReLU, dropout, fully connected (METHOD, the authors' reference set-up).

    Kernels shrink to what the rows left can carry, so that short windows work too.
    """
    layers: list[nn.Module] = []
    rows, width = window, channels
    for i, (out, kernel) in enumerate(zip(config.widths, config.kernels, strict=True)):
        kernel = min(kernel, rows + 2 * PADDING)
        conv = nn.Conv2d(width, out, (1, kernel), padding=(0, PADDING), bias=False)
        layers += [conv, nn.BatchNorm2d(out), nn.ReLU()]
        rows, width = rows + 2 * PADDING + 1 - kernel, out
        if i % 2 and rows >= 2:
            layers.append(nn.MaxPool2d((1, 2)))
            rows //= 2
    hidden = [nn.Dropout(_DROPOUT), nn.Linear(rows * width, config.hidden), nn.ReLU()]
    return LargeNetwork(layers, [*hidden, nn.Dropout(_DROPOUT), nn.Linear(config.hidden, classes)])
