"""The study: students that train fast are the networks they claim to be; losses and tables by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ditmos.bench import training_speed as speed
from ditmos.datasets.tensors import Windows
from ditmos.keep import Keep
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.networks.grouped import ConvLayer
from ditmos.networks.student import StudentNetwork
from ditmos.study import summary, tables
from ditmos.training import fit as fitting
from ditmos.training import score as scoring
from ditmos.training import shapes
from ditmos.training.fit import Batch, FitConfig, routed_loss
from ditmos.training.pool import PoolConfig, build, class_weights
from ditmos.training.routing_figures import routing_figures
from ditmos.training.score import Answers
from ditmos.training.teachers import (
    HandmadeTeacher,
    TeacherConfig,
    Teachers,
    image_network,
    line_network,
    train_teachers,
)
from ditmos.training.views import ViewConfig, Views

_C = ConvSpec
SPECS = {
    "shared first layer": NetworkSpec(
        60, 3, 5, 4, BranchSpec((_C(6, 3), _C(7, 3, 1, 1)), (9,)), BranchSpec((_C(4, 5, 2), _C(5, 3), _C(3, 3, 1, 1))),
        1, (2,),
    ),
    "reference": reference_spec(5, 3, 100, 3),
    "aggregated head": NetworkSpec(60, 3, 5, 2, BranchSpec((_C(6, 3),)), BranchSpec((_C(4, 5), _C(5, 3))), 1, (2,)),
    "plain": NetworkSpec(60, 3, 5, 1, BranchSpec((_C(6, 3),))),
}  # fmt: skip


def _trained(spec: NetworkSpec) -> tuple[StudentNetwork, torch.Tensor]:
    """A network whose normalisation has seen data, with negative gains among its parameters."""
    network = StudentNetwork(spec, delta=0.5, seed=1)
    x = torch.randn(32, 3, spec.window, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network.layers():
            if isinstance(layer, ConvLayer):
                layer.norm.weight[::2] *= -1.5
        for _ in range(3):
            network.train()(x)
    return network.eval(), x


@pytest.mark.parametrize("name", SPECS)
def test_export_is_the_same_network(name: str) -> None:
    network, x = _trained(SPECS[name])
    mean, std = torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 2, 0.5])
    with torch.no_grad():
        gate, logits = network(x)
        exported = network.export(mean.tolist(), std.tolist())
        gate_, logits_ = exported(x * std[:, None] + mean[:, None])
    torch.testing.assert_close(logits, logits_, atol=1e-5, rtol=1e-4)
    if gate is not None:
        torch.testing.assert_close(gate, gate_, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.selector])
def test_dispatched_classifiers_see_their_rows(name: str) -> None:
    network, x = _trained(SPECS[name])
    count = network.spec.classifiers
    rows = torch.stack([torch.randperm(32, generator=torch.Generator().manual_seed(k))[:10] for k in range(count)])
    with torch.no_grad():
        _, everything = network(x)
        _, own, seen = network.dispatched(x, lambda gate: rows)
    assert torch.equal(seen, rows)
    expected = everything.gather(0, rows.t()[:, :, None].expand(-1, -1, 5))
    torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_routed_loss_by_hand() -> None:
    """Two windows, two classifiers; window 1 is seen by classifier 1 alone, so its gate must not matter."""
    gate = torch.tensor([[0.0, 0.0], [3.0, -1.0]])
    logits = torch.log(torch.tensor([[[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.4, 0.6]]]))
    rows = torch.tensor([[0, 0], [0, 1]])
    rows[0, 1] = 0
    logits[0, 1] = logits[0, 0]  # the same window twice in the same classifier
    batch = Batch(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]), torch.ones(2), done=1.0)
    found = routed_loss(gate, logits, rows, batch, FitConfig(balance=0.0, mixture=(0.0, 0.5)))
    first = (2 * -math.log(0.9) - math.log(0.2)) / 3  # three pairs of equal gate
    torch.testing.assert_close(found, torch.tensor((first - math.log(0.6)) / 2))
    early = routed_loss(gate, logits, rows, replace(batch, done=0.0), FitConfig(balance=0.0, mixture=(0.5, 1.0)))
    torch.testing.assert_close(early, torch.tensor((-math.log((0.9 * 2 + 0.2) / 3) - math.log(0.6)) / 2))


def test_the_papers_terms_by_hand() -> None:
    """Window 0 is known by both classifiers, 1 by the second alone, 2 by nobody; classifier 0 does not take window 1,
    and the selector gives 0 to the first, 1 and 2 to the second."""
    p = {(0, 0): 0.9, (0, 2): 0.3, (1, 0): 0.6, (1, 1): 0.8, (1, 2): 0.2}  # of the class, by (classifier, window)
    rows = torch.tensor([[0, 2, 2], [0, 1, 2]])
    of_class = torch.tensor([[p[k, int(i)] for i in row] for k, row in enumerate(rows)])
    logits = torch.stack([of_class, 1 - of_class], 2).log()
    gate = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    batch = Batch(torch.tensor([[1.0, 0.0]] * 3), torch.zeros(3, dtype=torch.long), torch.ones(3), 1.0)
    plain = FitConfig(balance=0.0)

    def term(name: str) -> float:
        more = routed_loss(gate, logits, rows, batch, replace(plain, **{name: 1.0}))
        return (more - routed_loss(gate, logits, rows, batch, plain)).item()

    ce = {where: -math.log(value) for where, value in p.items()}
    assert term("union") == pytest.approx((ce[0, 2] + ce[1, 2]) / 2, rel=1e-5)
    assert term("overlap") == pytest.approx(-(ce[0, 0] + ce[1, 0]) / 2, rel=1e-5)
    assert term("single") == pytest.approx(ce[1, 1] / 2, rel=1e-5)
    assert term("selection") == pytest.approx((ce[0, 0] + (ce[1, 1] + ce[1, 2]) / 2) / 2, rel=1e-5)


def test_balance_is_least_for_even_use() -> None:
    rows, logits = torch.arange(4).repeat(2, 1), torch.zeros(2, 4, 3)
    batch = Batch(torch.full((4, 3), 1 / 3), torch.zeros(4, dtype=torch.long), torch.ones(4), 1.0)
    even, uneven = torch.zeros(4, 2), torch.tensor([[4.0, 0.0]]).repeat(4, 1)
    config = FitConfig(balance=1.0)
    losses = [routed_loss(gate, logits, rows, batch, config).item() for gate in (even, uneven)]
    assert losses[0] == pytest.approx(math.log(3))
    assert losses[1] > losses[0] + 0.5


def test_views_do_what_they_say() -> None:
    mean, std = torch.tensor([1.0, 0.0, 0.0]), torch.ones(3)
    x = torch.randn(50, 3, 40, generator=torch.Generator().manual_seed(0))

    def views(**change: object) -> torch.Tensor:
        return Views(ViewConfig(**change), mean, std, torch.Generator().manual_seed(1))(x)

    torch.testing.assert_close(views(), x)
    assert torch.allclose(views(offset=1.0).std(2), x.std(2), atol=1e-5)
    dropped = (views(drop=0.5) == 0).all(2).float().mean().item()
    assert 0.3 < dropped < 0.7
    ramp = torch.arange(40.0).expand(50, 3, 40)
    stretched = Views(ViewConfig(stretch=0.2), mean * 0, std, torch.Generator().manual_seed(1))(ramp)
    slope = stretched[:, 0, 20] - stretched[:, 0, 19]
    assert slope.min() >= 0.79 and slope.max() <= 1.21 and slope.std() > 0.05


def _toy(count: int, seed: int) -> Windows:
    """Two classes: a bump early or late."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=rng)
    x = 0.3 * torch.randn(count, 2, 40, generator=rng)
    x[torch.arange(count), 0, 10 + 15 * y] += 3.0
    return Windows(x * 2 + 5, y)


