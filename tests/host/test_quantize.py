"""Quantisation: the fake-quant network is the reference, and little is lost on the way to integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ditmos.datasets.tensors import Windows
from ditmos.errors import DitmosError
from ditmos.model.inputs import MAX_ZERO_POINT, quantize_input
from ditmos.model.lanes import LANE_HALF
from ditmos.model.quantized import accumulator_bound
from ditmos.model.reference import Model
from ditmos.model.signal import Signal
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average, depthwise, same
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.quantize import quantize
from ditmos.quantize.blame import losses
from ditmos.quantize.fake import FakeQuantNetwork
from ditmos.quantize.quantize import _model, divergence_from
from ditmos.quantize.ranges import affine, input_scales, logit_range, relu_scale, varies
from ditmos.training import export as exporting
from ditmos.training.score import answer_float, score
from torch import Tensor

BRANCH = BranchSpec((ConvSpec(6, 7), ConvSpec(5, 5, stride=2), ConvSpec(4, 3, pool=1)), (12,))
SEPARABLE = BranchSpec((ConvSpec(6, 7, 2, 1, pad=same(7)), depthwise(3), ConvSpec(8, 1, pool=1), depthwise(5, 2)))
SPECS = {
    "depthwise": NetworkSpec(61, 3, 6, 1, BranchSpec((*SEPARABLE.convs, average()))),
    "depthwise, of two maps": NetworkSpec(
        61, 3, 6, 2, BranchSpec((*SEPARABLE.convs, average(4))), SEPARABLE, aggregate=(1, 3, 4)
    ),
    "depthwise, of the window": NetworkSpec(
        61, 3, 6, 3, BranchSpec((ConvSpec(4, 1), average(9))), BranchSpec((depthwise(4),)), start=1
    ),
    "aggregated": NetworkSpec(61, 3, 7, 4, BRANCH, BRANCH, aggregate=(1, 2)),
    "last map too": NetworkSpec(61, 2, 3, 3, BRANCH, BRANCH, aggregate=(2, 3)),
    "from a selector map": NetworkSpec(61, 1, 5, 2, BranchSpec(BRANCH.convs[1:]), BRANCH, start=1, aggregate=(2,)),
    "heads only": NetworkSpec(61, 3, 5, 5, BranchSpec((), (9,)), BRANCH, start=3),
    "plain": NetworkSpec(61, 3, 6, 1, BRANCH),
    "early exit": NetworkSpec(
        61, 3, 6, 1, BranchSpec(BRANCH.convs[1:]), BranchSpec(BRANCH.convs[:1]), start=1, selector_outputs=6
    ),
}


def signal(spec: NetworkSpec) -> Signal:
    return Signal.of([str(i) for i in range(spec.classes)], ["c"] * spec.channels, "g", 0.01)


def windows(spec: NetworkSpec, count: int, seed: int = 0) -> Windows:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(count, spec.channels, spec.window, generator=rng).cumsum(2) * 0.4 + 1.5
    return Windows(x, torch.randint(spec.classes, (count,), generator=rng))


def network(spec: NetworkSpec, seed: int = 0) -> RoutedNetwork:
    """Untrained, with batch-norm statistics of real windows and an affine part that is not the identity."""
    torch.manual_seed(seed)
    x = windows(spec, 256).x
    net = RoutedNetwork(spec, x.mean((0, 2)).tolist(), x.std((0, 2)).tolist(), dropout=0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(module.weight, 0.2, 2)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.momentum = None  # the mean over what it sees
    net.train()
    with torch.no_grad():
        net(x)
    return net.eval()


@pytest.mark.parametrize("name", SPECS)
def test_fake_quantised_network_is_the_reference(name: str) -> None:
    spec = SPECS[name]
    fake = FakeQuantNetwork(network(spec), windows(spec, 200).x)
    with torch.no_grad():  # away from what calibration chose
        for parameter in fake.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
        x = windows(spec, 64, seed=1).x
        selector, logits = fake.stored(x)
    model = _model(fake, signal(spec), {})
    reference = Model(model)
    q = quantize_input(x.numpy().transpose(0, 2, 1), model.inputs)
    assert np.array_equal(reference.select_batch(q), selector.reshape(len(x), -1).numpy().astype(np.int8))
    assert np.array_equal(reference.classify_batch(q), logits.numpy().astype(np.int8))
    assert np.unique(logits).size > 20


@pytest.mark.parametrize("name", SPECS)
def test_real_units_follow_the_float_network(name: str) -> None:
    """Batch norm, standardisation and the scales of aggregated halves are folded: all are odd here, and a mistake in
    one of them makes the relative error about 1."""
    spec = SPECS[name]
    net = network(spec)
    fake = FakeQuantNetwork(net, windows(spec, 200).x)
    with torch.no_grad():
        x = windows(spec, 100, seed=1).x
        for real, integer, layers in zip(net(x), fake(x), (fake.selector, fake.classifiers), strict=True):
            if real is not None:
                if real.ndim == 3:
                    real = real / layers[-1].temperature.view(1, -1, 1)
                error = integer - real
                error = error - error.mean(-1, keepdim=True)  # logits are shifted, which changes no answer
                error = error.square().mean().sqrt() / real.std()
                assert error < 0.15, f"relative error {error:.3f}"


def test_fine_tuning_follows_the_float_network() -> None:
    spec = SPECS["aggregated"]
    net = network(spec)
    train, validation = windows(spec, 512), windows(spec, 128, seed=1)
    with torch.no_grad():
        gate, logits = net(validation.x)
        y = logits[torch.arange(128), gate.argmax(1)].argmax(1)  # the float network is always right
    names = [str(i) for i in range(spec.classes)]
    model, tuning, fake = quantize(net, train, validation.x, signal=Signal.of(names, "abc", "g", 0.5, 50.0), epochs=3)
    losses = [loss for _, loss, _ in tuning.history[1:]]
    assert losses[-1] < losses[0]
    assert min(value for _, _, value in tuning.history) == tuning.history[tuning.epoch][2]
    with torch.no_grad():
        gate, logits = fake(validation.x)
    assert (logits[torch.arange(128), gate.argmax(1)].argmax(1) == y).float().mean() > 0.8
    again, _, _ = quantize(net, train, validation.x, signal=Signal.of(names, "abc", "g", 0.5, 50.0), epochs=3)
    for (_, _, a), (_, _, b) in zip(model.branches(), again.branches(), strict=True):
        assert np.array_equal(a.weight, b.weight) and np.array_equal(a.multiplier, b.multiplier)


def test_dead_channels_and_maps() -> None:
    spec = SPECS["aggregated"]
    net = network(spec)
    with torch.no_grad():
        first, second = net.classifiers.layers[0], net.classifiers.layers[1]
        first.weight[0, 2] = 0  # no weights
        first.norm.weight.data[3] = 0  # no gain
        second.norm.bias.data[:5] = -100  # a whole map behind the ReLU
        x = windows(spec, 64).x
    fake = FakeQuantNetwork(net, x)
    with torch.no_grad():
        _, logits = fake.stored(x)
    model = _model(fake, signal(spec), {})
    q = quantize_input(x.numpy().transpose(0, 2, 1), model.inputs)
    assert np.array_equal(Model(model).classify_batch(q), logits.numpy().astype(np.int8))


def test_weights_stay_under_the_lane_bound_where_that_costs_little() -> None:
    spec = NetworkSpec(80, 32, 3, 1, BranchSpec((ConvSpec(16, 9), ConvSpec(8, 9))))
    fake = FakeQuantNetwork(network(spec), windows(spec, 64).x)
    model = _model(fake, signal(spec), {})
    largest = [np.abs(layer.weight.astype(int)).reshape(len(layer.weight), -1).max(1) for layer in model.classifiers[0]]
    bounds = [accumulator_bound(layer) for layer in model.classifiers[0]]
    for level in range(2):
        assert ((bounds[level] < LANE_HALF) | (largest[level] == 127)).all()
    assert (bounds[0] < LANE_HALF).any() and (largest[0] < 127).any()
    assert (largest[2] == 127).all()  # the bound is none of a fully connected layer's business


def test_ranges() -> None:
    assert affine(-1.0, 1.55) == (np.float32(0.01), -28)
    assert affine(101305.0, 101356.0) == (np.float32(0.2), -506653)
    scale, zero_point = affine(1e9, 1e9 + 1e-3)  # finer than the zero point allows
    assert zero_point >= -MAX_ZERO_POINT and abs((-128 - zero_point) * scale - 1e9) < 2 * scale
    values = torch.linspace(-5, 10, 10_001)
    assert relu_scale(values) == pytest.approx(10 / 255, rel=0.01)
    tail = torch.distributions.Exponential(1.0).icdf(torch.linspace(0, 0.99999, 100_000))
    assert relu_scale(tail) * 255 < 0.95 * tail.max()  # the rare large ones are clipped
    assert relu_scale(torch.zeros(10)) > 0
    x = torch.stack([torch.linspace(-1, 3, 4000), torch.linspace(2e4, 2e4 + 50, 4000)]).view(1, 2, -1)
    x[0, 0, 7] = 1e6  # a glitch
    coarse, *_, fine = input_scales(x, torch.tensor([True, True]))
    assert coarse.scale.tolist() == pytest.approx([1e6 / 255, 50 / 255], rel=1e-3)
    assert fine.scale.tolist() == pytest.approx([0.4 / 255, 5 / 255], rel=0.01)
    assert [(fine.stored(x)[0, c] == 127).float().mean() > 0.4 for c in range(2)] == [True, True]
    logits = torch.randn(500, 10) * 3
    logits[:, 0] = -1000  # a class that is never meant: its depth does not matter
    low, high = logit_range(logits, torch.ones(500))
    assert -15 < low < 0 and 3 < high < 15
    logits[:50] *= 100  # windows that are sent to another branch
    importance = torch.ones(500)
    importance[:50] = 0
    assert logit_range(logits, importance)[1] < 15
    assert logit_range(logits, torch.zeros(500))[1] > 15  # nobody asks: all windows count the same
    both = torch.cat([torch.randn(500, 4) * 0.5 - 20, torch.randn(500, 10) * 3 + 20], dim=1)
    assert logit_range(both, torch.ones(500))[0] > -15  # one answer: the first four outputs never matter
    assert logit_range(both, torch.ones(500), (4, 10))[0] < -19  # two answers


def test_the_scale_of_the_window_is_that_of_what_matters() -> None:
    spec = SPECS["aggregated"]
    net, x = network(spec), windows(spec, 256).x
    usual = FakeQuantNetwork(net, x).inputs.scale
    x[:2, :, :3] *= 50  # a few peaks, in few windows
    assert (FakeQuantNetwork(net, x).inputs.scale < 10 * usual).all()


def _recordings(seed: int, count: int = 300) -> Windows:
    """Three classes by the frequency of a sine in three channels; a fourth channel is noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, count)
    phase, swing = rng.uniform(0, 6.28, (count, 3, 1)), 2 * np.pi * (1.0 + 1.5 * y[:, None, None]) * np.arange(64) / 50
    x = np.concatenate([np.sin(swing + phase), np.zeros((count, 1, 64))], 1) + rng.normal(0, 0.3, (count, 4, 64))
    return Windows(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y))


