"""What the published method reads: `[paper]` of a settings file. The defaults are METHOD's reference set-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.training.settings import ShapeConfig
from ditmos.training.typed_toml import check_ranges, convert, merge

# METHOD's shapes, and the single network of the same cost. For windows too short for METHOD's kernels: shorter ones.
_BRANCHES = ("8k15 8k9 4k5 h64", "8k5 8k5 4k3 h64")
_BASELINES = ("16k15 16k9 8k5 h64", "16k5 16k5 8k3 h64")
_SHORTEST = 28  # rows that those need
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
    than METHOD's."""

    baseline: bool = False
    network: ShapeConfig = field(default_factory=ShapeConfig)
    dropout: float = 0.2
    strong: StrongConfig = field(default_factory=StrongConfig)
    splitting: SplittingConfig = field(default_factory=SplittingConfig)
    classifiers: Schedule = Schedule(epochs=30, lr=0.01, factor=0.5, every=6)
    selector: Schedule = Schedule(epochs=20, lr=0.01, factor=0.5, every=8)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)

    def spec(self, geometry: tuple[int, int, int]) -> NetworkSpec:
        """The given shape, or METHOD's. Raises DitmosError for windows that are too short."""
        if self.network.classifier:
            return self.network.spec(geometry)
        usual, short = (
            ShapeConfig(shape) if self.baseline else ShapeConfig(shape, shape, _CLASSIFIERS, 0, _AGGREGATE)
            for shape in (_BASELINES if self.baseline else _BRANCHES)
        )
        try:
            return usual.spec(geometry)
        except DitmosError:
            if geometry[0] < _SHORTEST:
                raise DitmosError(
                    f"windows of {geometry[0]} samples are too short for the published network, expected {_SHORTEST} "
                    "or more; or name a shape, paper.network"
                ) from None
            return short.spec(geometry)


def paper_config(content: Mapping[str, Any], where: str = "settings") -> PaperConfig:
    """What ``[paper]`` says. Raises DitmosError naming key, value and what was expected."""
    config: PaperConfig = convert(merge(asdict(PaperConfig()), content), PaperConfig, where, "paper")

    check_ranges(config, _RANGES, f"{where}: paper.")
    if not len(config.strong.widths) == len(config.strong.kernels) > 0:
        raise DitmosError(f"{where}: paper.strong: widths and kernels differ in number, or are empty")
    return config


_SCHEDULES = ("strong.schedule", "classifiers", "selector", "adversarial.schedule")
_RANGES = {
    "0 or more": (
        *(f"{name}.epochs" for name in _SCHEDULES),
        *(f"adversarial.{name}" for name in ("rounds", "selector_epochs", "classifier_epochs")),
    ),
    "1 or more": (*(f"{name}.every" for name in _SCHEDULES), "splitting.n_init"),
    "2 or more": tuple(f"{name}.batch" for name in _SCHEDULES),  # batch normalisation
    "a number above 0": tuple(f"{name}.lr" for name in _SCHEDULES),
    "0 to below 1": (*(f"{name}.smoothing" for name in _SCHEDULES), "dropout"),
}
