"""Train one student network, routed or plain, on a `Pool`.

The loss of a routed network is that of a mixture of experts at first, and becomes the *expected* loss of its choice:
``sum_k g_k(x) * loss_k(x)``, with g the softmax of the selector's outputs. The mixture lets classifiers find their
windows; the expected loss is what top-1 routing pays, so the selector learns who will be right, not who might have
been. The start of the selector is METHOD's diverse split: clusters of what the teachers say, which fade out.

A selector with K + classes outputs also answers by itself (an early exit); one with ``classes`` outputs and K = 1 is a
plain early-exit network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor

from ditmos.keep import Keep
from ditmos.model.spec import NetworkSpec
from ditmos.networks.grouped import Layer
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.networks.student import StudentNetwork
from ditmos.training.loop import Curve, Cycle, learn
from ditmos.training.pool import Pool
from ditmos.training.score import answers_itself
from ditmos.training.terms import adversarial_terms


@dataclass(frozen=True)
class FitConfig:
    """How a student learns; the second half concerns routed networks only.

    epochs: one is as many windows as the training part has, whichever views they are. distill: share of the teachers'
    opinion in the target. decay: of the moving average of the weights, which is the result.

    stem: share of the epochs that train one classifier, from which the K then grow; 0: K from the start. delta: size of
    a classifier's own weights at the start, relative to the common ones. own_rate: their learning rate, relative to
    ``lr``: they see few windows each, and Adam's steps do not shrink with the gradient. capacity: windows per step that
    the classifiers take together, as a multiple of the batch; each takes those that the selector likes it best for.
    noise: of that choice at the start (Gumbel, in logits; falls to 0). clusters: weight of the diverse split; gone
    after half of the training. balance: weight of the penalty on uneven use. mixture: (from, to), fractions of the
    training between which the mixture becomes the expected loss. exit: weight of the selector's own answer.

    union, overlap, single, selection: weights of METHOD's terms (`ditmos.training.terms`) beside that loss, over the
    windows that each classifier takes, the mean over classifiers. Right is by the labels, the loss against the target
    as above. METHOD has 0.1, 0.03, 0.1 and 1, of the labels alone.
    """

    epochs: float = 40
    batch: int = 512
    lr: float = 1.2e-2
    weight_decay: float = 0.03
    dropout: float = 0.05
    distill: float = 0.7
    decay: float = 0.98
    stem: float = 0.5
    delta: float = 0.1
    own_rate: float = 0.3
    capacity: float = 2.0
    noise: float = 1.0
    clusters: float = 0.1
    balance: float = 0.02
    mixture: tuple[float, float] = (0.2, 0.6)
    exit: float = 0.3
    union: float = 0.0
    overlap: float = 0.0
    single: float = 0.0
    selection: float = 0.0


@dataclass(frozen=True)
class Batch:
    """target (N, classes): what is learned; y (N,): the class by the labels; weight (N,): of each window; done:
    fraction of the training."""

    target: Tensor
    y: Tensor
    weight: Tensor
    done: float


def plain_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Weighted cross-entropy of (..., N, classes), summed over leading axes."""
    loss = -(batch.target * logits.log_softmax(-1)).sum(-1)
    return (loss * batch.weight).mean(-1).sum()