def test_mixed_views_carry_both_labels() -> None:
    config = PoolConfig(ViewConfig(4, mixed=0.5), TeacherConfig(count=1, epochs=1, widths=(4,), kernels=(3,)))
    train = _toy(200, 0)
    pool = build(train, 2, config)
    assert pool.x.shape[0] == 800 and (pool.share[:400] == 1).all() and (pool.share[400:] < 1).all()
    rows = torch.arange(800)
    labels = pool.labels(rows)
    assert torch.allclose(labels.sum(1), torch.ones(800))
    assert (labels[:400].argmax(1) == train.y.repeat(2)).all()
    different = pool.y != pool.other
    assert torch.allclose(labels[different].gather(1, pool.other[different, None])[:, 0], 1 - pool.share[different])
    # a mixture lies between its windows: each is the nearest mean of classes where its share is large
    bump = pool.x[:, 0, 10:13].float().mean(1) - pool.x[:, 0, 25:28].float().mean(1)
    pure = pool.share > 0.95
    assert ((bump > 0) == (pool.y == 0))[pure].float().mean() > 0.9


def test_planar_teachers_learn_and_take_any_window() -> None:
    config = TeacherConfig(count=2, planar=1, epochs=6, batch=64, widths=(8, 8), kernels=(5, 3), planes=(4, 8))
    train = _toy(512, 0)
    std, mean = (part[:, None] for part in torch.std_mean(train.x, dim=(0, 2)))
    standard, rng = Windows((train.x - mean) / std, train.y), torch.Generator().manual_seed(0)
    views = Views(ViewConfig(), mean[:, 0], std[:, 0], rng)
    teachers = train_teachers(standard, 2, config, views, torch.ones(2), Keep(), balanced=False)
    assert [network.planar for network in teachers.networks] == [False, True]
    test = _toy(256, 1)
    z = (test.x - test.x.mean((0, 2))[:, None]) / test.x.std((0, 2))[:, None]
    assert (Teachers(teachers.networks[1:])(z).argmax(1) == test.y).float().mean() > 0.8
    for channels, rows in ((1, 1), (2, 40), (40, 49), (133, 7), (3, 200)):
        assert image_network(channels, rows, 5, TeacherConfig())(torch.randn(2, channels, rows)).shape == (2, 5)


