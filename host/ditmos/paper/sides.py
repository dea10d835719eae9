"""Selector and classifiers as the two sides of the adversarial training: one learns, the other is frozen.

Layers of the selector that the classifiers start from (``spec.start``) belong to the classifiers' side: without them a
classifier is no classifier, and a selector that moved them would pull the ground from under its opponents.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ditmos.networks.routed_network import RoutedNetwork


def selector_side(network: RoutedNetwork) -> list[nn.Module]:
    return list(network.selector.layers[network.spec.start :]) if network.selector is not None else []


def classifier_side(network: RoutedNetwork) -> list[nn.Module]:
    shared: Sequence[nn.Module] = network.selector.layers[: network.spec.start] if network.selector is not None else []
    return [*shared, network.classifiers]


def learn_only(network: RoutedNetwork, modules: Sequence[nn.Module]) -> None:
    """Put these modules into training mode; the rest is frozen and in evaluation mode."""
    network.eval().requires_grad_(False)
    for module in modules:
        module.train().requires_grad_(True)


def parameters(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]
