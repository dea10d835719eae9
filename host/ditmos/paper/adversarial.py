"""Stage 5: selector and classifiers in turn, each against the other side frozen."""

from __future__ import annotations

from torch import Tensor

from ditmos.paper.losses import classifier_losses
from ditmos.paper.pretraining import selector_epoch
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import classifier_side, learn_only, parameters, selector_side


def train_adversarially(session: Session) -> None:
    """Rounds of (selector epochs, classifier epochs); the learning rates follow each side's own epochs."""
    config, network = session.config.adversarial, session.network
    length = config.selector_epochs + config.classifier_epochs
    selector = Stepper(parameters(selector_side(network)), config.schedule, config.rounds * config.selector_epochs)
    classifiers = Stepper(
        parameters(classifier_side(network)), config.schedule, config.rounds * config.classifier_epochs
    )

    def epoch(e: int) -> dict[str, float]:
        if e % length < config.selector_epochs:
            return {"selector_loss": selector_epoch(session, selector)}
        return {"classifier_loss": classifier_epoch(session, classifiers)}

    session.fit("adversarial", config.rounds * length, [selector, classifiers], epoch, whole=True)


def classifier_epoch(session: Session, stepper: Stepper) -> float:
    """One epoch of all classifiers on `classifier_losses`, routed by the frozen selector; the mean loss of one."""
    network, weights = session.network, session.config.adversarial
    learn_only(network, classifier_side(network))

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows)
        gate, maps = network.forward_selector(x)
        assert gate is not None  # this stage is of a selector
        return classifier_losses(network.forward_classifiers(maps), y, gate.argmax(1), weights).sum()

    return stepper.epoch_of(session.batches(stepper.schedule.batch), loss) / network.spec.classifiers
