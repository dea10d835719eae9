"""A network without a budget, which others learn from: the teachers of training, METHOD's strong network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LargeNetwork(nn.Module):
    """Convolutions in two dimensions, then fully connected layers. planar: a window is an image of one map, channels by
    rows; else an image of height 1 with a map a channel."""

    def __init__(self, convs: Sequence[nn.Module], head: Sequence[nn.Module], *, planar: bool = False) -> None:
        super().__init__()
        self.convs, self.head, self.planar = nn.Sequential(*convs), nn.Sequential(*head), planar

    def features(self, x: Tensor) -> Tensor:
        """Standardised windows (N, channels, time) -> flattened output of the convolutions, (N, features)."""
        image = x.unsqueeze(1 if self.planar else 2)
        return self.convs(image.contiguous(memory_format=torch.channels_last)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Standardised windows (N, channels, time) -> logits (N, classes)."""
        return self.head(self.features(x))