def test_models_on_features_made_by_hand_judge_too() -> None:
    train, test = (  # what tells the classes apart is how large a window is, not where
        Windows(windows.x * (1 + 2 * windows.y[:, None, None]), windows.y) for windows in (_toy(512, 0), _toy(256, 1))
    )
    handmade = HandmadeTeacher(train, 2, balanced=True, seed=0)
    said = handmade(test.x)
    assert (said.argmax(1) == test.y).float().mean() > 0.8 and torch.allclose(said.sum(1), torch.ones(256))
    network = line_network(2, 40, 2, TeacherConfig(widths=(4,), kernels=(3,))).eval()
    with torch.no_grad():
        expected = (network(test.x).softmax(1) + 2 * said) / 3
    torch.testing.assert_close(Teachers([network], handmade)(test.x), expected)
    lacking = Windows(train.x, 2 * train.y)  # no window of class 1
    np.testing.assert_array_equal(HandmadeTeacher(lacking, 3, balanced=True, seed=0)(test.x)[:, [0, 2]], said)


def test_students_learn_from_the_pool() -> None:
    config = PoolConfig(ViewConfig(2), TeacherConfig(count=1, epochs=6, batch=64, widths=(8, 8), kernels=(5, 3)))
    pool = build(_toy(512, 0), 2, config, judged={"held": _toy(256, 2)})
    assert pool.x.shape == (1024, 2, 40) and pool.teachers["held"] > 0.8
    assert abs(pool.x[:512].float().mean().item()) < 1e-2 and pool.windows == 512
    test = _toy(256, 1)
    early = shapes.build((40, 2, 2), "4k3", selector="3k3 3k3", classifiers=2, start=1, exit=True)
    for spec in (early, shapes.build((40, 2, 2), "4k3 6k3")):
        curve: list[tuple[float, float]] = []
        network = fitting.fit(spec, pool, FitConfig(epochs=12, batch=64), curve=curve)
        found = scoring.score(scoring.answer_float(network, test))
        assert found.value > 0.9
        assert curve[-1][1] < curve[0][1] and curve[-1][0] == pytest.approx(12, abs=0.5)


def test_class_weights() -> None:
    y = torch.tensor([0, 0, 0, 1])
    assert class_weights(y, 2, False).tolist() == [1, 1]
    weight = class_weights(y, 2, True)
    assert weight[y].mean() == 1 and weight[1] == 3 * weight[0]


def _row(method: str, seed: int, value: float, macs: int = 90, budget: int = 100_000) -> dict:
    test = {"int8": value, "float": value + 0.01, "union": None, "usage": [1.0]}
    return {
        "data": "d", "split": "file", "metric": "accuracy", "method": method, "budget": {"macs": budget},
        "shape": method, "seed": seed, "int8": value, "float": value + 0.01, "test": test, "macs": macs,
        "worst_macs": macs, "arena_bytes": 10, "flash_bytes": 20,
    }  # fmt: skip


def test_summary_by_hand() -> None:
    rows = [_row("best", s, v) for s, v in enumerate((0.8, 0.9))] + [_row("wide", 0, 0.7, 80), _row("exit", 0, 0.6, 85)]
    entries = summary.summarise(rows)
    best = next(e for e in entries if e["method"] == "best")
    assert (best["int8"], best["seeds"]) == ({"mean": 0.85, "sd": 0.0707}, [0, 1])
    assert summary.best_rival(entries, "d", "100 k MACs")["method"] == "wide"
    assert [e["method"] for e in summary.pareto(entries, "macs")] == ["wide", "best"]
    text = tables.markdown(entries, rows)
    assert "best against the best rival, wide: +15.00 points." in text
    assert "0.8500 ± 0.0707" in text
    assert "instructions" not in text and "union" not in text  # no column without a figure


