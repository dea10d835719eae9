"""Features, votes, averages and clusters of a forest on the simulated Cortex-M7: what differs, and instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from ditmos.bench import baremetal
from ditmos.errors import DitmosError
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.integers import Int16
from ditmos.frontends.section import encode
from ditmos.model.forest import Forest, both, opinions
from ditmos.model.section_forest import pack_forest

SCALE = 0.1  # of a step of a logit
HEAD = Struct("<8I")


@dataclass(frozen=True)
class Job:
    """A front end whose last operation is a Summary, a forest on it, and windows of its rows (N, window, channels). The
    forest needs clusters of votes; what it says of a network's logits is made here."""

    front: FrontEnd
    forest: Forest
    classes: int
    rows: Int16
    eighths: int = 4


@dataclass(frozen=True)
class Run:
    """Windows whose features, votes, class by both opinions, or specialist differ; instructions, mean and most, of each
    part."""

    features: int
    votes: int
    answers: int
    specialists: int
    summary_mean: int
    summary_most: int
    votes_mean: int
    votes_most: int
    both_mean: int
    both_most: int
    specialist_mean: int
    specialist_most: int

    @property
    def differing(self) -> int:
        return self.features + self.votes + self.answers + self.specialists


def build(*, portable: bool = False, folder: Path | None = None) -> Path:
    """The program that runs forests; ``portable``: without the instructions of the M7."""
    name, flags = ("forests-portable", ["-DDITMOS_PORTABLE"]) if portable else ("forests", [])
    return baremetal.build(name, [baremetal.HERE / "forests.c"], baremetal.FRONTEND_PARTS, folder=folder, flags=flags)


def run(elf: Path, jobs: Sequence[Job], timeout: float = 300) -> list[Run]:
    """Raises DitmosError: a front end or a forest is refused, or the program fails."""
    runs: list[Run] = []
    for line in baremetal.run(elf, b"".join(map(job_bytes, jobs)) + bytes(HEAD.size), timeout):
        if line.startswith("refused"):
            raise DitmosError(f"bench: forest {len(runs)} is {line}")
        runs.append(Run(*map(int, line.split())))
    if len(runs) != len(jobs):
        raise DitmosError(f"bench: {len(runs)} answers to {len(jobs)} forests")
    return runs


def job_bytes(job: Job) -> bytes:
    """The input of the programs, with what is expected; logits are drawn at random."""
    summary, clusters, count = job.front.summary, job.forest.clusters, len(job.rows)
    assert summary and clusters
    opinion = opinions(SCALE)
    front, forest = encode(job.front, 0, 0), pack_forest(replace(job.forest, opinion=opinion))
    features = summary.features(job.rows)
    votes = job.forest.walk(features, job.classes)[0]
    logits = np.random.default_rng(count).integers(-128, 128, (count, job.classes)).astype(np.int8)
    answers = both(votes, job.forest.trees, logits, opinion, job.eighths).argmax(1)
    named = clusters.nearest(votes)
    head = HEAD.pack(len(front), len(forest), *job.rows.shape[1:], job.classes, count, job.eighths, clusters.count)
    data = [head, front, forest]
    for parts in zip(job.rows, features, votes, logits, answers.astype("<u4"), named.astype("<u4"), strict=True):
        data += [_bytes(part) for part in parts]
    return b"".join(map(baremetal.padded, data))


def _bytes(part: NDArray) -> bytes:
    return np.ascontiguousarray(part).tobytes()
