"""One job of a sweep: its network, trained, quantised and scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ditmos.atomic import read_json
from ditmos.datasets import Dataset
from ditmos.model.spec import NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import choose, front
from ditmos.quantize import quantize
from ditmos.study import recipes, rivals, routed
from ditmos.study.entries import Job
from ditmos.study.shared import ensure_pool, ensure_search, load_parts, load_pool
from ditmos.study.sweepfile import SweepFile
from ditmos.training import checkpoint, evaluation
from ditmos.training.data import Parts, Windows
from ditmos.training.fit import fit
from ditmos.training.networks import RoutedNetwork
from ditmos.training.score import Score, answer_float, answer_integer, pick_margins, score, value, worst_macs
from ditmos.training.shapes import describe


def run_job(
    sweep: SweepFile, job: Job, folder: Path, out: Path, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Any]:
    """Train, quantise, score; writes ``out``/models/KEY.dtm and returns the row that the sweep keeps.

    The trained network stays in ``out``/networks: a job whose row was deleted is quantised and scored anew, no more.
    The margins of its policy are chosen on the validation windows, in integers; test windows give figures only.
    ``routing``: `ditmos.study.routed.figures`, float. ``plans``: arena bytes and estimated instructions of the
    planner's front, of which the model file has the fastest, or the fastest within the job's ``ram``.
    """
    torch.set_num_threads(1)
    started = time.monotonic()
    source, key = sweep.data[job.data], sweep.key(job)
    dataset, parts = load_parts(source, folder)
    balanced = source.metric == "balanced"
    if job.classifier in ("forest", "mlp"):
        found = rivals.learn(job.classifier, parts.train, parts.test, job.seed, balanced=balanced)
        return _common(sweep, job, dataset) | _handmade_row(found, parts.test, balanced, dataset.classes, started)
    network, how = _trained(sweep, job, folder, out, dataset, parts, progress)
    spec = network.spec
    model, _ = quantize(
        network, parts.train, parts.validation, signal=dataset.signal,
        epochs=job.finetune, seed=job.seed, metric=evaluation.balanced if balanced else None,
    )  # fmt: skip
    plans = front(spec, model)
    chosen = choose(plans, job.ram or None)
    flash = write_model(out / "models" / f"{key}.dtm", model, chosen.plan)

    margins = pick_margins(answer_integer(model, parts.validation), job.budget, balanced=balanced)

    def evaluate(windows: Windows) -> tuple[dict[str, Any], Score]:
        """What the row says of these windows, and the score in integers."""
        answers = answer_float(network, windows)
        real = score(answers, margins, balanced=balanced)
        integer = score(answer_integer(model, windows), margins, balanced=balanced)
        return {
            "float": real.value,
            "int8": integer.value,
            "macs": integer.macs,
            "exits": integer.exits,
            "runs": integer.runs,
            "union": real.union,
            "usage": integer.usage,
            "classifier": real.classifier,
            "routing": routed.figures(answers),
            "windows": len(windows),
        }, integer

    validation, _ = evaluate(parts.validation)
    test, integer = evaluate(parts.test)
    return (
        _common(sweep, job, dataset)
        | how
        | {
            "shape": describe(spec),
            "network": spec.to_dict(),
            "validation": validation,
            "test": test,
            "margins": asdict(margins),
            "worst_macs": worst_macs(spec, margins),
            "arena_bytes": chosen.arena,
            "plans": [(plan.arena, plan.instructions) for plan in plans],
            "flash_bytes": flash,
            "confusion": _confusion(parts.test, integer.predicted, dataset.classes),
            "seconds": how["seconds"] | {"all": round(time.monotonic() - started, 1)},
        }
    )


def _trained(
    sweep: SweepFile, job: Job, folder: Path, out: Path, dataset: Dataset, parts: Parts,
    progress: Callable[[float], None],
) -> tuple[RoutedNetwork, dict[str, Any]]:  # fmt: skip
    """The job's network, and what the row says of its training; both are kept in ``out``/networks/KEY.pt."""
    key, source, started = sweep.key(job), sweep.data[job.data], time.monotonic()
    kept = out / "networks" / f"{key}.pt"
    if kept.exists():
        state = checkpoint.load(kept, "a trained network of a sweep")
        network = RoutedNetwork(NetworkSpec.from_dict(state["network"]), parts.mean, parts.std)
        network.load_state_dict(state["weights"])
        return network.eval().requires_grad_(False), state["how"]
    curve: list[tuple[float, float]] = []
    if job.recipe:
        interim = out / "checkpoints" / f"{key}.pt"
        network, how = recipes.fit(recipes.settings(job, source), dataset, parts, interim, progress, curve)
    else:
        file = ensure_pool(source, folder, out / "pools")
        if job.family:
            spec = NetworkSpec.from_dict(ensure_search(sweep, job, folder, out)[0]["network"])
        else:
            spec = job.spec((dataset.window, len(dataset.channels), dataset.classes))
        started = time.monotonic()
        network = fit(spec, load_pool(file), sweep.fit_of(job), job.seed, progress, curve)
        how = {"fit": asdict(sweep.fit_of(job)), "teacher": read_json(file.with_suffix(".json"))}
    how |= {
        "curve": [(round(epoch, 2), round(loss, 4)) for epoch, loss in curve],
        "seconds": {"training": round(time.monotonic() - started, 1)},
    }
    checkpoint.save(kept, {"network": network.spec.to_dict(), "weights": network.state_dict(), "how": how})
    return network, how


def _common(sweep: SweepFile, job: Job, dataset: Dataset) -> dict[str, Any]:
    source = sweep.data[job.data]
    return {
        "key": sweep.key(job),
        "data": job.data,
        "split": source.split,
        "metric": source.metric,
        "method": job.method,
        "budget": job.budget,
        "seed": job.seed,
        "class_names": list(dataset.class_names),
    }


def _handmade_row(
    found: rivals.Handmade, test: Windows, balanced: bool, classes: int, started: float
) -> dict[str, Any]:
    """``board``: instructions of the model alone on the simulated board, or why there are none."""
    y = test.y.numpy()
    return {
        "shape": found.shape,
        "test": {
            "float": value(found.original == y, y, balanced),
            "int8": value(found.converted == y, y, balanced),
            "macs": found.macs,
            "exits": 0.0,
            "runs": 1.0,
            "union": None,
            "usage": (1.0,),
            "classifier": (),
            "windows": len(y),
        },
        "worst_macs": found.macs,
        "feature_macs": found.feature_macs,
        "arena_bytes": found.ram,
        "flash_bytes": found.flash,
        "board": found.board if isinstance(found.board, str) else asdict(found.board),
        "confusion": _confusion(test, found.converted, classes),
        "seconds": {"training": round(time.monotonic() - started, 1), "all": round(time.monotonic() - started, 1)},
    }


def _confusion(test: Windows, predicted: NDArray[np.int64], classes: int) -> list[list[int]]:
    """Counts: rows are true classes, columns predicted ones."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (test.y.numpy(), predicted), 1)
    return table.tolist()
