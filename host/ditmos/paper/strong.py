"""Stage 1: the strong network on the whole training set; its features and its answers guide the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.paper.session import Session, Stepper
from ditmos.paper.steps import Mode, run_epoch
from ditmos.training.evaluation import BATCH, accuracy


def train_strong(session: Session) -> None:
    """Nothing where neither the split nor the mixture asks for it."""
    if session.config.splitting.by != "features" and not session.config.mixture.distill:
        return
    schedule = session.config.strong.schedule
    stepper = Stepper(session.strong.parameters(), schedule)

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows)
        return F.cross_entropy(session.strong(x), y, label_smoothing=schedule.smoothing)

    def epoch(_: int) -> dict[str, float]:
        session.strong.train()
        mean = run_epoch(session, stepper, session.batches(schedule.batch), loss, Mode.STRONG)
        return {"loss": mean, "accuracy": accuracy(session.strong, session.parts.validation)}

    session.fit("strong", schedule.epochs, [stepper], epoch)
    session.strong.eval().requires_grad_(False)


@torch.no_grad()
def features(session: Session) -> Tensor:
    """(N, feature_size) of the training windows, not augmented."""
    session.strong.eval()
    return torch.cat([session.strong.features(x) for x in session.parts.train.x.split(BATCH)])
