"""What jobs of a sweep share and the first one that needs it makes: parts of the data, pools, searched shapes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ditmos.atomic import read_json, write_json
from ditmos.datasets import TRAIN, Dataset
from ditmos.datasets.splits import folds
from ditmos.locks import locked
from ditmos.study.entries import DataEntry, Job
from ditmos.study.sweepfile import SweepFile
from ditmos.training.data import Parts, Windows, prepare
from ditmos.training.pool import Pool, PoolConfig, build, load, pool_key, save
from ditmos.training.presets import preset
from ditmos.training.score import value
from ditmos.training.search import Fold, Trial, search
from ditmos.training.space import Budget
from ditmos.training.teachers import Teachers


def pool_config(source: DataEntry) -> PoolConfig:
    found = preset(source.preset).pool
    teacher = replace(found.teacher, count=source.teachers, planar=source.planar_teachers, epochs=source.teacher_epochs)
    return replace(found, teacher=teacher, views=source.views, mixed=source.mixed, balanced=source.metric == "balanced")


def teacher_figures(teachers: Teachers, pool: Pool, judged: Mapping[str, Windows], balanced: bool) -> dict[str, float]:
    """Value of the averaged teachers on each of ``judged``: the ceiling that students are distilled from."""

    def of(windows: Windows) -> float:
        standard = (windows.x - pool.mean[:, None]) / pool.std[:, None]
        right = teachers(standard).argmax(1) == windows.y
        return value(right.numpy(), windows.y.numpy(), balanced)

    return {name: of(windows) for name, windows in judged.items()}


@lru_cache(maxsize=1)
def _load_parts(name: str, folder: Path) -> tuple[Dataset, Parts]:
    dataset = DataEntry(**json.loads(name)).dataset(folder)
    return dataset, prepare(dataset)


def load_parts(source: DataEntry, folder: Path) -> tuple[Dataset, Parts]:
    """The data with its split and its three parts; the last one asked for stays in memory."""
    others = ("fit", "teachers", "planar_teachers", "teacher_epochs", "views", "mixed", "folds")
    keys = {key: value for key, value in asdict(source).items() if key not in others}
    return _load_parts(json.dumps(keys, sort_keys=True), folder)


def ensure_pool(
    source: DataEntry, folder: Path, cache: Path, progress: Callable[[float], None] = lambda done: None
) -> Path:
    """The file of the pool for this data, made if it is not there; the teachers' figures lie beside it."""
    dataset, parts = load_parts(source, folder)
    judged = {"validation": parts.validation, "test": parts.test}
    return _ensure_pool(source, dataset, parts.train, judged, cache, progress)


def ensure_folds(source: DataEntry, folder: Path, cache: Path) -> list[Fold]:
    """What a search learns from and is judged by: with ``source.folds``, parts of training and validation windows in
    turn, each with a pool of its own, whose teachers have not seen the held windows either."""
    dataset, parts = load_parts(source, folder)
    if not source.folds:
        return [Fold(load_pool(ensure_pool(source, folder, cache)), parts.validation)]
    found = []
    for part in folds(dataset, source.folds, source.split):
        own = prepare(part)
        found.append(Fold(load(_ensure_pool(source, part, own.train, {"held": own.validation}, cache)), own.validation))
    return found


def _ensure_pool(
    source: DataEntry, dataset: Dataset, train: Windows, judged: Mapping[str, Windows], cache: Path,
    progress: Callable[[float], None] = lambda done: None,
) -> Path:  # fmt: skip
    config = pool_config(source)
    file = cache / f"{Path(source.file).stem}-{source.split}-{pool_key(dataset, [TRAIN], config)}.pt"
    with locked(file):
        if not file.exists():
            made, teachers = build(train, dataset.classes, config, progress)
            write_json(file.with_suffix(".json"), teacher_figures(teachers, made, judged, config.balanced))
            save(made, file)
    return file


@lru_cache(maxsize=1)
def load_pool(file: Path) -> Pool:
    return load(file)


def ensure_search(
    sweep: SweepFile, job: Job, folder: Path, out: Path, report: Callable[[Trial], None] = lambda trial: None
) -> list[dict[str, Any]]:
    """Every trial of the job's family, the one that validation likes best first; they are kept in ``out``/searches.

    One search serves all seeds; it trains as the data say, whatever the job's own ``fit``. Raises DitmosError where no
    network fits the budget.
    """
    source, fit = sweep.data[job.data], sweep.fit_of(replace(job, fit={}))
    config = {"source": asdict(source), "preset": asdict(preset(source.preset)), "fit": asdict(fit)}
    config |= {"family": job.family, "count": job.count}
    config |= {"macs": job.budget, "ram": job.ram, "flash": job.flash, "widths": job.widths, "fill": job.fill}
    config |= {"keep": job.keep, "rounds": list(job.rounds)}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:10]
    file = out / "searches" / f"{job.data}-{job.budget}-{job.family}-{digest}.json"
    with locked(file):
        if not file.exists():
            dataset, _ = load_parts(source, folder)
            trials = search(
                job.family, (dataset.window, len(dataset.channels), dataset.classes),
                ensure_folds(source, folder, out / "pools"),
                Budget(job.budget, job.ram or None, job.flash or None, job.widths, job.fill), fit,
                count=job.count, keep=job.keep, rounds=job.rounds,
                balanced=source.metric == "balanced", spectral=preset(source.preset).spectral, report=report,
            )  # fmt: skip
            write_json(file, {"config": config, "trials": [trial.to_dict() for trial in trials]})
    return read_json(file)["trials"]