def _constant(x: Tensor) -> None:
    x[:, 3] = 0


def _constant_far_off(x: Tensor) -> None:
    x[:, 3] = 101325


def _pressure(x: Tensor) -> None:
    x[:, 3] = 101325 + 20 * x[:, 3]


def _larger(x: Tensor) -> None:
    x[:, 0] *= 1e5


def _smaller_with_offset(x: Tensor) -> None:
    x[:, 1] = 1e-4 * x[:, 1] + 30


def _glitch(x: Tensor) -> None:
    x[5, 0, 10] = 1e6


@pytest.mark.parametrize("trouble", [_constant, _constant_far_off, _pressure, _larger, _smaller_with_offset, _glitch])
def test_channels_of_unlike_size_cost_less_than_a_point(trouble: Callable[[Tensor], None]) -> None:
    train, held = _recordings(0), _recordings(1)
    for part in (train, held) if trouble is not _glitch else (train,):
        trouble(part.x)
    std, mean = torch.std_mean(train.x.double(), dim=(0, 2))
    spec = NetworkSpec(64, 4, 3, 2, *2 * (BranchSpec((ConvSpec(8, 9), ConvSpec(8, 5)), (8,)),), aggregate=(1,))
    torch.manual_seed(0)
    net = RoutedNetwork(spec, mean.tolist(), std.clamp(min=1e-6).tolist(), dropout=0.0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(40):
        gate, logits = net.train()(train.x)
        mixed = (gate.softmax(1).unsqueeze(2) * logits.softmax(2)).sum(1)
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(mixed.clamp(min=1e-9).log(), train.y).backward()
        optimizer.step()
    floats = score(answer_float(net.eval(), held)).value
    about = Signal.of("abc", "xyzp", ["g", "g", "g", "Pa"], [1e-3, 1e-3, 1e-3, 1.0], 50.0)
    model, *_ = quantize(net, train, held.x, signal=about, epochs=0)
    reference, x = Model(model), held.x.numpy().transpose(0, 2, 1)
    q = reference.quantize(x)
    chosen = reference.select_batch(q).argmax(1)
    integers = float((reference.classify_batch(q, chosen).argmax(1) == held.y.numpy()).mean())
    assert floats > 0.95 and integers >= floats - 0.01, (floats, integers)
    if trouble in (_constant, _constant_far_off):  # `ditmos train` leaves such a channel out; here it gets no weight
        assert all((layers[0].weight[:, 3] == 0).all() for layers in (model.selector, *model.classifiers))
    fake = FakeQuantNetwork(net, train.x, used=varies(train.x))
    again = quantize_input(x, _model(fake, about, {}).inputs)
    assert np.array_equal(fake.inputs.stored(held.x).numpy().transpose(0, 2, 1), again)


def test_early_exits_are_calibrated_as_two_answers() -> None:
    """A selector with K + classes outputs: the loss and the shares see routes and classes apart."""
    spec = NetworkSpec(
        60, 3, 5, 3, BranchSpec((ConvSpec(8, 5), ConvSpec(8, 3))), BranchSpec((ConvSpec(6, 5),)), 0, (), 8
    )
    net = network(spec)
    fake = FakeQuantNetwork(net, windows(spec, 256).x)
    gate = torch.tensor([[9.0, 0, 0, 50, 0, 0, 0, 0]])
    assert [part.shape[1] for part in fake.answers(gate)] == [3, 5]
    assert fake.shares(gate)[0, 0] > 0.99 and fake.shares(gate).shape == (1, 3)
    shifted = gate + torch.tensor([7.0] * 3 + [-4.0] * 5)  # each answer as it was
    assert fake.gate_divergence(gate, shifted).item() == pytest.approx(0, abs=1e-6)
    assert fake.gate_divergence(gate, gate.flip(1)).item() > 1


def test_specialists_with_huge_logits_keep_their_answers() -> None:
    """One classifier's logits a hundred times larger than the other's: both need the whole of int8."""
    spec = SPECS["aggregated"]
    net = network(spec)
    with torch.no_grad():
        head = net.classifiers.layers[-1]
        head.weight[1] *= 100
        head.bias[1] *= 100
        x = windows(spec, 512).x
        fake = FakeQuantNetwork(net, x)
        answers, kept = net(x)[1].argmax(2), fake(x)[1].argmax(2)
    assert ((answers == kept).float().mean(0) > 0.9).all()


def test_an_ensemble_of_unlike_sizes_answers_together_as_it_did() -> None:
    """Without a selector logits are added: dividing one member's by a temperature would change who wins."""
    spec = replace(SPECS["plain"], classifiers=2)
    net = network(spec)
    with torch.no_grad():
        head = net.classifiers.layers[-1]
        head.weight[1] *= 20
        head.bias[1] *= 20
        x = windows(spec, 512).x
        fake = FakeQuantNetwork(net, x)
        together, kept = net(x)[1].sum(1).argmax(1), fake(x)[1].sum(1).argmax(1)
    assert torch.allclose(fake.classifiers[-1].temperature, torch.ones(2).double())
    assert (together == kept).float().mean() > 0.95


def test_scales_come_from_training_windows_and_the_choice_from_validation_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Validation windows fifty times as large: a calibration on them would show in every scale."""
    spec = SPECS["aggregated"]
    net, train, loud = network(spec), windows(spec, 512), 50 * windows(spec, 64, seed=1).x
    seen = []
    forward = FakeQuantNetwork.forward

    def noted(fake: FakeQuantNetwork, x: Tensor) -> tuple[Tensor | None, Tensor]:
        if not torch.is_grad_enabled():  # not a step of the fine-tuning
            seen.append(x)
        return forward(fake, x)

    monkeypatch.setattr(FakeQuantNetwork, "forward", noted)
    names = [str(i) for i in range(spec.classes)]
    _, tuning, fake = quantize(
        net, train, loud, signal=Signal.of(names, "abc", "g", 1.0, 50.0), epochs=1, clips=("error", "99")
    )
    assert len(seen) == 3 and all(torch.equal(x, loud) for x in seen)  # two rules, one epoch
    rule = min(tuning.clips, key=lambda name: tuning.clips[name])
    assert tuning.clip == rule and tuning.clips["error"] != tuning.clips["99"]
    usual = FakeQuantNetwork(net, train.x[torch.randperm(512, generator=torch.Generator().manual_seed(0))], rule)
    assert torch.equal(fake.inputs.scale, usual.inputs.scale)
    for ours, theirs in zip(fake.selector, usual.selector, strict=True):
        torch.testing.assert_close(ours.scale, theirs.scale, rtol=0.02 if tuning.epoch else 1e-6, atol=0)


def test_an_export_calibrates_on_training_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ditmos train` hands on: scales from the training part, the choice from the validation part, no other."""
    parts = SimpleNamespace(train=object(), validation=SimpleNamespace(x=object()))
    given: list[object] = []

    class Seen(Exception):
        pass

    def noted(network: object, train: object, validation: object, **_: object) -> None:
        given.extend((train, validation))
        raise Seen

    monkeypatch.setattr(exporting, "quantize", noted)
    settings = SimpleNamespace(int8=SimpleNamespace(clips=(), epochs=0))
    task = SimpleNamespace(
        parts=parts, settings=settings, balanced=False, seed=0, digest="", report=lambda *_: None,
        dataset=SimpleNamespace(signal=None), keep=SimpleNamespace(within=lambda name: None),
    )  # fmt: skip
    with pytest.raises(Seen):
        exporting.export(task, SimpleNamespace(spec=None), {})  # type: ignore[arg-type]
    assert given == [parts.train, parts.validation.x]


def test_what_is_nearest_on_validation_windows_is_kept() -> None:
    """Whatever is measured: the smallest distance, not the last and not the largest, and with those weights."""
    spec = SPECS["aggregated"]
    net, train, validation = network(spec), windows(spec, 256), windows(spec, 64, seed=1)
    names = [str(i) for i in range(spec.classes)]

    def run(distances: list[float], epochs: int, clips: tuple[str, ...] = ("error",)):
        left = iter(distances)
        return quantize(
            net, train, validation.x, signal=Signal.of(names, "abc", "g", 1.0, 50.0), epochs=epochs, clips=clips,
            distance=lambda fake: next(left),
        )  # fmt: skip

    model, tuning, _ = run([0.5, 0.1, 0.4], 2)
    assert tuning.epoch == 1 and [value for *_, value in tuning.history] == [0.5, 0.1, 0.4]
    _, _, calibrated = run([0.9], 0)
    kept = model.classifiers[0][0].weight
    assert not np.array_equal(kept, calibrated.export()[1][0][0].weight)  # it is not the calibration alone
    _, none, _ = run([0.2, 0.5, 0.2], 2)
    assert none.epoch == 0  # the first of equals
    _, tuning, _ = run([0.3, 0.1, 0.2], 0, ("error", "largest", "99.9"))
    assert tuning.clip == "largest" and tuning.clips == {"error": 0.3, "largest": 0.1, "99.9": 0.2}


def test_the_distance_is_from_the_answers_of_the_float_network() -> None:
    """Nearly none of it for a fine grid, and more of it the coarser the grid; nobody asks for labels."""
    spec = SPECS["aggregated"]
    net, x = network(spec), windows(spec, 256).x
    fake = FakeQuantNetwork(net, x)
    distance = divergence_from(net, windows(spec, 600, seed=1).x)  # more than a batch
    found = [distance(fake)]
    for _ in range(2):
        with torch.no_grad():
            fake.selector[0].log_scale += math.log(8)
        found.append(distance(fake))
    assert 0 <= found[0] < 0.02 and found[0] < found[1] < found[2]
    assert divergence_from(net, x[:1])(fake) != divergence_from(net, x[1:2])(fake)


def test_rules_of_clipping() -> None:
    values = torch.cat([torch.rand(10_000), torch.tensor([9.0])])
    assert relu_scale(values, "largest") * 255 == pytest.approx(9.0)
    assert relu_scale(values, "99") * 255 == pytest.approx(0.99, abs=0.02)
    for wrong in ("best", "0", "101"):
        with pytest.raises(DitmosError, match="expected error, largest or a percentile"):
            relu_scale(values, wrong)


def test_the_layer_that_loses_is_named() -> None:
    """One layer's scale a hundred times too coarse."""
    spec = SPECS["aggregated"]
    net, x = network(spec), windows(spec, 256).x
    fake = FakeQuantNetwork(net, x)
    before = losses(fake, x)
    assert set(before) == {"window", *(layer.shape.name for layer in [*fake.selector, *fake.classifiers])}
    assert max(before.values()) < 0.1
    with torch.no_grad():
        fake.selector[1].log_scale += math.log(100)
    after = losses(fake, x)
    name = fake.selector[1].shape.name
    assert max(after, key=after.get) == name and after[name] > 0.3
