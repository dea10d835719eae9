"""An optional stage: selector and classifiers learn together, as a mixture of experts.

With one classifier and no selector it is plain training: every rival runs through it too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ditmos.paper.losses import mixture_loss
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import learn_only
from ditmos.paper.steps import run_epoch


def train_mixture(session: Session) -> None:
    config, network = session.config.mixture, session.network
    stepper = Stepper(network.parameters(), config.schedule)

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows)
        gate, logits = network(x)
        teacher = None
        if config.distill:
            with torch.no_grad():
                teacher = session.strong.eval()(x)
        return mixture_loss(gate, logits, y, config, teacher)

    def epoch(_: int) -> dict[str, float]:
        learn_only(network, [network])
        return {"loss": run_epoch(session, stepper, session.batches(config.schedule.batch), loss)}

    session.fit("mixture", config.schedule.epochs, [stepper], epoch, whole=True)
