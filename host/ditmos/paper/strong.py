"""Stage 1: the strong network on the whole training set; its features split the windows among the classifiers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ditmos.datasets.tensors import Windows
from ditmos.paper.session import Session, Stepper

BATCH = 1024


def train_strong(session: Session) -> None:
    """Nothing where the split does not ask for it."""
    if session.config.splitting.by != "features":
        return
    schedule = session.config.strong.schedule
    stepper = Stepper(session.strong.parameters(), schedule)

    def loss(rows: Tensor) -> Tensor:
        x, y = session.batch(rows)
        return F.cross_entropy(session.strong(session.network.standardize(x)), y, label_smoothing=schedule.smoothing)

    def epoch(_: int) -> dict[str, float]:
        session.strong.train()
        mean = stepper.epoch_of(session.batches(schedule.batch), loss)
        return {"loss": mean, "accuracy": accuracy(session, session.parts.validation)}

    session.fit("strong", schedule.epochs, [stepper], epoch)
    session.strong.eval().requires_grad_(False)


@torch.no_grad()
def features(session: Session) -> Tensor:
    """(N, features) of the training windows, not augmented."""
    session.strong.eval()
    parts = session.parts.train.x.split(BATCH)
    return torch.cat([session.strong.features(session.network.standardize(x)) for x in parts])


@torch.no_grad()
def accuracy(session: Session, windows: Windows) -> float:
    """Of the strong network."""
    session.strong.eval()
    parts = windows.x.split(BATCH)
    answers = torch.cat([session.strong(session.network.standardize(x)).argmax(1) for x in parts])
    return (answers == windows.y).double().mean().item()
