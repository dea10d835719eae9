"""Stages 3 and 4: every classifier on its own cluster, then the selector on who answers best."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.training.data import cluster_batches
from ditmos.training.losses import selector_target
from ditmos.training.session import Session, Stepper
from ditmos.training.sides import classifier_side, learn_only, parameters, selector_side


def pretrain_classifiers(session: Session) -> None:
    """Classifier i sees cluster i and nothing else, in its batches and in its batch statistics."""
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
        index = cluster_batches(session.clusters, network.spec.classifiers, schedule.batch, session.rng)
        return {"loss": session.run_epoch(stepper, index, loss) / network.spec.classifiers}

    session.fit("classifiers", schedule.epochs, [stepper], epoch)


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
        with torch.no_grad():
            target = selector_target(network.forward_classifiers(maps), y)
        return F.cross_entropy(gate, target, label_smoothing=schedule.smoothing)

    return session.run_epoch(stepper, session.batches(schedule.batch), loss)
