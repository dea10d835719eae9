"""A training on disk: from a data set to a folder with a model that is ready for a board.

    RUN/model.dtm      the model, planned
    RUN/run.json       the row: what it scores, what it costs, what was chosen and why
    RUN/settings.toml  every choice that it has read: `--config` takes it again
    RUN/network.pt     the float network
    RUN/predictions.npz  what the model says of every test window
    and, until it is finished, the folder work in RUN: unfinished work

Every file is whole at any time; a run that was stopped goes on with the numbers of one that was not.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

import ditmos
from ditmos import atomic
from ditmos import keep as keeping
from ditmos.atomic import read_json, write_json
from ditmos.datasets import VALIDATION, load
from ditmos.datasets.splits import SplitKind
from ditmos.datasets.tensors import prepare
from ditmos.errors import DitmosError
from ditmos.keep import Keep
from ditmos.model.spec import NetworkSpec
from ditmos.networks.routed_network import RoutedNetwork
from ditmos.paths import commit
from ditmos.planner.budget import Budget, Taken
from ditmos.training.choose import Choice, Effort, choose, choose_data, usual_method
from ditmos.training.data import DataConfig, load_prepared
from ditmos.training.export import export, write
from ditmos.training.learn import Learned, Report, Task, quiet
from ditmos.training.results import row
from ditmos.training.settings import Method, Settings, only_read
from ditmos.training.strangers import strangers
from ditmos.training.template import usual
from ditmos.training.typed_toml import convert, merge, paths, read, render

MODEL, ROW, SETTINGS, NETWORK, WORK, REQUEST = (
    "model.dtm", "run.json", "settings.toml", "network.pt", "work", "request.json",
)  # fmt: skip
_UNBOUNDED = ("paper", "forest", "forest-first", "specialists", "linear")  # where nobody names a budget


@dataclass(frozen=True)
class Request:
    """What a user asks for. settings: of a TOML file. why: the method, where nobody named it."""

    data: Path
    budget: Budget = field(default_factory=Budget)
    method: Method = "best"
    effort: Effort = "normal"
    seed: int = 0
    split: SplitKind | None = None
    settings: Mapping[str, Any] | None = None
    where: str = "settings"  # of `settings`, for messages
    why: str = ""


def as_suits(request: Request) -> Request:
    """With the method that suits the data, for who names none. A linear model takes what it takes, and reads no setting
    of a network: who sets one, or bounds a decision, gets a network.

    Raises:
        DitmosError: data that `load` or `choose_data` refuses.
    """
    if request.budget.bounded or not set(request.settings or ()) <= {"data", "int8", "threads"}:
        return request
    dataset = load(request.data)
    data, kind, _ = choose_data(dataset, request.split or "random")  # no split changes what suits
    method, why = usual_method(dataset, data, kind)
    return replace(request, method=method, why=why)


def prepare_task(
    request: Request, keep: Keep, report: Report = quiet, *, every_channel: bool = False
) -> tuple[Task, list[Choice]]:
    """Look at the data, choose, load, split. every_channel: also those that are constant in training.

    Raises:
        DitmosError: data or settings are not as they should be.
    """
    report("data", 0.0, "")
    raw, given = load(request.data), dict(request.settings or {})
    own = given.get("data")
    own = own if isinstance(own, Mapping) else {}  # anything else is refused below
    if request.split is not None and own.get("split", request.split) != request.split:
        raise DitmosError(f"--split {request.split}: {request.where} says {own['split']!r}, expected one of the two")
    data, kind, reasons = choose_data(raw, request.split or own.get("split"))
    data = replace(data, features=request.method == "linear")
    data = convert(merge(asdict(data), own), DataConfig, request.where, "data")
    if data.split == "file" and raw.split is not None:
        for key in ("test", *(["validation"] if (raw.split == VALIDATION).any() else [])):
            if key in own:
                raise DitmosError(f"{request.where}: data.{key} is set, but the file has that part; leave it out")
    prepared = load_prepared(data, raw)
    if every_channel:
        prepared = replace(prepared, dataset=prepared.rows, whole=None, used=())
    dataset = prepared.dataset
    left_out = [name for name, used in zip(prepared.rows.channels, prepared.used, strict=False) if not used]
    if left_out:
        names = f"{', '.join(left_out[:5])}{', ...' if len(left_out) > 5 else ''}"
        reasons.append(Choice(f"without {names}", "constant in training: the network does not read it"))
    if request.why:
        reasons.append(Choice(f"method {request.method}", request.why))
    parts = prepare(dataset)
    chosen = choose(dataset, data, kind, request.effort, request.method, prepared.used)
    settings = chosen.settings.changed(given, request.method, request.where)
    budget = request.budget
    if budget.front is None:
        budget = replace(budget, front=Taken.by(prepared.front, dataset.window))
    if not budget.bounded and request.method not in _UNBOUNDED:
        most = usual((dataset.window, len(dataset.channels), dataset.classes), bands=settings.search.bands)
        budget = replace(budget, instructions=most)
        reasons.append(Choice(f"{most:,} instructions on average", "no bound on what is computed was named"))
    task = Task(
        dataset, parts, settings, budget, request.method, request.seed, keep, report, prepared.front,
        prepared.whole.signal if prepared.whole else None, prepared.used,
    )  # fmt: skip
    if request.method not in ("paper", "forest", "linear"):
        reasons += chosen.reasons
    own_keys = set(paths(given))
    return task, [choice for choice in reasons if own_keys.isdisjoint(choice.keys)]


def train(
    request: Request, out: Path, learn: Callable[[Task], Learned], *, resume: bool = False, work: Path | None = None,
    report: Report = quiet, begun: Callable[[Task, list[Choice]], None] = lambda task, reasons: None,
) -> dict[str, Any]:  # fmt: skip
    """Train, quantise, plan, verify; writes the folder and returns the row.

    Args:
        learn: `ditmos.training.learn.learn`, or another method's.
        work: where unfinished work is kept, if others share it; else in ``out``, until the run is finished.
        begun: called when everything is chosen.

    Raises:
        DitmosError: the folder holds another run, nothing keeps the budget, a disk that is full.
    """
    asked = asked_for(request)
    if (found := finished(out, asked, resume)) is not None:
        return found
    keep = Keep(work or out / WORK)
    started, before = time.monotonic(), _spent(out)
    task, reasons = prepare_task(request, keep, report)
    begun(task, reasons)  # it may refuse settings: nothing is left of that
    write_json(out / REQUEST, asked)
    torch.set_num_threads(task.settings.threads)
    try:
        learned = learn(task)
        metadata = describe(task, asked["data"])
        exported = export(task, learned.network, metadata)
        report("figures", 0.0, "")
        result, predictions = row(task, learned, exported)
        if task.settings.data.standardise == "subject" and task.front_end:
            prepared = load_prepared(task.settings.data, request.data)
            found = strangers(exported.model, exported.margins, prepared, balanced=task.balanced)
            result["strangers"] = found
        size = write(out / MODEL, exported, request.budget.flash)
        save_network(out / NETWORK, learned.network)
        predictions.save(out)
        atomic.write(out / SETTINGS, render(settings_read(task, request)).encode())
        result |= {
            "flash_bytes": size,
            "effort": request.effort,
            "chosen": [[choice.what, choice.why] for choice in reasons],
            "asked": asked,
            "origin": metadata["origin"],
            "seconds": round(before + time.monotonic() - started, 1),
        }
        write_json(out / ROW, result)
    except BaseException as error:
        if isinstance(error, DitmosError) and not (out / WORK).exists():  # nothing to go on with
            (out / REQUEST).unlink()
            with suppress(OSError):  # others may have put something there
                out.rmdir()
        else:
            write_json(out / REQUEST, asked | {"seconds": before + time.monotonic() - started})
        raise
    if work is None:
        keep.clear()
    (out / REQUEST).unlink()
    report("figures", 1.0, "")
    return result


def settings_read(task: Task, request: Request) -> dict[str, Any]:
    """Every choice that this training has read."""
    found = only_read(asdict(task.settings), task.method, task.settings)
    if task.settings.data.split == "file":  # what the file says is read only where a user has had to set it
        for key in {"test", "validation"} - set((request.settings or {}).get("data", ())):
            del found["data"][key]
    return found


def asked_for(request: Request) -> dict[str, Any]:
    """The request as a run keeps it, as JSON has it: the data by their hash and what else is said of them."""
    dataset = load(request.data)
    split = None if dataset.split is None else hashlib.sha256(dataset.split.tobytes()).hexdigest()
    said = asdict(replace(request, data=request.data.resolve(), where="", why="")) | {
        "budget": request.budget.limits, "data": dataset.sha256, "split of the data": split, "rate": dataset.fs,
        "units": dataset.units, "channels": dataset.channels,
    }  # fmt: skip
    return json.loads(json.dumps({"ditmos": 1, **said}))


def finished(out: Path, asked: Mapping[str, Any], resume: bool) -> dict[str, Any] | None:
    """The row of a finished run that goes on; None where there is something to do.

    Raises:
        DitmosError: a run in the folder that is another one, or that nobody wants to go on with.
    """
    if (out / REQUEST).exists():
        if not resume:
            raise DitmosError(f"{out}: there is an unfinished run in it; go on with --resume, or name a new folder")
        _check_same(f"{out}: it was begun", read_json(out / REQUEST), asked)
        return None
    if (out / ROW).exists():
        if not resume:
            raise DitmosError(f"{out}: there is a finished run in it, expected a new folder")
        row = read_row(out)
        _check_same(f"{out}: the finished run in it was made", row.get("asked", {}), asked)
        return row
    if resume:
        raise DitmosError(f"{out}: there is no run in it to go on with")
    return None


def _check_same(what: str, old: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises DitmosError where anything of what a run was asked for differs from what is asked for now."""
    for key, value in old.items():
        if key != "seconds" and value != asked.get(key):
            now = f", asked for is {asked[key]!r}" if key in asked else ""
            raise DitmosError(f"{what} with {key} {value!r}{now}; expected the same to go on, or a new folder")


