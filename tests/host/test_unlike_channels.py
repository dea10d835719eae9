"""Channels that are not like the others: an offset that a factor must leave alone, a glitch that decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ditmos.datasets import save
from ditmos.datasets.splits import split
from ditmos.datasets.synthetic import generate
from ditmos.datasets.tensors import Windows, glitch_limits
from ditmos.training.choose import choose, choose_data
from ditmos.training.learn import learn
from ditmos.training.pool import PoolConfig, build
from ditmos.training.run import Request, train
from ditmos.training.teachers import TeacherConfig
from ditmos.training.views import ViewConfig, Views
from numpy.typing import NDArray


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


def test_axes_turn_together_where_they_are_alike() -> None:
    """The second sensor's first axis is in other units: it stays, and so do those beside it."""
    mean, std = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0]), torch.tensor([0.3, 0.3, 0.3, 3e4, 0.3, 0.3])
    x = torch.randn(50, 6, 30, generator=torch.Generator().manual_seed(1))
    turned = Views(ViewConfig(rotate=40.0), mean, std, torch.Generator().manual_seed(0))(x)
    torch.testing.assert_close(turned[:, 3:], x[:, 3:], rtol=1e-4, atol=1e-4)
    assert ((turned[:, :3] - x[:, :3]).abs().amax((1, 2)) > 0.1).float().mean() > 0.8


def test_no_rotation_where_an_axis_is_left_out() -> None:
    made = split(generate(subjects=6, activities=3, recordings=2, windows=2, window=32), "subject")
    data, kind, _ = choose_data(made, "subject")
    for used, angle in (((), 40.0), ((True,) * 3 + (False,) * 3, 40.0), ((True,) * 5 + (False,), 0.0)):
        assert choose(made, data, kind, "quick", "best", used).settings.views.rotate == angle


SETTINGS = {
    "threads": 1,
    "views": {"count": 2},
    "teachers": {"count": 1, "epochs": 10, "widths": [8], "kernels": [5]},
    "network": {"classifier": "10k3", "selector": "8k5s2 8k3", "classifiers": 3, "start": 1, "aggregate": [2]},
    "fit": {"epochs": 40.0, "batch": 64},
    "int8": {"epochs": 3},
}


def _nothing(x: NDArray) -> None:
    pass


def _dead(x: NDArray) -> None:
    x[..., 5] = 0


def _dead_far_off(x: NDArray) -> None:
    x[..., 5] = 101325


def test_what_students_learn_from_has_a_deviation_of_1() -> None:
    """Whatever the unit: of currents in A it was taken to be 1e-6, and noise was a thousand times too much."""
    x = torch.randn(64, 3, 32, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-9, 1.0, 0.0])[:, None]
    teachers = TeacherConfig(count=1, epochs=1, widths=(4,), kernels=(3,))
    config = PoolConfig(ViewConfig(count=2, mixed=0, noise=0.1), teachers)
    pool = build(Windows(x, torch.arange(64) % 2), 2, config)
    torch.testing.assert_close(pool.x.float().std((0, 2)), torch.tensor([1.0, 1.0, 0.07]), rtol=0.03, atol=0.01)


def _pressure(x: NDArray) -> None:
    x[..., 5] = 101325 + 20 * x[..., 5]


def _larger(x: NDArray) -> None:
    x[..., 0] *= 1e5


def _smaller(x: NDArray) -> None:
    x[..., :3] *= 1e-5


def _one_glitch(x: NDArray) -> None:
    """Of the first window, which is in training."""
    x[0, 10, 2] = 1e6


def _glitches_everywhere(x: NDArray) -> None:
    """One in each hundredth window, of either sign, also in the windows that are judged."""
    x[::100, 20, 1], x[50::100, 30, 4] = 1e6, -3e5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "trouble",
    [_nothing, _dead, _dead_far_off, _pressure, _larger, _smaller, _one_glitch, _glitches_everywhere],
)
def test_integers_are_within_a_point_after_a_training(trouble: Callable[[NDArray], None], tmp_path: Path) -> None:
    """`ditmos train`, briefly, of a set with that trouble: nothing is asked of the user."""
    made = split(generate(subjects=30, activities=5, recordings=3, windows=6, window=64), "subject", test=0.4)
    x = made.values()
    trouble(x)
    units = "g, g, g, rad/s, rad/s, rad/s"
    row = train(Request(save(replace(made, x=x, scale=1.0, units=units), tmp_path / "d.npz"), settings=SETTINGS),
                tmp_path / "run", learn)  # fmt: skip
    print(f"{trouble.__name__}: float {row['float']:.4f}, int8 {row['int8']:.4f}")
    assert row["float"] > 0.7 and row["int8"] >= row["float"] - 0.01, (row["float"], row["int8"])
