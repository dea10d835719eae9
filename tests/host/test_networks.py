"""The grouped network against K separate ones written with plain torch layers, and the folding against both."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, average, depthwise, reference_spec, same
from ditmos.networks.grouped import Branches, ConvLayer
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.paper.config import StrongConfig
from ditmos.paper.strong_network import strong_network
from torch import Tensor

PLAIN = BranchSpec((ConvSpec(5, 7), ConvSpec(4, 3, stride=2, pool=1), ConvSpec(3, 2)), ())
SEPARABLE = BranchSpec((ConvSpec(5, 7, 2, 1, pad=same(7)), depthwise(3, 2), ConvSpec(6, 1, pool=1), average(3)))
SPECS = {
    "depthwise": NetworkSpec(40, 2, 4, 1, SEPARABLE, SEPARABLE, selector_outputs=4),
    "depthwise, of two maps": NetworkSpec(
        40, 3, 4, 3, *[BranchSpec((depthwise(3), depthwise(5, 1, 2), average(4), average()))] * 2, aggregate=(3,)
    ),
    "reference": reference_spec(classes=5, classifiers=3, window=60),
    "no selector": NetworkSpec(40, 2, 4, 1, PLAIN),
    "stride, no pool": NetworkSpec(40, 2, 4, 3, PLAIN, PLAIN, aggregate=(1, 2, 3)),
    "start at 1": NetworkSpec(
        48, 2, 4, 4, BranchSpec((ConvSpec(6, 5), ConvSpec(7, 3)), (9,)), BranchSpec((ConvSpec(4, 5), ConvSpec(3, 5))), 1
    ),
    "start at 1, aggregate 2": NetworkSpec(
        48,
        3,
        4,
        2,
        BranchSpec((ConvSpec(6, 5), ConvSpec(7, 3))),
        BranchSpec((ConvSpec(4, 5), ConvSpec(3, 5)), (8,)),
        start=1,
        aggregate=(2,),
    ),
    "head only": NetworkSpec(48, 3, 4, 3, BranchSpec((), (6,)), BranchSpec((ConvSpec(4, 5), ConvSpec(3, 5))), start=2),
    "one channel": NetworkSpec(
        48, 1, 4, 3, BranchSpec((), (6,)), BranchSpec((ConvSpec(4, 5), ConvSpec(1, 5))), start=2
    ),
    "early exit": NetworkSpec(
        48, 3, 4, 1, BranchSpec((ConvSpec(6, 5),)), BranchSpec((ConvSpec(4, 5),)), start=1, selector_outputs=4
    ),
}


def build(name: str) -> tuple[RoutedNetwork, Tensor]:
    torch.manual_seed(3)
    spec = SPECS[name]
    mean, std = torch.linspace(-1, 2, spec.channels).tolist(), torch.linspace(0.5, 3, spec.channels).tolist()
    network = RoutedNetwork(spec, mean, std, dropout=0.0).double()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network, torch.randn(16, spec.channels, spec.window, dtype=torch.float64) * 2 + 0.5


def one_branch(branches: Branches, k: int, maps: list[Tensor], branch: str, training: bool) -> tuple[Tensor, list]:
    """Branch k alone, with concatenated operands and torch's own layers: an independent implementation."""
    own: dict[int, Tensor] = {}
    x = None
    for layer in branches.layers:
        shape, weight = layer.shape, layer.weight[k]
        operands = [own[r.level] if r.branch == branch and r.level in own else maps[r.level] for r in shape.inputs]
        if shape.kind == "average":
            x = own[shape.inputs[0].level + 1] = F.avg_pool1d(torch.cat(operands, 1), shape.kernel, shape.stride)
        elif isinstance(layer, ConvLayer):
            span = slice(k * shape.channels_out, (k + 1) * shape.channels_out)
            padded = F.pad(torch.cat(operands, dim=1), shape.pad)
            groups = shape.channels_in if shape.kind == "depthwise" else 1
            x = F.conv1d(padded, weight, stride=shape.stride, groups=groups)
            norm = layer.norm
            mean, var = norm.running_mean[span].clone(), norm.running_var[span].clone()
            x = F.relu(F.batch_norm(x, mean, var, norm.weight[span], norm.bias[span], training))
            x = F.max_pool1d(x, shape.pool)
            own[shape.inputs[0].level + 1] = x
        else:
            flat = torch.cat([o.flatten(1) for o in operands], dim=1) if operands else x
            x = F.linear(flat, weight, layer.bias[k])
            x = F.relu(x) if shape.relu else x
    return x, [maps[0], *(own[level] for level in sorted(own))]


def separate(network: RoutedNetwork, x: Tensor) -> tuple[Tensor | None, Tensor]:
    maps, selector = [(x - network.mean[:, None]) / network.std[:, None]], None
    if network.selector is not None:
        selector, maps = one_branch(network.selector, 0, maps, "selector", network.training)
    outputs = [one_branch(network.classifiers, k, maps, "classifier", network.training)[0] for k in
               range(network.spec.classifiers)]  # fmt: skip
    return selector, torch.stack(outputs, dim=1)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("training", [True, False])
