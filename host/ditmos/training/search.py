"""Architecture search within a budget: random shapes, trained briefly, the better ones longer. Validation data only:
the given validation part, or every window of a cross-validation.

Successive halving (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016). Every method gets the same number of candidates and of epochs.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ditmos.model.spec import NetworkSpec
from ditmos.planner import whole_plan
from ditmos.training.data import Windows
from ditmos.training.fit import FitConfig, fit
from ditmos.training.pool import Pool
from ditmos.training.score import Answers, Margins, answer_float, pick_margins, score
from ditmos.training.shapes import describe
from ditmos.training.space import Budget, candidates, flash_bytes


class Fold(NamedTuple):
    """What candidates learn from, and the windows that judge them."""

    pool: Pool
    held: Windows


@dataclass(frozen=True)
class Trial:
    """One training per fold: value and mean MACs on the validation windows."""

    family: str
    spec: NetworkSpec
    epochs: float
    seed: int
    value: float
    macs: float
    margins: Margins
    union: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.family,
            "shape": describe(self.spec),
            "network": self.spec.to_dict(),
            "epochs": self.epochs,
            "seed": self.seed,
            "value": round(self.value, 4),
            "macs": round(self.macs),
            "margins": asdict(self.margins),
            "union": self.union,
            "arena_bytes": whole_plan(self.spec).arena_size,
            "flash_bytes": flash_bytes(self.spec),
            "seconds": round(self.seconds, 1),
        }


def attempt(
    family: str, spec: NetworkSpec, folds: Sequence[Fold], budget: Budget, config: FitConfig, seed: int,
    *, balanced: bool = False,
) -> Trial:  # fmt: skip
    """Train once per fold; margins and score are of all held windows together, as if one network had answered them."""
    started = time.monotonic()
    answers = _joined([answer_float(fit(spec, fold.pool, config, seed), fold.held) for fold in folds])
    margins = pick_margins(answers, budget.macs, balanced=balanced)
    found = score(answers, margins, balanced=balanced)
    seconds = time.monotonic() - started
    return Trial(family, spec, config.epochs, seed, found.value, found.macs, margins, found.union, seconds)


def _joined(parts: Sequence[Answers]) -> Answers:
    """The windows of all parts, which networks of one shape have answered."""
    gates = [part.gate for part in parts if part.gate is not None]
    logits, y = np.concatenate([part.logits for part in parts]), np.concatenate([part.y for part in parts])
    return Answers(parts[0].spec, np.concatenate(gates) if gates else None, logits, y)


def search(
    family: str, geometry: tuple[int, int, int], folds: Sequence[Fold], budget: Budget, config: FitConfig,
    *, count: int = 12, keep: int = 3, rounds: Sequence[float] = (0.15, 0.4), seed: int = 0,
    balanced: bool = False, spectral: bool = False, report: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:  # fmt: skip
    """All trials, the best one of the last round first.

    Args:
        folds: one is the usual split in training and validation part.
        count: candidates of the first round; each further round keeps one in ``keep``.
        rounds: epochs of each round, as fractions of ``config.epochs``.
        report: called after every trial.

    Raises:
        DitmosError: no network of this family fits the budget.
    """
    specs = list(itertools.islice(candidates(family, geometry, budget, seed, spectral=spectral), count))
    done: list[Trial] = []
    last: list[Trial] = []
    for fraction in rounds:
        last = []
        for spec in specs:
            step = replace(config, epochs=config.epochs * fraction)
            last.append(attempt(family, spec, folds, budget, step, seed, balanced=balanced))
            report(last[-1])
        last.sort(key=lambda trial: -trial.value)
        done = last + done
        specs = [trial.spec for trial in last[: max(len(last) // keep, 1)]]
    return done