def read_row(out: Path) -> dict[str, Any]:
    """The row of a finished run. Raises DitmosError for a file that is none."""
    row = read_json(out / ROW)
    if not isinstance(row, dict) or not {"data", "budget", "method", "int8", "test", "shape"} <= row.keys():
        raise DitmosError(f"{out / ROW}: not what ditmos train writes; train again")
    return row


def read_run(out: Path) -> tuple[dict[str, Any], Settings]:
    """Row and settings of a finished run. Raises DitmosError where there is none."""
    if not (out / ROW).exists():
        unfinished = "; the run in it is not finished, go on with --resume" if (out / REQUEST).exists() else ""
        raise DitmosError(f"{out}: no {ROW} in it, expected the folder of a finished training{unfinished}")
    return read_row(out), convert(read(out / SETTINGS), Settings, str(out / SETTINGS))


def _spent(out: Path) -> float:
    """Seconds before the run was stopped."""
    return float(read_json(out / REQUEST).get("seconds", 0.0)) if (out / REQUEST).exists() else 0.0


def describe(task: Task, raw: str) -> dict[str, Any]:
    """What the model file says of windows and origin: what it takes to feed it, and to make it again. ``raw``: hash of
    the data without front end."""
    dataset, settings = task.dataset, task.settings
    return {
        "origin": {
            "ditmos": ditmos.__version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "python": platform.python_version(),
            "git_commit": commit(),
            "settings_sha256": settings.digest,
            "method": task.method,
            "seed": task.seed,
            "data": dataset.name,
            "data_sha256": dataset.sha256,
            "raw_sha256": raw,
            "split": settings.data.split,
            "split_seed": settings.data.split_seed,
            "features": settings.data.front_end,
            "standardise": settings.data.standardise,
            "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    }


def save_network(file: Path, network: RoutedNetwork) -> None:
    state: dict[str, Any] = {"spec": network.spec.to_dict(), "mean": network.mean.tolist(), "std": network.std.tolist()}
    keeping.save(file, state | {"weights": network.state_dict()})


def load_network(file: Path) -> RoutedNetwork:
    """Inverse of `save_network`, in evaluation mode. Raises DitmosError."""
    state = keeping.load(file, "a trained network (network.pt, from `ditmos train`)")
    try:
        network = RoutedNetwork(NetworkSpec.from_dict(state["spec"]), state["mean"], state["std"])
        network.load_state_dict(state["weights"])
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise DitmosError(f"{file}: not a trained network ({error})") from None
    return network.eval().requires_grad_(False)
