"""Steps in compiled C against the same steps in torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from ditmos import keep as keeping
from ditmos.datasets.tensors import Parts, Windows
from ditmos.keep import Keep
from ditmos.paper import steps
from ditmos.paper.adversarial import classifier_epoch
from ditmos.paper.baseline import train_baseline
from ditmos.paper.config import paper_config
from ditmos.paper.method import train
from ditmos.paper.pretraining import pretrain_classifiers, selector_epoch
from ditmos.paper.session import Session, Stepper
from ditmos.paper.sides import classifier_side, parameters, selector_side
from ditmos.paper.strong import train_strong
from ditmos.training.score import answer_float, score
from ditmos.training.typed_toml import merge

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")), reason="no C compiler"
)

BRANCH = "5k7 6k4s2p1 3k3p1 h9"
SETTINGS = {
    "network": {"classifiers": 3, "aggregate": [1, 3], "selector": BRANCH, "classifier": BRANCH},
    "dropout": 0.0,
    "strong": {"widths": [8], "kernels": [9], "hidden": 8, "schedule": {"epochs": 1, "lr": 0.01}},
    "splitting": {"n_init": 2},
    "classifiers": {"epochs": 2, "lr": 0.02, "smoothing": 0.1},
    "selector": {"epochs": 1, "lr": 0.02, "smoothing": 0.1},
    "adversarial": {
        "rounds": 1, "selector_epochs": 1, "classifier_epochs": 2, "schedule": {"epochs": 0, "lr": 0.02},
        "union": 0.3, "overlap": 0.2, "single": 0.4, "selection": 0.9,
    },
}  # fmt: skip


def windows(count: int, seed: int) -> Windows:
    """Three classes, told apart by a frequency."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (count,), generator=rng)
    time = torch.arange(61) * (0.2 + 0.25 * y[:, None, None])
    phase = 6 * torch.rand(count, 2, 1, generator=rng)
    return Windows(torch.sin(time + phase) + 0.5 * torch.randn(count, 2, 61, generator=rng), y)


def session(compiled: bool, keep: Keep | None = None, **changes: object) -> Session:
    config = paper_config(merge(SETTINGS, {"compiled": compiled, **changes}))
    parts = Parts(windows(204, 0), windows(100, 1), windows(100, 2), (0.1, -0.2), (0.8, 1.1))
    run = Session(config, config.spec((61, 2, 3)), parts, keep=keep)
    if run.history:
        return run
    run.clusters = run.parts.train.y.clone()
    with torch.no_grad():  # negative gains, statistics that are not the initial ones
        for module in run.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight[::3] *= -0.7
                module.running_mean += 0.1
    return run