def test_budgets_in_words() -> None:
    row = _row("best", 0, 0.8) | {"budget": {"macs": None, "instructions": 50_000, "worst": 90_000, "ram": 4_000}}
    assert summary.budget_of(row) == (50_000, "50 k instructions, 90 k instructions at worst")
    assert summary.budget_of(row | {"budget": {}}) == (0, "no limit")


def _routed_row(method: str, seed: int, value: float, union: float, selector: float) -> dict:
    row = _row(method, seed, value, budget=20_000)
    routing = {
        "union": union, "selector": selector, "target": 0.5, "overlap": 0.25, "load": [0.25, 0.75, 0.0],
        "accuracy": [0.5, 0.25, 0.125], "routed_accuracy": [0.625, 0.375, None],
    }  # fmt: skip
    row["test"] |= {"routing": routing, "union": union, "usage": [0.2, 0.8, 0.0]}
    return row


def test_ablation_and_gap_by_hand() -> None:
    rows = [_routed_row("paper", s, 0.60 + s / 10, 0.9, 0.7) for s in (0, 1)]
    rows += [_routed_row("paper, no split", 0, 0.5, 0.8, 0.625), _routed_row("best", 0, 0.8, 0.9, 0.9)]
    rows += [_row("paper baseline", 0, 0.55, budget=20_000) | {"board": {"instructions": 1234}}]
    rows[-2] |= {"teachers": {"validation": 0.95}}
    entries = summary.summarise(rows)
    found = {table.title: table for table in tables.tables(entries, rows, "d")}
    parts = found["What each part is worth"]
    assert [row[0] for row in parts.rows] == ["paper", "paper, no split"]
    assert parts.rows[1][2:7] == ("-10.00", "0.8000", "0.6250", "0.5000", "0.2500")  # against seed 0 of "paper"
    gap = {row[0]: row[2:] for row in found["Routed against union"].rows}
    assert gap["paper"] == ("0.6300", "0.9000", "27.00") and gap["best"] == ("0.8100", "0.9000", "9.00")
    assert "paper, no split" not in gap
    assert found["Routed against union"].note.endswith("(float): 0.9500.")
    first = found["Classifiers, in %, the most used first"].rows[0]
    assert first == ("best", "20 k MACs", "seed 0", "75 25 0", "25 50 12", "38 62 -")
    results = found["d, 20 k MACs (accuracy)"]
    assert "paper against paper baseline: +10.00 points." in results.note
    at = results.head.index("instructions")
    assert {row[0]: row[at] for row in results.rows}["paper baseline"] == "1,234"
    assert {results.rows[i][0] for i in results.marked} == {"best", "paper", "paper, no split"}


def test_routing_figures_by_hand() -> None:
    """Three windows, two classifiers: both right, only the second, none; chosen are the first, second, first."""
    spec = shapes.build((40, 2, 2), "4k3", selector="3k3", classifiers=2)
    gate = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    logits = np.array([[[2, 0], [3, 0]], [[0, 9], [1, 0]], [[0, 4], [0, 5]]], np.float32)
    found = routing_figures(Answers(spec, gate, logits, np.array([0, 0, 0])))
    assert found["union"] == pytest.approx(2 / 3) and found["selector"] == 1.0 and found["overlap"] == 0.5
    assert found["target"] == pytest.approx(2 / 3)  # window 0: the second is surer; window 2: the first is less sure
    assert found["load"] == pytest.approx([2 / 3, 1 / 3]) and found["routed_accuracy"] == [0.5, 1.0]
    assert found["accuracy"] == pytest.approx([1 / 3, 2 / 3])


def test_training_speed_is_measured_for_every_way() -> None:
    """No floor for the speed-up here: the machine may be busy. `ditmos bench training` is where it is read."""
    rows = speed.measure(SPECS["reference"], batch=32, repetitions=1)
    assert [row["batch"] for row in rows] == [8, 8, 32, 32, 32]
    assert rows[0]["speedup"] == 1 and all(row["windows_per_s"] > 0 for row in rows)


def test_k_classifiers_grow_from_one() -> None:
    spec = SPECS["shared first layer"]
    stem, x = _trained(replace(spec, classifiers=1, selector_outputs=5))
    early = replace(spec, selector_outputs=spec.classifiers + 5)
    with torch.no_grad():
        gate, logits = stem(x)
        for grown in (stem.grow(spec, delta=0.0, seed=3).eval(), stem.grow(early, delta=0.0, seed=3).eval()):
            outputs, own = grown(x)
            torch.testing.assert_close(own, logits.expand_as(own))
        torch.testing.assert_close(outputs[:, spec.classifiers :], gate)
        assert not torch.allclose(stem.grow(spec, delta=0.5, seed=3).eval()(x)[1][:, 0], logits[:, 0])