def test_grouped_equals_separate(name: str, training: bool) -> None:
    network, x = build(name)
    network.train(training)
    results = []
    for forward in (separate, lambda network, x: network(x)):  # separate first: it leaves the running statistics alone
        network.zero_grad()
        selector, classes = forward(network, x)
        loss = classes.pow(2).sum() + (selector.pow(3).sum() if selector is not None else 0)
        loss.backward()
        results.append((selector, classes, {n: p.grad.clone() for n, p in network.named_parameters()}))
    (want_selector, want, want_grads), (selector, classes, grads) = results
    torch.testing.assert_close(classes, want)
    if want_selector is not None:
        torch.testing.assert_close(selector, want_selector)
    for parameter, grad in want_grads.items():
        torch.testing.assert_close(grads[parameter], grad, msg=f"gradient of {parameter}")
    assert classes.shape == (16, network.spec.classifiers, network.spec.classes)


@pytest.mark.parametrize("name", SPECS)
def test_maps_have_the_shapes_of_the_spec(name: str) -> None:
    network, x = build(name)
    logits, maps = network.forward_selector(x)
    spec = network.spec
    if spec.selector is None:
        assert logits is None and len(maps) == 1
        return
    assert logits.shape == (16, spec.selector_outputs)
    expected = [(16, spec.channels, spec.window)]
    expected += [(16, conv.channels, spec.rows("selector", i)) for i, conv in enumerate(spec.selector.convs, 1)]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("name", SPECS)
def test_own_batches_equal_separate_batches(name: str) -> None:
    """Classifier k on batch k, in training mode, is what classifier k alone gives on that batch."""
    network, _ = build(name)
    spec = network.spec
    x = torch.randn(10, spec.classifiers, spec.channels, spec.window, dtype=torch.float64)
    if network.selector is not None:
        network.selector.eval()
    own = network.forward_own(x)
    for k in range(spec.classifiers):
        torch.testing.assert_close(own[:, k], network(x[:, k])[1][:, k])


@pytest.mark.parametrize("name", SPECS)
def test_folded_weights_give_the_same_logits(name: str) -> None:
    network, x = build(name)
    network.eval()
    with torch.no_grad():
        folded = network.folded()
        selector, classes = network(x)
        maps, result = [x], None
        for k, branch in [(0, "selector")] * (selector is not None) + [
            (k, "classifier") for k in range(classes.shape[1])
        ]:
            own: dict[int, Tensor] = {}
            layers = network.spec.selector_layers() if branch == "selector" else network.spec.classifier_layers()
            for shape in layers:
                weight, bias = (t[k] for t in folded[shape.name])
                ins = [own[r.level] if r.branch == branch and r.level in own else maps[r.level] for r in shape.inputs]
                if shape.kind != "fc":
                    weight = weight.expand(*weight.shape[:2], shape.kernel)
                    groups = shape.channels_in if shape.channelwise else 1
                    zero = network.mean[:, None] if shape.inputs[0].level == 0 else torch.zeros(1, dtype=x.dtype)
                    padded = F.pad(torch.cat(ins, 1) - zero, shape.pad) + zero
                    sums = F.conv1d(padded, weight, bias, shape.stride, groups=groups)
                    result = F.max_pool1d(F.relu(sums), shape.pool)
                    own[shape.inputs[0].level + 1] = result
                else:
                    result = F.linear(torch.cat([i.flatten(1) for i in ins], 1) if ins else result, weight, bias)
                    result = F.relu(result) if shape.relu else result
            if branch == "selector":
                torch.testing.assert_close(result, selector)
                maps = [x, *(own[level] for level in sorted(own))]
            else:
                torch.testing.assert_close(result, classes[:, k])


def test_dropout_is_independent_per_classifier() -> None:
    spec = reference_spec(classifiers=2)
    network = RoutedNetwork(spec, [0.0] * 3, [1.0] * 3, dropout=0.5)
    for layer in network.classifiers.layers:
        layer.weight.data[1] = layer.weight.data[0]
        if not isinstance(layer, ConvLayer):
            layer.bias.data[1] = layer.bias.data[0]
    x = torch.randn(8, 3, 151)
    network.eval()
    classes = network(x)[1]
    torch.testing.assert_close(classes[:, 0], classes[:, 1])
    network.train()
    classes = network(x)[1]
    assert not torch.allclose(classes[:, 0], classes[:, 1])


def test_rows_are_counted_in_16_bits() -> None:
    with pytest.raises(DitmosError, match="65536 rows"):
        NetworkSpec(65535, 1, 2, 1, BranchSpec((ConvSpec(1, 2, pad=(1, 0)),)))


def test_standardisation_must_fit() -> None:
    with pytest.raises(DitmosError, match="2 means"):
        RoutedNetwork(reference_spec(), [0.0] * 2, [1.0] * 3)
    with pytest.raises(DitmosError, match="positive"):
        RoutedNetwork(reference_spec(), [0.0] * 3, [1.0, 0.0, 1.0])


@pytest.mark.parametrize("window, channels", [(151, 3), (51, 3), (49, 40), (20, 2)])
def test_strong_network_takes_any_window(window: int, channels: int) -> None:
    network = strong_network(window, channels, 7, StrongConfig())
    x = torch.randn(4, channels, window)
    assert network.features(x).shape == (4, network.head[1].in_features)
    assert network(x).shape == (4, 7)


def test_strong_network_is_the_authors_on_their_window() -> None:
    """151 rows: 139, 129 | 64, 58, 52 | 26, 24, 22 | 11 after kernels 15, 13, 9, 9, 5, 5 with padding 1."""
    assert strong_network(151, 3, 17, StrongConfig()).head[1].in_features == 11 * 16