def both(epoch, **changes: object) -> tuple[Session, Session]:
    """``epoch(session)`` in torch and in C; the networks must be the same afterwards."""
    runs = session(False, **changes), session(True, **changes)
    losses = [epoch(run) for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    same(*(run.network for run in runs))
    return runs


def same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    for (name, left), right in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(left, right, atol=2e-4, rtol=2e-3, msg=lambda text, name=name: f"{name}: {text}")


def used(monkeypatch: pytest.MonkeyPatch) -> list[steps.Mode]:
    seen: list[steps.Mode] = []
    real = steps.run

    def run(session, stepper, index, mode):
        seen.append(mode)
        return real(session, stepper, index, mode)

    monkeypatch.setattr(steps, "run", run)
    return seen


def test_selector_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = used(monkeypatch)

    def epoch(run: Session) -> float:
        stepper = Stepper(parameters(selector_side(run.network)), run.config.selector)
        return selector_epoch(run, stepper) + selector_epoch(run, stepper)

    before = session(False).network
    after, _ = both(epoch)
    assert seen == [steps.Mode.SELECTOR] * 2
    moved = after.network.selector.layers[0].weight - before.selector.layers[0].weight
    assert moved.abs().max() > 0.01  # or the comparison would say nothing
    same_classifiers = zip(before.classifiers.parameters(), after.network.classifiers.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same_classifiers)


def test_classifier_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = used(monkeypatch)

    def epoch(run: Session) -> float:
        schedule = run.config.adversarial.schedule
        stepper = Stepper(parameters(classifier_side(run.network)), schedule, 2)
        return classifier_epoch(run, stepper) + classifier_epoch(run, stepper)

    both(epoch)
    assert seen == [steps.Mode.CLASSIFIERS] * 2


@pytest.mark.parametrize("batch", [4, 16])
def test_own_batches(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    seen = used(monkeypatch)

    def epoch(run: Session) -> float:
        pretrain_classifiers(run)
        return run.history[-1]["loss"]

    both(epoch, classifiers={"batch": batch})
    assert seen == [steps.Mode.OWN] * 2


def test_steps_of_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = used(monkeypatch)

    def epoch(run: Session) -> float:
        train_baseline(run)
        return run.history[-1]["loss"]

    both(epoch, network={"classifier": BRANCH, "classifiers": 1, "selector": "", "aggregate": []})
    assert seen == [steps.Mode.OWN] * 4


def test_strong_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = used(monkeypatch)
    strong = {"widths": [6, 5, 4], "kernels": [9, 4, 5], "hidden": 8}
    runs = [session(compiled, strong=strong) for compiled in (False, True)]
    for run in runs:
        for module in run.strong.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        train_strong(run)
    assert seen == [steps.Mode.STRONG]
    same(*(run.strong for run in runs))


def test_dropout_leaves_out_the_share_that_it_should() -> None:
    """With weights that never move, the mean loss over many draws is what torch finds."""

    def mean_loss(compiled: bool) -> float:
        run = session(compiled, dropout=0.4, selector={"lr": 1e-12})
        stepper = Stepper(parameters(selector_side(run.network)), run.config.selector)
        return sum(selector_epoch(run, stepper) for _ in range(30)) / 30

    plain = session(True, selector={"lr": 1e-12})
    without = selector_epoch(plain, Stepper(parameters(selector_side(plain.network)), plain.config.selector))
    ours, theirs = mean_loss(True), mean_loss(False)
    assert abs(theirs - without) > 0.01  # dropout shows
    assert ours == pytest.approx(theirs, abs=0.25 * abs(theirs - without))


def test_the_method_learns_and_repeats_itself() -> None:
    results = []
    for _ in range(2):
        run = session(True, dropout=0.2, classifiers={"epochs": 6, "smoothing": 0.0})
        run.clusters = None
        train(run)
        results.append(score(answer_float(run.network, run.parts.test)))
    assert results[0].predicted.tolist() == results[1].predicted.tolist()
    assert results[0].value > 0.6


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SECONDS", 0.0)
    whole = session(True, dropout=0.2)
    whole.clusters = None
    train(whole)

    class Stop(Exception):
        pass

    stopped = session(True, Keep(tmp_path), dropout=0.2)
    stopped.clusters = None

    def report(stage: str, done: float, _: str) -> None:
        if stage == "adversarial" and done == 1:  # what is kept is epoch 2: amid the classifiers' epochs
            raise Stop

    stopped.report = report
    with pytest.raises(Stop):
        train(stopped)
    again = session(True, Keep(tmp_path), dropout=0.2)
    assert again.done == ["strong", "split", "classifiers", "selector"]
    train(again)
    assert again.history == whole.history
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"selector": {"batch": 12}},
        {"network": {"start": 1, "aggregate": []}},
    ],
)
def test_what_c_does_not_do_is_left_to_torch(monkeypatch: pytest.MonkeyPatch, changes: dict) -> None:
    seen = used(monkeypatch)
    run = session(True, **changes)
    selector_epoch(run, Stepper(parameters(selector_side(run.network)), run.config.selector))
    assert seen == []


def test_no_compiler_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    steps._library.cache_clear()
    monkeypatch.setattr(steps.shutil, "which", lambda name: None)
    run = session(True)
    assert selector_epoch(run, Stepper(parameters(selector_side(run.network)), run.config.selector)) > 0
    steps._library.cache_clear()
