"""Stage 1: the strong network on the whole training set; its features and its answers guide the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.datasets.tensors import Windows
from ditmos.paper.session import Session, Stepper
from ditmos.paper.steps import Mode, run_epoch

BATCH = 1024


def train_strong(session: Session) -> None:
    """Nothing where the split does not ask for it."""
    if session.config.splitting.by != "features":
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


@torch.no_grad()
def accuracy(network: nn.Module, windows: Windows) -> float:
    """Of a network with one answer (N, classes)."""
    network.eval()
    answers = torch.cat([network(x).argmax(1) for x in windows.x.split(BATCH)])
    return (answers == windows.y).double().mean().item()
