"""The baseline of the paper: one network that learns as long as a classifier of METHOD does, and by its schedules."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ditmos.errors import DitmosError
from ditmos.paper.session import Session, Stepper


def train_baseline(session: Session) -> None:
    """A classifier's pre-training schedule on all windows, then that of its epochs in the adversarial rounds."""
    config, network = session.config, session.network
    if network.selector is not None or network.spec.classifiers > 1:
        raise DitmosError("paper.baseline trains one network, expected no selector and classifiers = 1")
    later = config.adversarial

    for stage, schedule, epochs in (
        ("baseline", config.classifiers, config.classifiers.epochs),
        ("later", later.schedule, later.rounds * later.classifier_epochs),
    ):
        stepper = Stepper(network.parameters(), schedule, epochs)

        def loss(rows: Tensor, smoothing: float = schedule.smoothing) -> Tensor:
            x, y = session.batch(rows)
            return F.cross_entropy(network(x)[1].squeeze(1), y, label_smoothing=smoothing)

        def epoch(_: int, stepper: Stepper = stepper, loss: Callable[[Tensor], Tensor] = loss) -> dict[str, float]:
            network.train().requires_grad_(True)
            return {"loss": stepper.epoch_of(session.batches(stepper.schedule.batch), loss)}

        session.fit(stage, epochs, [stepper], epoch, whole=True)
