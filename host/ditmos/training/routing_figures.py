"""What the classifiers of a routed network know, and how much of it the selector finds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ditmos.training.score import Answers


def routing_figures(answers: Answers) -> dict[str, Any] | None:
    """Fractions of the windows, early exits left aside; None where there is nothing to choose.

    union: at least one classifier is right. selector: of the windows of the union, those where the chosen one is right.
    target: the choice is METHOD's target, the classifier with the highest score (top softmax probability, negative
    where it is wrong). overlap: of the other classifiers, the share that is right too, over the windows of the union:
    0 where always one alone is right, 1 where always all are. load: how often each is chosen. accuracy: of each alone,
    on all windows; routed_accuracy: of each on the windows it is chosen for (None: never chosen).
    """
    spec, y, choice = answers.spec, answers.y, answers.choice
    count = spec.classifiers
    if spec.selector is None or count == 1 or answers.logits.shape[1] != count:
        return None
    answer = answers.logits.argmax(2)
    right = answer == y[:, None]
    chosen_right = np.take_along_axis(right, choice[:, None], 1)[:, 0]
    any_right, together = right.any(1), right.sum(1)
    top = answers.logits.max(2)
    confidence = 1 / np.exp(answers.logits - top[:, :, None]).sum(2)
    target = np.where(right, confidence, -confidence).argmax(1)
    load = np.bincount(choice, minlength=count)
    found = np.bincount(choice, weights=chosen_right, minlength=count)
    inside = max(int(any_right.sum()), 1)
    return {
        "union": float(any_right.mean()),
        "selector": float(chosen_right.sum() / inside),
        "target": float((choice == target).mean()),
        "overlap": float((together[any_right] - 1).sum() / (count - 1) / inside),
        "load": (load / len(y)).tolist(),
        "accuracy": right.mean(0).tolist(),
        "routed_accuracy": [float(f / n) if n else None for f, n in zip(found, load, strict=True)],
    }
