"""Stages 3 and 4: every classifier on its own cluster, then the selector on who answers best."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.paper.losses import selector_target
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import classifier_side, learn_only, parameters, selector_side
from ditmos.training.data import batches, cluster_batches


def pretrain_classifiers(session: Session) -> None:
    """Classifier i sees part i and nothing else, in its batches and in its batch statistics."""
    network, schedule = session.network, session.config.classifiers
    side = classifier_side(network)
    stepper = Stepper(parameters(side), schedule)

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows.flatten())
        logits = network.forward_own(x.unflatten(0, rows.shape))
        own = F.cross_entropy(logits.flatten(0, 1), y, label_smoothing=schedule.smoothing)
        return own * rows.shape[1]  # the sum over classifiers of each one's mean

    def epoch(_: int) -> dict[str, float]:
        learn_only(network, side)
        index = own_batches(session, schedule.batch)
        return {"loss": stepper.epoch_of(index, loss) / network.spec.classifiers}

    session.fit("classifiers", schedule.epochs, [stepper], epoch)


def own_batches(session: Session, size: int) -> Tensor:
    """Indices (steps, size, K) of one epoch: column i for classifier i, from its part of the windows.

    Where the windows are not split each draws from all of them, in an order of its own, for as many steps.
    """
    k, count = session.network.spec.classifiers, len(session.parts.train)
    if session.clusters is not None:
        return cluster_batches(session.clusters, k, size, session.rng)
    steps = cluster_batches(torch.arange(count) % k, k, size, session.rng).shape[0]
    return torch.stack([batches(count, size, session.rng)[:steps] for _ in range(k)], dim=2)


def pretrain_selector(session: Session) -> None:
    """Cross-entropy on the classifier with the highest score, as in the adversarial stage."""
    schedule = session.config.selector
    stepper = Stepper(parameters(selector_side(session.network)), schedule)

    def epoch(_: int) -> dict[str, float]:
        return {"loss": selector_epoch(session, stepper)}

    session.fit("selector", schedule.epochs, [stepper], epoch, whole=True)


def selector_epoch(session: Session, stepper: Stepper) -> float:
    """One epoch of the selector against frozen classifiers; the mean loss."""
    network, schedule = session.network, stepper.schedule
    learn_only(network, selector_side(network))

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows)
        gate, maps = network.forward_selector(x)
        assert gate is not None  # this stage is of a selector
        with torch.no_grad():
            target = selector_target(network.forward_classifiers(maps), y)
        return F.cross_entropy(gate, target, label_smoothing=schedule.smoothing)

    return stepper.epoch_of(session.batches(schedule.batch), loss)
