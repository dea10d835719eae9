"""What training is made of: batches, augmentation, clusters, learning rates and the optimiser's step."""

from __future__ import annotations

import pytest
import torch
from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.networks.student import StudentNetwork
from ditmos.paper.config import Schedule
from ditmos.paper.session import Stepper
from ditmos.paper.splitting import kmeans
from ditmos.training.data import balanced_batches, batches, cluster_batches
from ditmos.training.fit import Batch, given_loss, lists_of
from ditmos.training.views import ViewConfig, Views, rotation


def test_batches_are_a_permutation() -> None:
    index = batches(103, 10, torch.Generator().manual_seed(0))
    assert index.shape == (10, 10) and len(index.unique()) == 100
    assert batches(5, 64, torch.Generator()).shape == (1, 5)


def test_balanced_batches_draw_every_class_equally_often() -> None:
    y = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    index = balanced_batches(y, 50, torch.Generator().manual_seed(0))
    assert index.shape == (20, 50)
    shares = torch.bincount(y[index].flatten(), minlength=3) / 1000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.06, rtol=0)


def test_cluster_batches_stay_in_their_cluster() -> None:
    clusters = torch.tensor([0] * 50 + [1] * 7 + [2] * 20)
    index = cluster_batches(clusters, 3, 5, torch.Generator().manual_seed(0))
    assert index.shape == (5, 5, 3)
    for k in range(3):
        assert (clusters[index[:, :, k]] == k).all()
    assert len(index[:, :, 0].unique()) == 25 and len(index[:, :, 1].unique()) == 7
    with pytest.raises(DitmosError, match=r"\[77, 0\]"):
        cluster_batches(torch.zeros(77, dtype=torch.long), 2, 5, torch.Generator())


def test_augmentations() -> None:
    x = torch.randn(40, 6, 30, generator=torch.Generator().manual_seed(1))

    mean, std = torch.full((6,), 0.5), torch.full((6,), 2.0)

    def apply(**values: float) -> torch.Tensor:
        """In real units."""
        views = Views(ViewConfig(**values), mean, std, torch.Generator().manual_seed(2))
        return views((x - mean[:, None]) / std[:, None]) * std[:, None] + mean[:, None]

    torch.testing.assert_close(apply(), x)
    turned = apply(rotate=40.0)
    torch.testing.assert_close(turned.unflatten(1, (2, 3)).norm(dim=2), x.unflatten(1, (2, 3)).norm(dim=2))
    assert (turned - x).abs().max() > 0.1
    shifted = apply(shift=4)
    for before, after in zip(x, shifted, strict=True):
        options = [before[:, (torch.arange(30) + s).clamp(0, 29)] for s in range(-4, 5)]
        assert any(torch.allclose(after, option, atol=1e-5) for option in options)
    scaled = apply(scale=0.3)
    factor = (scaled * x).sum((1, 2)) / x.square().sum((1, 2))
    torch.testing.assert_close(scaled, factor[:, None, None] * x)
    assert 0.2 < factor.log().std() < 0.4
    assert 0.15 < (apply(noise=0.1) - x).std() < 0.25  # a tenth of the deviation, 2
    masked = (apply(mask=5) - x).abs() > 1e-4
    assert masked.any() and torch.allclose(apply(mask=5)[masked], torch.tensor(0.5))
    with pytest.raises(DitmosError, match="threes"):
        Views(ViewConfig(rotate=10), torch.zeros(4), torch.ones(4), torch.Generator())


def test_rotation_matrix() -> None:
    quarter = rotation(torch.tensor([[0.0, 0.0, torch.pi / 2]]))
    torch.testing.assert_close(quarter[0] @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0)


# --- schedules ----------------------------------------------------------------------------------------------------


def test_learning_rates() -> None:
    """Without momentum and decay a step is the rate times the gradient, which is 1 here."""
    w = torch.nn.Parameter(torch.zeros(1))
    schedule = Schedule(epochs=50, lr=0.005, factor=0.2, every=20, weight_decay=0.0)
    stepper = Stepper([w], schedule)
    stepper.optimizer.param_groups[0].update(momentum=0.0, nesterov=False)
    rates = []
    for _ in range(50):
        before = w.item()
        loss = stepper.epoch_of(torch.zeros(2, 1), lambda rows: w.sum())
        rates.append((before - w.item()) / 2)
        assert loss == pytest.approx(before - rates[-1] / 2)  # the mean of two steps
    assert [rates[e] for e in (0, 19, 20, 45)] == pytest.approx([0.005, 0.005, 0.001, 0.0002], rel=1e-3)  # of floats


def test_stepper_is_sgd_with_nesterov_momentum() -> None:
    """Two steps on f(w) = w^2 / 2 by hand: v = 0.9 v + g, w -= lr (g + 0.9 v)."""
    w = torch.nn.Parameter(torch.tensor(1.0))
    stepper = Stepper([w], Schedule(epochs=1, lr=0.1, weight_decay=0.0))
    value, velocity = 1.0, 0.0
    stepper.epoch_of(torch.zeros(2, 1), lambda rows: w.square() / 2)
    for _ in range(2):
        velocity = 0.9 * velocity + value
        value -= 0.1 * (value + 0.9 * velocity)
    assert w.item() == pytest.approx(value)


def test_kmeans_finds_separate_clusters() -> None:
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    truth = torch.arange(3).repeat_interleave(20)
    labels = kmeans(centres[truth] + torch.randn(60, 2, generator=rng), 3, n_init=5, seed=0, threads=1)
    assert all(len(labels[truth == i].unique()) == 1 for i in range(3)) and len(labels.unique()) == 3
    with pytest.raises(DitmosError, match="2 training windows for 3 classifiers"):
        kmeans(torch.zeros(2, 2), 3, 1, 0, 1)


def test_windows_that_are_given_go_to_their_classifier_alone() -> None:
    """Lists by hand, the shorter ones filled up by repetition; the loss is the mean over the windows."""
    rows, counts = lists_of(torch.tensor([1, 0, 1, 3, 1]), 4)
    assert rows[[0, 1, 3]].tolist() == [[1, 1, 1], [0, 2, 4], [3, 3, 3]]
    assert counts.tolist() == [[True, False, False], [True] * 3, [False] * 3, [True, False, False]]
    spec = NetworkSpec(12, 2, 3, 4, BranchSpec((ConvSpec(2, 3),)))
    network = StudentNetwork(spec, delta=0.1).eval()
    x, given = torch.randn(5, 2, 12), torch.tensor([1, 0, 1, 3, 1])
    target = torch.softmax(torch.randn(5, 3), 1)
    batch = Batch(target, target.argmax(1), torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0]), 0.0)
    own = network(x)[1][torch.arange(5), given].log_softmax(1)
    expected = (-(target * own).sum(1) * batch.weight).mean()
    assert given_loss(network, x, given, batch).item() == pytest.approx(expected.item(), rel=1e-5)
