"""One training run in memory: networks, data, random state, history, the best model; it can stop and go on.

A checkpoint is written at the end of an epoch (not more often than every few seconds) and at the end of a stage. A run
that goes on from one gives the same numbers as a run that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.paper.strong_network import StrongNetwork
from ditmos.training import checkpoint
from ditmos.training.config import Config, Schedule
from ditmos.training.data import Augment, Parts, balanced_batches, batches
from ditmos.training.evaluation import evaluate
from ditmos.training.networks import RoutedNetwork

CHECKPOINT_SECONDS = 5.0

EpochReport = Callable[[str, int, int, dict[str, float]], None]


def learning_rate(schedule: Schedule, done: float, epochs: int) -> float:
    """Rate after ``done`` epochs (a fraction within an epoch) of ``epochs``."""
    if schedule.decay == "step":
        return schedule.lr * schedule.factor ** (int(done) // schedule.every)
    share, warm = done / max(epochs, 1), 0.3
    if share < warm:
        return schedule.lr * (0.04 + 0.96 * (1 - math.cos(math.pi * share / warm)) / 2)
    return schedule.lr * (1 + math.cos(math.pi * min((share - warm) / (1 - warm), 1))) / 2


class Stepper:
    """An optimiser that follows a `Schedule`: `step` per batch, `end_epoch` after each epoch."""

    def __init__(self, parameters: Iterable[nn.Parameter], schedule: Schedule, epochs: int | None = None) -> None:
        self.schedule = schedule
        self.epochs = schedule.epochs if epochs is None else epochs
        self.epoch = 0
        parameters = list(parameters)
        if schedule.optimizer == "sgd":
            self.optimizer = torch.optim.SGD(
                parameters, schedule.lr, momentum=0.9, nesterov=True, weight_decay=schedule.weight_decay
            )
        else:
            self.optimizer = torch.optim.AdamW(parameters, schedule.lr, weight_decay=schedule.weight_decay)

    def rate(self, within: float) -> float:
        """Learning rate ``within`` (0 to 1) of the epoch."""
        return learning_rate(self.schedule, self.epoch + within, self.epochs)

    def momentum(self, parameter: nn.Parameter) -> Tensor:
        """Of one parameter, under SGD; zeros before the first step, which is the same to `step`."""
        state = self.optimizer.state[parameter]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
        return state["momentum_buffer"]

    def step(self, loss: Tensor, within: float) -> float:
        """One step down ``loss``, ``within`` (0 to 1) of the epoch; returns the loss."""
        rate = self.rate(within)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def end_epoch(self) -> None:
        self.epoch += 1

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        self.optimizer.load_state_dict(state["optimizer"])


class Session:
    """What the stages of a recipe work on.

    network, strong: the networks in training (strong: None until its stage). clusters (N,): the cluster of every
    training window, once the split is made. history: one row per epoch. best: the best whole network so far, by the
    validation part alone. ``report(stage, epoch, epochs, metrics)`` is called after every epoch.
    """

    def __init__(
        self,
        config: Config,
        spec: NetworkSpec,
        parts: Parts,
        *,
        checkpoint_file: Path | None = None,
        report: EpochReport = lambda *_: None,
    ) -> None:
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config, self.parts, self.report = config, parts, report
        self.rng = torch.Generator().manual_seed(config.seed)
        self.augment = Augment(config.augment, parts.mean, parts.std, self.rng)
        network = RoutedNetwork(spec, parts.mean, parts.std, dropout=config.network.dropout)
        self.network = network.to(config.device)
        strong, shape = config.strong, (spec.window, spec.channels, spec.classes)
        self.strong = StrongNetwork(
            *shape, parts.mean, parts.std, widths=strong.widths, kernels=strong.kernels, hidden=strong.hidden
        ).to(config.device)
        self.clusters: Tensor | None = None
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.done: list[str] = []
        self.seconds = 0.0
        self._running: dict[str, Any] | None = None
        self._file = checkpoint_file
        self._saved = self._started = time.monotonic()

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
                raise DitmosError(f"stage {stage}, epoch {e + 1}: the loss is no longer a number; lower {stage}'s lr")
            if whole:
                metrics |= self._validate(stage, e)
            self.history.append({"stage": stage, "epoch": e + 1, **metrics})
            self.report(stage, e + 1, epochs, metrics)
            self._running = {"stage": stage, "epoch": e + 1, "steppers": [s.state_dict() for s in steppers]}
            if time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
                self.save()
        self.finish(stage)

    def finish(self, stage: str) -> None:
        """Mark a stage as done and write a checkpoint."""
        self.done.append(stage)
        self._running = None
        self.save()

    def batches(self, size: int) -> Tensor:
        """Indices of one epoch's batches, (steps, size); balanced where that is what the model is chosen by."""
        y = self.parts.train.y
        if self.config.metric == "balanced":
            return balanced_batches(y.cpu(), size, self.rng)
        return batches(len(y), size, self.rng)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented training windows and their labels."""
        rows = rows.to(self.parts.train.y.device)
        return self.augment(self.parts.train.x[rows]), self.parts.train.y[rows]

    def _validate(self, stage: str, epoch: int) -> dict[str, float]:
        result = evaluate(self.network, self.parts.validation)
        value = getattr(result, self.config.metric)
        if self.best is None or value > self.best["value"]:
            state = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
            self.best = {"value": value, "stage": stage, "epoch": epoch + 1, "state": state}
        return {"accuracy": result.accuracy, "balanced": result.balanced, "union": result.union, "used": result.used}

    def save(self) -> None:
        """Write the checkpoint, if the session has a file for it."""
        if self._file is None:
            return
        now = time.monotonic()
        self.seconds += now - self._started
        self._saved = self._started = now
        state = {
            "config": self.config.digest,
            "network": self.network.state_dict(),
            "strong": self.strong.state_dict(),
            "clusters": self.clusters,
            "history": self.history,
            "best": self.best,
            "done": self.done,
            "running": self._running,
            "seconds": self.seconds,
            "rng": self.rng.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        checkpoint.save(self._file, state)

    def resume(self, file: Path) -> None:
        """Go on where the checkpoint was written.

        Raises:
            DitmosError: no or a damaged file, or one of another configuration.
        """
        state = checkpoint.load(file, "a checkpoint of a training run")
        if state.get("config") != self.config.digest:
            raise DitmosError(f"{file}: it was made with another configuration, expected the same one to go on")
        try:
            self.network.load_state_dict(state["network"])
            self.strong.load_state_dict(state["strong"])
            self.clusters, self.history, self.best = state["clusters"], state["history"], state["best"]
            self.done, self._running, self.seconds = state["done"], state["running"], state["seconds"]
            self.rng.set_state(state["rng"])
            torch.set_rng_state(state["torch_rng"])
        except (KeyError, RuntimeError) as error:
            raise DitmosError(f"{file}: not a checkpoint of this network ({error})") from None