def routed_loss(gate: Tensor, logits: Tensor, rows: Tensor, batch: Batch, config: FitConfig) -> Tensor:
    """gate (N, K) routing outputs; logits (K, capacity, classes) of the windows ``rows`` (K, capacity).

    The gate is renormalised over the classifiers that saw a window, or it would learn to prefer those that did not.
    """
    count, classes = len(rows), logits.shape[2]
    log_gate = gate.log_softmax(1).t()
    chosen = log_gate.gather(1, rows).exp()
    flat = rows.reshape(-1)
    total = gate.new_zeros(len(gate)).index_add(0, flat, chosen.reshape(-1))
    seen = total > 1e-9
    share = chosen / total[rows].clamp(min=1e-9)
    log = logits.log_softmax(2)
    start, end = config.mixture
    sharp = min(max((batch.done - start) / max(end - start, 1e-9), 0.0), 1.0)
    each = -(batch.target[rows] * log).sum(2)
    loss = sharp * (share * each * batch.weight[rows]).sum() / seen.sum()
    if sharp < 1:
        mixed = gate.new_zeros(len(gate), classes)
        mixed = mixed.index_add(0, flat, (share[:, :, None] * log.exp()).reshape(-1, classes))
        together = -(batch.target * (mixed + 1e-9).log()).sum(1) * batch.weight
        loss = loss + (1 - sharp) * together[seen].mean()
    if config.union or config.overlap or config.single or config.selection:
        right = logits.argmax(2) == batch.y[rows]
        known = gate.new_zeros(len(gate)).index_add(0, flat, right.reshape(-1).to(gate.dtype))[rows]
        selected = gate.argmax(1)[rows] == torch.arange(count)[:, None]
        weighted = each * batch.weight[rows]
        loss = loss + adversarial_terms(weighted.t(), right.t(), known.t(), selected.t(), config).mean()
    mean = log_gate.exp().mean(1)
    return loss + config.balance * (count * (mean * mean).sum() - 1)


