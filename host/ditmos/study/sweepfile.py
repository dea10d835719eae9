"""A sweep file: which data, which networks, which seeds; every combination is one job. ``data`` and ``budget`` of a job
may be lists.

```toml
seeds = [0, 1, 2]

[fit]                       # FitConfig, for every job
epochs = 40

[data.sisfall-random]
file = "sisfall.npz"        # in the data folder
split = "random"            # see ditmos.datasets.splits
preset = "motion"           # see ditmos.training.presets

[[job]]
data = "sisfall-random"
method = "best"             # a name for the tables
budget = 100_000            # MACs
selector = "10k5s2 6k7 8k3" # shapes: see ditmos.training.shapes
classifier = "16k7 32k3 h40"
classifiers = 16
start = 1
aggregate = [2, 3]

[[job]]                     # by a recipe of ditmos.training in place of ditmos.training.fit
data = "sisfall-random"
method = "paper"
budget = 223_000
recipe = "paper"            # METHOD's networks, unless shapes are given
config.adversarial.rounds = 10 # any key of ditmos.training.config; here an ablation
```
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ditmos.errors import DitmosError
from ditmos.paths import data_folders
from ditmos.study import recipes
from ditmos.study.entries import DataEntry, Job
from ditmos.training.config import convert
from ditmos.training.fit import FitConfig
from ditmos.training.presets import preset
from ditmos.training.space import known_family


@dataclass(frozen=True)
class SweepFile:
    """``jobs``: one per seed. ``fit``: what they share."""

    data: Mapping[str, DataEntry]
    jobs: tuple[Job, ...]
    fit: FitConfig

    def fit_of(self, job: Job) -> FitConfig:
        """Raises DitmosError: a wrong key or value, in a job that was not read from a file."""
        own = dict(self.data[job.data].fit) | dict(job.fit)
        return _fit(self.fit, own, f"job {job.method} on {job.data}")

    def key(self, job: Job) -> str:
        """Names a job in file names, and changes with everything that changes its result."""
        source = asdict(self.data[job.data])
        del source["fit"]  # part of fit_of
        views = asdict(preset(self.data[job.data].preset))
        text = json.dumps([asdict(job), source, views, asdict(self.fit_of(job))], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return f"{job.data}-{job.method}-{job.budget}-s{job.seed}-{digest}"


def data_folder(name: Path | None = None) -> Path:
    """``name``, else the first of :func:`ditmos.paths.data_folders`."""
    folders = [name] if name else data_folders()
    if not folders or not folders[0].is_dir():
        where = f"{folders[0]}: no such folder" if folders else "no folder"
        raise DitmosError(f"{where} of data sets; name one with --data-folder or DITMOS_DATA")
    return folders[0].resolve()


def read(file: Path) -> SweepFile:
    """Raises DitmosError naming the key that is wrong."""
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        raise DitmosError(f"{file}: cannot be read ({error.strerror or error})") from None
    except tomllib.TOMLDecodeError as error:
        raise DitmosError(f"{file}: {error}") from None
    return parse(content, str(file))


def parse(content: Mapping[str, Any], where: str = "sweep") -> SweepFile:
    """What TOML gives -> jobs. Raises DitmosError."""
    unknown = set(content) - {"seeds", "fit", "data", "job"}
    if unknown:
        raise DitmosError(f"{where}: unknown key {min(unknown)}, expected seeds, fit, data, job")
    seeds = _seeds(content.get("seeds", [0]), where)
    tables = convert(content.get("data", {}), Mapping[str, Any], where, "data")
    data = {name: _source(table, f"{where}: data.{name}") for name, table in tables.items()}
    fit = _fit(FitConfig(), convert(content.get("fit", {}), Mapping[str, Any], where, "fit"), where)
    common = {name: _fit(fit, source.fit, f"{where}: data.{name}") for name, source in data.items()}
    jobs = []
    for i, given in enumerate(_listed(content.get("job", []))):
        at = f"{where}: job {i + 1}"
        if not isinstance(given, Mapping):
            raise DitmosError(f"{at} is {given!r}, expected a table")
        table = dict(given)
        own = _seeds(table.pop("seeds", seeds), at)
        for name, budget in itertools.product(_listed(table.get("data")), _listed(table.get("budget"))):
            if not isinstance(name, str) or name not in data:
                raise DitmosError(f"{at}: data is {name!r}, expected one of {', '.join(data) or 'none defined'}")
            one = {**table, "data": name, "budget": budget}
            jobs += [convert({**one, "seed": seed}, Job, at) for seed in own]
            _check(jobs[-1], data[name], at)
            _fit(common[name], jobs[-1].fit, at)
    jobs.sort(key=lambda job: job.seed)  # the first seed makes what the others use
    return SweepFile(data, tuple(jobs), fit)


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _seeds(value: Any, where: str) -> list[int]:
    if not isinstance(value, list) or not value or not all(type(seed) is int and seed >= 0 for seed in value):
        raise DitmosError(f"{where}: seeds is {value!r}, expected a list of integers, 0 or more each")
    return value


def _least(of: DataEntry | Job | FitConfig, least: Mapping[str, int], at: str) -> None:
    """Raises DitmosError for a number below the least that it may be, or infinite."""
    for key, limit in least.items():
        if not limit <= getattr(of, key) < math.inf:
            raise DitmosError(f"{at}: {key} is {getattr(of, key)!r}, expected {limit} or more")


def _positive(of: Job | FitConfig, keys: Iterable[str], at: str) -> None:
    """Raises DitmosError for a number that is not above 0, or infinite."""
    for key in keys:
        if not 0 < getattr(of, key) < math.inf:
            raise DitmosError(f"{at}: {key} is {getattr(of, key)}, expected a number above 0")


def _source(table: Any, at: str) -> DataEntry:
    source = convert(table, DataEntry, at)
    preset(source.preset)
    _least(source, {"views": 1, "teachers": 1, "planar_teachers": 0, "teacher_epochs": 1, "split_seed": 0}, at)
    if source.planar_teachers > source.teachers:
        raise DitmosError(f"{at}: planar_teachers is {source.planar_teachers}, expected at most {source.teachers}")
    if not 0 <= source.mixed <= 1:
        raise DitmosError(f"{at}: mixed is {source.mixed}, expected 0 to 1")
    if source.folds != 0 and source.folds < 2:
        raise DitmosError(f"{at}: folds is {source.folds}, expected 0, or 2 or more")
    return source


def _check(job: Job, source: DataEntry, at: str) -> None:
    _least(job, {"budget": 1, "count": 1, "keep": 1, "fill": 0, "ram": 0, "flash": 0, "finetune": 0}, at)
    if "/" in job.data + job.method:
        raise DitmosError(f"{at}: {job.method} on {job.data}, expected names without /, for files")
    _positive(job, ["widths"], at)
    if not job.rounds or not all(0 < fraction < math.inf for fraction in job.rounds):
        raise DitmosError(f"{at}: rounds is {list(job.rounds)}, expected fractions of the epochs, each above 0")
    if job.recipe:
        recipes.settings(job, source, at)
    elif bool(job.classifier) == bool(job.family) or job.config:
        raise DitmosError(f"{at}: expected one of classifier, family and recipe; config needs a recipe")
    elif job.family:
        known_family(job.family, at)


def _fit(base: FitConfig, change: Mapping[str, Any], at: str) -> FitConfig:
    """``base`` with some keys changed. Raises DitmosError: a wrong key or value."""
    at = f"{at}: fit"
    fit = convert(asdict(base) | dict(change), FitConfig, at)
    _positive(fit, ("epochs", "lr", "capacity"), at)
    _least(fit, {"batch": 2}, at)  # for batch normalisation
    free = ("weight_decay", "delta", "own_rate", "noise", "clusters", "balance", "exit")
    _least(fit, dict.fromkeys(free, 0), at)
    for key in ("dropout", "decay", "stem"):
        if not 0 <= getattr(fit, key) < 1:
            raise DitmosError(f"{at}: {key} is {getattr(fit, key)}, expected 0 to below 1")
    if not 0 <= fit.distill <= 1:
        raise DitmosError(f"{at}: distill is {fit.distill}, expected 0 to 1")
    if not 0 <= fit.mixture[0] <= fit.mixture[1] <= 1:
        raise DitmosError(f"{at}: mixture is {list(fit.mixture)}, expected fractions of the training, the larger last")
    return fit
