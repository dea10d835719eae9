"""Channels that are not like the others: an offset that a factor must leave alone, a glitch that decides nothing."""

from __future__ import annotations

import torch
from ditmos.datasets.tensors import glitch_limits
from ditmos.training.views import ViewConfig, Views


def test_a_factor_is_one_of_what_varies() -> None:
    """Air pressure keeps its offset; an accelerometer's gravity is scaled as all of it."""
    mean, std = torch.tensor([101325.0, 1.0]), torch.tensor([20.0, 0.5])
    views = Views(ViewConfig(scale=0.2), mean, std, torch.Generator().manual_seed(0))
    x = torch.randn(200, 2, 30, generator=torch.Generator().manual_seed(1))
    real = views(x) * std[:, None] + mean[:, None]
    before = x * std[:, None] + mean[:, None]
    pressure = (real - mean[:, None])[:, 0] / (before - mean[:, None])[:, 0]
    torch.testing.assert_close(
        pressure.nanmedian(1).values, (real / before)[:, 1].median(1).values, rtol=0.02, atol=0.0
    )
    assert real[:, 0].std() < 2 * 20 and (pressure.nanmedian(1).values - 1).abs().max() > 0.2


def test_glitches_are_cut_and_nothing_else_is() -> None:
    x = torch.randn(300, 3, 40, generator=torch.Generator().manual_seed(0))
    x[:, 2] = 0  # constant: nothing to go by
    assert glitch_limits(x) is None
    x[5, 0, 10], x[6, 2, 3] = 1e6, 7.0
    limits = glitch_limits(x)
    assert limits is not None
    cut = x.clamp(*limits)
    assert cut[5, 0, 10] < 500 and cut[6, 2, 3] == 7.0
    cut[5, 0, 10] = x[5, 0, 10]
    assert torch.equal(cut, x)
