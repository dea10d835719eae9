"""The strong network that guides the training of METHOD."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ditmos.networks.timewise import as_image


class StrongNetwork(nn.Module):
    """The large network whose features split the training data: convolutions in pairs, a pool after each pair.

    Padding 1, batch normalisation and ReLU after every convolution, then dropout, fully connected, ReLU, dropout,
    fully connected (METHOD, the authors' reference set-up). Kernels shrink to what the rows left can carry, so that
    short windows work too.
    """

    def __init__(
        self,
        window: int,
        channels: int,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        widths: Sequence[int] = (64, 64, 32, 32, 32, 16),
        kernels: Sequence[int] = (15, 13, 9, 9, 5, 5),
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None])
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None])
        layers: list[nn.Module] = []
        rows, width = window, channels
        for i, (out, kernel) in enumerate(zip(widths, kernels, strict=True)):
            kernel = min(kernel, rows + 2)
            layers += [nn.Conv2d(width, out, (1, kernel), padding=(0, 1), bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            rows, width = rows + 3 - kernel, out
            if i % 2 and rows >= 2:
                layers.append(nn.MaxPool2d((1, 2)))
                rows //= 2
        self.convs = nn.Sequential(*layers)
        self.feature_size = rows * width
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.feature_size, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def features(self, x: Tensor) -> Tensor:
        """x (N, channels, time) in real units -> flattened output of the convolutional part, (N, feature_size)."""
        return self.convs(as_image((x - self.mean) / self.std)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