def given_loss(network: StudentNetwork, x: Tensor, given: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of windows x (N, channels, time), each by the classifier that it is ``given`` (N,), which sees no
    others: a step costs about the same for any K, and batch statistics are those of the windows that it is for."""
    rows, counts = lists_of(given, network.spec.classifiers)
    logits = network.forward_own(x[rows.t()]).transpose(0, 1)  # (K, longest, classes)
    each = -(batch.target[rows] * logits.log_softmax(-1)).sum(-1) * batch.weight[rows]
    return (each * counts).sum() / len(x)


def lists_of(given: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Of windows that are ``given`` (N,) to one of ``count`` classifiers: rows (K, longest) of each, the shorter lists
    filled up by repetition, and whether a place counts (a repetition does not)."""
    have = torch.bincount(given, minlength=count)
    first, place = have.cumsum(0) - have, torch.arange(int(have.max()))
    rows = given.argsort(stable=True)[(first[:, None] + place % have.clamp(min=1)[:, None]).clamp(max=len(given) - 1)]
    return rows, place < have[:, None]


def clusters_of(pool: Pool, count: int, seed: int) -> Tensor:
    """Cluster (views * N,) of every window: K-means on the square root of the teachers' opinion."""
    points = pool.soft.float().sqrt().numpy()
    means = KMeans(count, n_init=2, random_state=seed).fit(points[: pool.windows])
    return torch.from_numpy(means.predict(points)).long()


def fit(
    spec: NetworkSpec, pool: Pool, config: FitConfig, seed: int = 0,
    progress: Callable[[float], None] = lambda done: None, curve: Curve | None = None, keep: Keep | None = None,
    given: Tensor | None = None,
) -> RoutedNetwork:  # fmt: skip
    """Train, and return the moving average of the weights as a network for windows in real units.

    K classifiers without a selector learn independently of each other (an ensemble), or each from the windows that it
    is ``given``: (views * N,), the classifier of every window of the pool. ``curve`` receives (epoch, mean loss since
    the last entry), some 40 entries over the training. ``keep``: where a run that is stopped goes on from.

    Raises:
        DitmosError: the loss is no longer a number.
    """
    routed, keep = spec.classifiers > 1 and (spec.selector is not None or given is not None), keep or Keep()
    network = StudentNetwork(spec, delta=config.delta if routed else None, dropout=config.dropout, seed=seed)
    curve = [] if curve is None else curve
    if routed and config.stem:
        stem = replace(spec, classifiers=1, selector_outputs=spec.classes if spec.selector else 0)
        start = StudentNetwork(stem, dropout=config.dropout, seed=seed)
        first = replace(config, epochs=config.epochs * config.stem)
        start = _train(start, pool, first, seed, lambda done: progress(done * config.stem), curve, keep, "stem")
        network = start.grow(spec, delta=config.delta, seed=seed)
        config = replace(config, epochs=config.epochs * (1 - config.stem))
        share, later = first.epochs / (first.epochs + config.epochs), Curve()
        done = _train(
            network, pool, config, seed, lambda d: progress(share + d * (1 - share)), later, keep, "student", given
        )
        curve += [(first.epochs + epoch, loss) for epoch, loss in later]
    else:
        done = _train(network, pool, config, seed, progress, curve, keep, "student", given)
    return done.export(pool.mean.tolist(), pool.std.tolist())


def _train(
    network: StudentNetwork, pool: Pool, config: FitConfig, seed: int, progress: Callable[[float], None], curve: Curve,
    keep: Keep, name: str, given: Tensor | None = None,
) -> StudentNetwork:  # fmt: skip
    """One cycle of the learning rate; returns the moving average in evaluation mode."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    spec = network.spec
    steps = max(int(config.epochs * pool.windows / config.batch), 1)
    routed = spec.selector is not None and spec.classifiers > 1
    cluster = clusters_of(pool, spec.classifiers, seed) if routed and config.clusters else None

    def loss(rows: Tensor, done: float) -> Tensor:
        return _loss(network, pool, rows, cluster if given is None else given, done, config, rng)

    cycle = Cycle(
        steps, config.batch, len(pool.y), _groups(network, config), 0.15, (0.8, config.decay), 100, rng, fused=True
    )  # fmt: skip
    result = learn(network, cycle, loss, keep, name, progress)
    curve += [(step * config.batch / pool.windows, loss) for step, loss in cycle.curve]
    return result


def _groups(network: StudentNetwork, config: FitConfig) -> list[dict[str, Any]]:
    """Parameters by weight decay and learning rate: common weights, classifiers' own, and normalisation and biases."""
    layers = [layer for layer in network.layers() if isinstance(layer, Layer)]  # that learn
    own = [layer.weight for layer in layers if layer.base is not None]
    common = [layer.weight if layer.base is None else layer.base for layer in layers]
    weights = {id(p) for p in (*own, *common)}
    rest = [p for p in network.parameters() if id(p) not in weights]
    groups = [
        {"params": common, "lr": config.lr, "weight_decay": config.weight_decay},
        {"params": own, "lr": config.lr * config.own_rate, "weight_decay": config.weight_decay},
        {"params": rest, "lr": config.lr, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _loss(
    network: StudentNetwork, pool: Pool, rows: Tensor, cluster: Tensor | None, done: float, config: FitConfig,
    rng: torch.Generator,
) -> Tensor:  # fmt: skip
    spec, x, labels = network.spec, pool.x[rows].float(), pool.labels(rows)
    target = config.distill * pool.soft[rows].float() + (1 - config.distill) * labels
    batch = Batch(target, labels.argmax(1), labels @ pool.weight, done)
    k = spec.classifiers
    if spec.selector is None or k == 1:
        if cluster is not None:  # given to one of the classifiers
            return given_loss(network, x, cluster[rows], batch)
        gate, logits = network(x)
        loss = plain_loss(logits.transpose(0, 1), batch)
        return loss + config.exit * plain_loss(gate, batch) if gate is not None and answers_itself(spec) else loss
    capacity = min(max(int(config.capacity * len(x) / k), 4), len(x))

    def dispatch(outputs: Tensor) -> Tensor:
        liking = outputs[:, :k].detach().log_softmax(1)
        uniform = torch.rand(liking.shape, generator=rng).clamp(1e-6, 1 - 1e-6)
        liking = liking - config.noise * (1 - done) * (-uniform.log()).log()
        return liking.topk(capacity, dim=0).indices.t()

    outputs, logits, seen = network.dispatched(x, dispatch)
    loss = routed_loss(outputs[:, :k], logits.transpose(0, 1), seen, batch, config)
    if cluster is not None and done < 0.5:
        loss = loss + config.clusters * (1 - 2 * done) * F.cross_entropy(outputs[:, :k], cluster[rows])
    if answers_itself(spec):
        loss = loss + config.exit * plain_loss(outputs[:, k:], batch)
    return loss
