"""Float layers of another tool's file as a network in torch, which is then quantised as a trained one is."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ditmos.interchange.as_model import common_spec
from ditmos.interchange.chain import Chain
from ditmos.networks.grouped import ConvLayer, DenseLayer
from ditmos.networks.routed_network import RoutedNetwork


@torch.no_grad()
def network_of(chains: Sequence[Chain]) -> RoutedNetwork:
    """K classifiers without a selector, for windows in the units that the files were trained on.

    Raises:
        DitmosError: what the project's networks cannot be, named.
    """
    spec = common_spec(chains)
    network = RoutedNetwork(spec, [0.0] * spec.channels, [1.0] * spec.channels, dropout=0.0).eval()
    for i, layer in enumerate(network.classifiers.layers):
        for k, chain in enumerate(chains):
            step = chain.steps[i]
            bias = torch.tensor(step.bias)
            if isinstance(layer, DenseLayer):
                layer.bias[k] = bias
            elif isinstance(layer, ConvLayer):
                norm, rows = layer.norm, slice(k * step.channels, (k + 1) * step.channels)
                assert norm.running_var is not None  # it tracks it
                norm.running_var[rows] = 1 - norm.eps  # the identity, with the bias as its shift
                norm.bias[rows] = bias
            else:
                continue
            layer.weight[k] = torch.tensor(step.weight)
    return network
