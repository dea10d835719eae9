"""Stage 2: the training windows in K clusters of the strong network's feature space, one per classifier."""

from __future__ import annotations

import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from ditmos.errors import DitmosError
from ditmos.training.session import Session
from ditmos.training.strong import features


def kmeans(points: Tensor, k: int, n_init: int, seed: int, threads: int) -> Tensor:
    """(N,) cluster of every point. Raises DitmosError with fewer points than clusters."""
    if len(points) < k:
        raise DitmosError(f"{len(points)} training windows for {k} classifiers, expected at least as many")
    with threadpool_limits(threads):
        labels = KMeans(k, n_init=n_init, random_state=seed).fit_predict(points.cpu().numpy())
    return torch.from_numpy(labels).long()


def split_by_features(session: Session) -> None:
    if "split" in session.done:
        return
    config, k = session.config, session.network.spec.classifiers
    session.clusters = kmeans(features(session), k, config.splitting.n_init, config.seed, config.threads)
    sizes = torch.bincount(session.clusters, minlength=k).tolist()
    session.history.append({"stage": "split", "epoch": 1, "cluster_sizes": sizes})
    session.report("split", 1, 1, {f"cluster {i}": size for i, size in enumerate(sizes)})
    session.finish("split")
