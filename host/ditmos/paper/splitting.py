"""Stage 2: the training windows in K parts, one per classifier: clusters of the strong network's feature space."""

from __future__ import annotations

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from ditmos.errors import DitmosError
from ditmos.paper.session import Session
from ditmos.paper.strong import features


def kmeans(points: Tensor, k: int, n_init: int, seed: int, threads: int) -> Tensor:
    """(N,) cluster of every point. Raises DitmosError with fewer points than clusters."""
    if len(points) < k:
        raise DitmosError(f"{len(points)} training windows for {k} classifiers, expected at least as many")
    with threadpool_limits(threads):
        labels = KMeans(k, n_init=n_init, random_state=seed).fit_predict(points.cpu().numpy())
    return torch.from_numpy(labels).long()


def split_windows(session: Session) -> None:
    """Sets ``session.clusters``, unless every classifier is to see all windows."""
    if "split" in session.done:
        return
    config, k, by = session.config, session.network.spec.classifiers, session.config.splitting.by
    if by == "features":
        session.clusters = kmeans(features(session), k, config.splitting.n_init, session.seed, session.threads)
    elif by == "random":
        session.clusters = torch.randperm(len(session.parts.train), generator=session.rng) % k
    if session.clusters is not None:
        sizes = torch.bincount(session.clusters, minlength=k).tolist()
        session.history.append({"stage": "split", "epoch": 1, "cluster_sizes": sizes})
        session.report("split", 1.0, f"clusters of {', '.join(map(str, sizes))}")
    session.finish("split")
