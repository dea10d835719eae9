"""Architecture search within a budget: random shapes, trained briefly, the better ones longer. Validation data only:
the given validation part, or every window of a cross-validation.

Successive halving (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
AISTATS 2016). Every method gets the same number of candidates and of epochs. What has been tried is kept, so that a
search that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from ditmos.atomic import read_json, write_json
from ditmos.datasets.tensors import Windows
from ditmos.keep import Keep
from ditmos.model.spec import NetworkSpec
from ditmos.planner import price
from ditmos.planner.budget import Budget, flash_bytes
from ditmos.progress import share
from ditmos.training.fit import FitConfig, fit
from ditmos.training.pool import Pool
from ditmos.training.score import Answers, Margins, allowed, answer_float, pick_margins, score
from ditmos.training.shapes import describe
from ditmos.training.space import candidates


class Fold(NamedTuple):
    """What candidates learn from, and the windows that judge them."""

    pool: Pool
    held: Windows


@dataclass(frozen=True)
class Trial:
    """One training per fold: value and mean cost on the validation windows."""

    family: str
    spec: NetworkSpec
    epochs: float
    value: float
    runs: float
    margins: Margins
    union: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        known = asdict(self)
        del known["spec"]
        return known | {
            "shape": describe(self.spec),
            "network": self.spec.to_dict(),
            "macs": round(price.macs(self.spec).of(self.runs)),
            "instructions": round(price.estimated(self.spec).of(self.runs)),
            "flash_bytes": flash_bytes(self.spec),
        }


def read_trial(row: dict[str, Any]) -> Trial:
    """Inverse of `Trial.to_dict`."""
    kept = {item.name: row.get(item.name) for item in fields(Trial)}
    made = {"spec": NetworkSpec.from_dict(row["network"]), "margins": Margins(**row["margins"])}
    known: dict[str, Any] = kept | made
    return Trial(**known)


def attempt(
    family: str, spec: NetworkSpec, folds: Sequence[Fold], budget: Budget, config: FitConfig, seed: int,
    *, balanced: bool = False, keep: Keep | None = None, progress: Callable[[float], None] = lambda done: None,
) -> Trial:  # fmt: skip
    """Train once per fold; margins and score are of all held windows together, as if one network had answered them."""
    started, keep, count = time.monotonic(), keep or Keep(), len(folds)
    answers = joined(
        [
            answer_float(
                fit(
                    spec, fold.pool, config, seed, share(progress, i, count),
                    keep=keep.within(f"fold-{i}"),
                ),
                fold.held,
            )
            for i, fold in enumerate(folds)
        ]
    )  # fmt: skip
    keep.clear()
    margins = pick_margins(answers, allowed(budget, spec, price.estimated(spec)), balanced=balanced)
    found = score(answers, margins, balanced=balanced)
    seconds = time.monotonic() - started
    return Trial(family, spec, config.epochs, found.value, found.runs, margins, found.union, seconds)


def joined(parts: Sequence[Answers]) -> Answers:
    """The windows of all parts, which networks of one shape have answered."""
    gates = [part.gate for part in parts if part.gate is not None]
    logits, y = np.concatenate([part.logits for part in parts]), np.concatenate([part.y for part in parts])
    return Answers(parts[0].spec, np.concatenate(gates) if gates else None, logits, y)


def search(
    family: str, geometry: tuple[int, int, int], folds: Sequence[Fold], budget: Budget, config: FitConfig,
    *, count: int = 12, by: int = 3, rounds: Sequence[float] = (0.15, 0.4), spectral: bool = False,
    balanced: bool = False, keep: Keep | None = None,
    report: Callable[[float, Trial | None], None] = lambda done, trial: None,
) -> list[Trial]:  # fmt: skip
    """All trials, the best one of the last round first.

    Args:
        folds: one is the usual split in training and validation part.
        count: candidates of the first round; each further round keeps one in ``by``.
        rounds: epochs of each round, as fractions of ``config.epochs``.
        report: called with the part of the search that is done, and with every new trial.

    Raises:
        DitmosError: no network of this family fits the budget.
    """
    keep = keep or Keep()
    specs = list(itertools.islice(candidates(family, geometry, budget, 0, spectral=spectral), count))
    file = keep.file("trials.json")
    known = [read_trial(row) for row in read_json(file)] if file is not None and file.exists() else []
    sizes = [max(count // by**i, 1) for i in range(len(rounds))]
    total = sum(size * fraction for size, fraction in zip(sizes, rounds, strict=True))
    done: list[Trial] = []
    spent = 0.0
    for fraction in rounds:
        step, last = replace(config, epochs=config.epochs * fraction), []
        for spec in specs:
            trial = next((t for t in known if t.spec == spec and t.epochs == step.epochs), None)
            if trial is None:
                name = hashlib.sha256(json.dumps([spec.to_dict(), step.epochs]).encode()).hexdigest()[:10]
                trial = attempt(
                    family, spec, folds, budget, step, 0, balanced=balanced, keep=keep.within(name),
                    progress=_share_of(report, spent / total, fraction / total),
                )  # fmt: skip
                known.append(trial)
                if file is not None:
                    write_json(file, [t.to_dict() for t in known])
                report((spent + fraction) / total, trial)
            spent += fraction
            last.append(trial)
        last.sort(key=lambda t: -t.value)
        done = last + done
        specs = [t.spec for t in last[: max(len(last) // by, 1)]]
    return done


def _share_of(report: Callable[[float, Trial | None], None], start: float, size: float) -> Callable[[float], None]:
    """The progress (0 to 1) of one trial as that of the search."""
    return lambda part: report(start + size * part, None)
