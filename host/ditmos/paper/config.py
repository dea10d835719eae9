"""What the published method reads: `[paper]` of a settings file. The defaults are METHOD's reference set-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.training.settings import ShapeConfig
from ditmos.training.typed_toml import convert, merge

# METHOD's shapes, and the single network of the same cost. For windows too short for METHOD's kernels: shorter ones.
_BRANCHES = ("8k15 8k9 4k5 h64", "8k5 8k5 4k3 h64")
_BASELINES = ("16k15 16k9 8k5 h64", "16k5 16k5 8k3 h64")
_CLASSIFIERS, _AGGREGATE = 6, (1, 2)


@dataclass(frozen=True)
class Schedule:
    """Epochs of SGD (momentum 0.9, Nesterov); the rate is multiplied by ``factor`` every ``every`` epochs."""

    epochs: int
    lr: float
    batch: int = 8
    weight_decay: float = 1e-4
    factor: float = 0.5
    every: int = 10
    smoothing: float = 0.0


@dataclass(frozen=True)
class StrongConfig:
    """Widths and kernels of the strong network's convolutions, its hidden layer, its training."""

    schedule: Schedule = Schedule(epochs=50, lr=0.005, factor=0.2, every=20)
    widths: tuple[int, ...] = (64, 64, 32, 32, 32, 16)
    kernels: tuple[int, ...] = (15, 13, 9, 9, 5, 5)
    hidden: int = 128


@dataclass(frozen=True)
class SplittingConfig:
    """What each classifier is pre-trained on.

    by: features (a cluster of K-means in the strong network's features), random (a K-th of the windows), or none (all
    of them; the classifiers then differ by their start alone). n_init: starts of K-means.
    """

    by: Literal["features", "random", "none"] = "features"
    n_init: int = 50


@dataclass(frozen=True)
class AdversarialConfig:
    """``rounds`` of (selector epochs, classifier epochs) and the weights of the four terms of METHOD's loss."""

    rounds: int = 40
    selector_epochs: int = 6
    classifier_epochs: int = 6
    schedule: Schedule = Schedule(epochs=0, lr=0.001, factor=0.5, every=30)
    union: float = 0.1
    overlap: float = 0.03
    single: float = 0.1
    selection: float = 1.0


@dataclass(frozen=True)
class PaperConfig:
    """baseline: one network that learns as long as a classifier does, in place of the method. network: other shapes
    than METHOD's. compiled: steps in C where a compiler is at hand (`ditmos.paper.steps`)."""

    baseline: bool = False
    network: ShapeConfig = field(default_factory=ShapeConfig)
    dropout: float = 0.2
    strong: StrongConfig = field(default_factory=StrongConfig)
    splitting: SplittingConfig = field(default_factory=SplittingConfig)
    classifiers: Schedule = Schedule(epochs=30, lr=0.01, factor=0.5, every=6)
    selector: Schedule = Schedule(epochs=20, lr=0.01, factor=0.5, every=8)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    compiled: bool = True

    def spec(self, geometry: tuple[int, int, int]) -> NetworkSpec:
        """The given shape, or METHOD's. Raises DitmosError for windows that are too short."""
        if self.network.classifier:
            return self.network.spec(geometry)
        failure: DitmosError | None = None
        for shape in _BASELINES if self.baseline else _BRANCHES:
            own = ShapeConfig(shape)
            if not self.baseline:
                own = ShapeConfig(shape, shape, _CLASSIFIERS, 0, _AGGREGATE)
            try:
                return own.spec(geometry)
            except DitmosError as error:
                failure = failure or error
        assert failure is not None
        raise failure


def paper_config(content: Mapping[str, Any], where: str = "settings") -> PaperConfig:
    """What ``[paper]`` says. Raises DitmosError naming key, value and what was expected."""
    config: PaperConfig = convert(merge(asdict(PaperConfig()), content), PaperConfig, where, "paper")

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise DitmosError(f"{where}: paper.{what}")

    for name, schedule in (
        ("strong.schedule", config.strong.schedule),
        ("classifiers", config.classifiers),
        ("selector", config.selector),
        ("adversarial.schedule", config.adversarial.schedule),
    ):
        need(schedule.epochs >= 0, f"{name}.epochs is {schedule.epochs}, expected 0 or more")
        need(schedule.batch >= 2, f"{name}.batch is {schedule.batch}, expected 2 or more (batch normalisation)")
        need(schedule.lr > 0, f"{name}.lr is {schedule.lr}, expected more than 0")
        need(schedule.every >= 1, f"{name}.every is {schedule.every}, expected 1 or more")
        need(0 <= schedule.smoothing < 1, f"{name}.smoothing is {schedule.smoothing}, expected 0 to below 1")
    strong = config.strong
    need(len(strong.widths) == len(strong.kernels) > 0, "strong: widths and kernels differ in number, or are empty")
    need(config.splitting.n_init >= 1, f"splitting.n_init is {config.splitting.n_init}, expected 1 or more")
    need(0 <= config.dropout < 1, f"dropout is {config.dropout}, expected 0 to below 1")
    for name in ("rounds", "selector_epochs", "classifier_epochs"):
        value = getattr(config.adversarial, name)
        need(value >= 0, f"adversarial.{name} is {value}, expected 0 or more")
    return config
