"""One training in memory: networks, data, random state, history, the best model; it can stop and go on.

It is kept at the end of an epoch (not more often than every half minute) and at the end of a stage. A training that
goes on gives the same numbers as one that was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ditmos.datasets.tensors import Parts
from ditmos.errors import DitmosError
from ditmos.keep import Keep
from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.paper.config import PaperConfig, Schedule
from ditmos.paper.strong_network import strong_network
from ditmos.training.data import balanced_batches, batches
from ditmos.training.learn import Report, quiet
from ditmos.training.score import answer_float, score

PIECE = "session"
# The setting that has the learning rate of each stage.
_RATES = {
    "strong": "strong.schedule.lr", "classifiers": "classifiers.lr", "selector": "selector.lr",
    "adversarial": "adversarial.schedule.lr", "baseline": "classifiers.lr", "later": "adversarial.schedule.lr",
}  # fmt: skip


class Stepper:
    """SGD that follows a `Schedule`, an epoch at a time."""

    def __init__(self, parameters: Iterable[nn.Parameter], schedule: Schedule, epochs: int | None = None) -> None:
        self.schedule = schedule
        self.epochs = schedule.epochs if epochs is None else epochs
        self.epoch = 0
        self.optimizer = torch.optim.SGD(
            list(parameters), schedule.lr, momentum=0.9, nesterov=True, weight_decay=schedule.weight_decay, fused=True
        )

    def epoch_of(self, index: Tensor, loss: Callable[[Tensor], Tensor]) -> float:
        """A step down ``loss(rows)`` for each ``rows`` of ``index``; the mean loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.lr * self.schedule.factor ** (self.epoch // self.schedule.every)
        total = 0.0
        for rows in index:
            self.optimizer.zero_grad(set_to_none=True)
            found = loss(rows)
            found.backward()
            self.optimizer.step()
            total += found.item()
        self.epoch += 1
        return total / len(index)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.optimizer.load_state_dict(state["optimizer"])


class Session:
    """What the stages work on.

    network, strong: the networks in training. clusters (N,): the cluster of every training window, once the split is
    made. history: one row per epoch. best: the best whole network so far, by the validation part alone.
    """

    def __init__(
        self, config: PaperConfig, spec: NetworkSpec, parts: Parts, *, seed: int = 0, threads: int = 1,
        balanced: bool = False, keep: Keep | None = None, report: Report = quiet,
    ) -> None:  # fmt: skip
        """Goes on where ``keep`` says. Raises DitmosError for a damaged piece, or one of another network."""
        torch.manual_seed(seed)
        self.config, self.parts, self.seed, self.threads, self.balanced = config, parts, seed, threads, balanced
        self.report, self.keep = report, keep or Keep()
        self.rng = torch.Generator().manual_seed(seed)
        self.network = RoutedNetwork(spec, parts.mean, parts.std, dropout=config.dropout)
        self.strong = strong_network(spec.window, spec.channels, spec.classes, config.strong)
        self.clusters: Tensor | None = None
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.done: list[str] = []
        self._running: dict[str, Any] | None = None
        if state := self.keep.load(PIECE):
            self._restore(state)

    def fit(
        self,
        stage: str,
        epochs: int,
        steppers: Sequence[Stepper],
        epoch: Callable[[int], dict[str, float]],
        *,
        whole: bool = False,
    ) -> None:
        """Run ``epoch(e)`` for every epoch of the stage that is not done yet.

        whole: the network answers as a whole after this stage's epochs, so each is a candidate for the best model.
        """
        if stage in self.done or not epochs:
            return
        first = 0
        if self._running and self._running["stage"] == stage:
            first = self._running["epoch"]
            for stepper, state in zip(steppers, self._running["steppers"], strict=True):
                stepper.load_state_dict(state)
        for e in range(first, epochs):
            metrics = epoch(e)
            if not all(math.isfinite(value) for value in metrics.values()):
                raise DitmosError(
                    f"stage {stage}, epoch {e + 1}: the loss is no longer a number; lower paper.{_RATES[stage]}"
                )
            if whole:
                metrics |= self._validate(stage, e)
            self.history.append({"stage": stage, "epoch": e + 1, **metrics})
            figures = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            self.report(stage, (e + 1) / epochs, figures)
            self._running = {"stage": stage, "epoch": e + 1, "steppers": [s.state_dict() for s in steppers]}
            if self.keep.due():
                self.save()
        self.finish(stage)

    def finish(self, stage: str) -> None:
        """Mark a stage as done, and keep everything."""
        self.done.append(stage)
        self._running = None
        self.save()

    def batches(self, size: int) -> Tensor:
        """Indices of one epoch's batches, (steps, size); balanced where that is what the model is chosen by."""
        y = self.parts.train.y
        if self.balanced:
            return balanced_batches(y, size, self.rng)
        return batches(len(y), size, self.rng)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Training windows and their labels."""
        return self.parts.train.x[rows], self.parts.train.y[rows]

    def _validate(self, stage: str, epoch: int) -> dict[str, float]:
        self.network.eval()
        found = score(answer_float(self.network, self.parts.validation), balanced=self.balanced)
        if self.best is None or found.value > self.best["value"]:
            state = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
            self.best = {"value": found.value, "stage": stage, "epoch": epoch + 1, "state": state}
        return {"validation": found.value, "used": sum(share > 0 for share in found.usage)}

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "strong": self.strong.state_dict(),
            "clusters": self.clusters,
            "history": self.history,
            "best": self.best,
            "done": self.done,
            "running": self._running,
            "rng": self.rng.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        self.keep.save(PIECE, state)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.network.load_state_dict(state["network"])
            self.strong.load_state_dict(state["strong"])
            self.clusters, self.history, self.best = state["clusters"], state["history"], state["best"]
            self.done, self._running = state["done"], state["running"]
            self.rng.set_state(state["rng"])
            torch.set_rng_state(state["torch_rng"])
        except (KeyError, RuntimeError) as error:
            raise DitmosError(f"{self.keep.folder}: not a training of this network ({error})") from None
