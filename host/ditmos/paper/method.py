"""The published method, and its baseline: one more way from a task to a trained network (`training.learn`)."""

from __future__ import annotations

import torch

from ditmos.errors import DitmosError
from ditmos.paper.adversarial import train_adversarially
from ditmos.paper.baseline import train_baseline
from ditmos.paper.config import paper_config
from ditmos.paper.pretraining import pretrain_classifiers, pretrain_selector
from ditmos.paper.session import Session
from ditmos.paper.splitting import split_windows
from ditmos.paper.strong import accuracy, train_strong
from ditmos.planner import price
from ditmos.planner.budget import nothing_fits
from ditmos.training.learn import Learned, Task
from ditmos.training.loop import Curve
from ditmos.training.shapes import describe
from ditmos.training.space import keeps

STAGES = (train_strong, split_windows, pretrain_classifiers, pretrain_selector, train_adversarially)
_NO_CLASSIFIER = ("strong", "split", "selector")  # stages that train none


def learn(task: Task) -> Learned:
    """METHOD, part by part; the epoch that validation likes best.

    Raises:
        DitmosError: the network does not keep the budget, settings that cannot be, no epoch of a whole network.
    """
    config = paper_config(task.settings.paper)
    spec = config.spec(task.geometry)
    if not keeps(spec, task.budget):
        raise nothing_fits("room for the published network", task.budget, spec)
    keep = task.keep.within(f"paper-{task.digest}")
    session = Session(
        config, spec, task.parts, seed=task.seed, threads=task.settings.threads, balanced=task.balanced, keep=keep,
        report=task.report,
    )  # fmt: skip
    task.report("network", 0.0, describe(spec))
    train(session)
    assert session.best is not None  # or `train` would have said so
    stages: list[tuple[str, float]] = []
    curve = Curve()
    for row in session.history:
        loss = row.get("classifier_loss", None if row["stage"] in _NO_CLASSIFIER else row.get("loss"))
        if loss is not None:
            curve.append((len(curve) + 1, loss))
            if stages and stages[-1][0] == row["stage"]:
                stages.pop()
            stages.append((row["stage"], float(len(curve))))
    how = {"epoch": {key: session.best[key] for key in ("stage", "epoch", "value")}}
    if "strong" in session.done:
        how["teachers"] = {"validation": accuracy(session, task.parts.validation)}
    return Learned(session.network, stages, curve, how)


def effort_of(task: Task) -> list[tuple[str, float]]:
    """Stages in order and about how long each takes, in multiply-accumulates of a training window's way forth and back:
    for the time that is left."""
    config = paper_config(task.settings.paper)
    spec, rounds = config.spec(task.geometry), config.adversarial
    cost, k, (rows, width, _) = price.macs(spec), config.spec(task.geometry).classifiers, task.geometry
    strong = 0.0
    for i, (out, kernel) in enumerate(zip(config.strong.widths, config.strong.kernels, strict=True)):
        strong, width, rows = strong + rows * width * out * kernel, out, rows // (1 + i % 2)
    selecting, classifying = cost.select + k * cost.classify / 3, cost.select / 3 + k * cost.classify
    found = [
        ("strong", config.strong.schedule.epochs * strong),
        ("classifiers", config.classifiers.epochs * cost.classify),
        ("selector", config.selector.epochs * selecting),
        (
            "adversarial",
            rounds.rounds * (rounds.selector_epochs * selecting + rounds.classifier_epochs * classifying),
        ),
    ]
    if config.baseline:
        later = rounds.rounds * rounds.classifier_epochs
        found = [("baseline", config.classifiers.epochs * cost.classify), ("later", later * cost.classify)]
    return [*found, ("integers", (1 + task.settings.int8.epochs) * cost.of(k))]


def train(session: Session) -> None:
    """Run what is not done yet, then put the best network on the validation part in place."""
    if session.network.selector is None and not session.config.baseline:
        raise DitmosError("paper.network has no selector, expected one; or set paper.baseline = true for one network")
    for stage in (train_baseline,) if session.config.baseline else STAGES:
        # a step of 8 windows through tiny networks is done before a second thread has woken
        torch.set_num_threads(session.threads if stage is train_strong else 1)
        stage(session)
    torch.set_num_threads(session.threads)
    if session.best is None:
        raise DitmosError("paper: no epoch of a whole network was asked for, expected some")
    session.network.load_state_dict(session.best["state"])
    session.network.eval().requires_grad_(False)
