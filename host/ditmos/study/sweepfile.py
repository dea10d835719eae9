"""A sweep file: which data, which methods, which budgets, which seeds; every combination is one training. ``data``,
``method`` and the budgets of a job may be lists.

```toml
seeds = [0, 1, 2]
effort = "normal"            # as of `ditmos train`

[settings.int8]              # any table of a settings file (ditmos.training.settings), for every job that reads it
epochs = 2

[data.sisfall-random]
file = "sisfall.npz"         # in the data folder
split = "random"
settings.fit.epochs = 120    # for every job on this data that reads it

[data.unimib]
file = "unimib_falls.npz"
split = "subject"
splits = [1, 2, 3, 4, 5]     # seeds of splits drawn anew: each a training of its own, judged together

[[job]]
data = "sisfall-random"
method = "best"              # a name for the tables, and how it is trained unless `by` says otherwise
macs = [50_000, 100_000]     # or instructions, worst; ram, flash

[[job]]
data = "sisfall-random"
method = "paper, no adversarial training"   # below `paper` in a table of its own
by = "paper"                 # best, wide, exit, paper, linear; forest-alone, forest-first, specialists;
                             # forest, mlp: of emlearn
macs = 263_000
settings.paper.adversarial.rounds = 0

[[job]]
data = "unimib"
method = "forest first, exit"
by = "forest-first"
behind = { method = "exit", instructions = 50_000 }  # the job on the same windows and seed whose network is asked
instructions = 30_000
```
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ditmos.datasets.splits import SplitKind
from ditmos.errors import DitmosError
from ditmos.paths import data_folders
from ditmos.planner.budget import Budget
from ditmos.training.choose import Effort
from ditmos.training.run import Request
from ditmos.training.settings import Method, Settings, only_read
from ditmos.training.typed_toml import convert, merge, read

NETWORKS: tuple[Method, ...] = ("best", "wide", "exit", "paper", "linear")  # methods of `ditmos train`
FORESTS: dict[str, Method] = {  # alone, or before something
    "forest-alone": "forest", "forest-first": "forest-first", "specialists": "specialists",
}  # fmt: skip
HANDMADE = ("forest", "mlp")  # of emlearn
_LIMITS = ("macs", "instructions", "worst")


@dataclass(frozen=True)
class DataEntry:
    """One data set with one split; None: as the data ask for it. splits: seeds of several, drawn anew; without, there
    is one, as the settings have it."""

    file: str
    split: SplitKind | None = None
    splits: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One training. See `Budget` for the limits (0: none). split_seed: which of the splits of its data, if there are
    several. behind: of forest-first, the key of the job whose network is asked."""

    data: str
    method: str
    by: str = ""
    macs: int = 0
    instructions: int = 0
    worst: int = 0
    ram: int = 0
    flash: int = 0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    split_seed: int | None = None
    behind: str = ""

    @property
    def way(self) -> str:
        """How it is trained."""
        return self.by or self.method

    @property
    def budget(self) -> Budget:
        return Budget(
            self.macs or None, self.instructions or None, self.worst or None, self.ram or None, self.flash or None
        )


@dataclass(frozen=True)
class SweepFile:
    """``jobs``: one per seed. ``settings``: what they share."""

    data: Mapping[str, DataEntry]
    jobs: tuple[Job, ...]
    settings: Mapping[str, Any]
    effort: Effort = "normal"

    def request(self, job: Job, folder: Path) -> Request:
        """What is trained for a job; ``folder``: where data sets lie."""
        source, method = self.data[job.data], method_of(job.way)
        own = merge({"search": {"count": 0}} if self.effort == "quick" else {}, job.settings)
        shared = only_read(merge(self.settings, source.settings), method, Settings().checked(own, "settings"))
        settings = merge(shared, job.settings)
        if job.split_seed is not None:
            settings = merge(settings, {"data": {"split_seed": job.split_seed}})
        return Request(
            folder / source.file, job.budget, method, self.effort, job.seed, source.split, settings,
            f"job {job.method} on {job.data}",
        )  # fmt: skip

    def key(self, job: Job) -> str:
        """Names a job in file names, and changes with everything that changes its result."""
        said, source = asdict(job), asdict(self.data[job.data])
        if not source["splits"]:  # keys of sweeps that were begun before there were any
            del source["splits"]
            if not job.behind:
                del said["split_seed"], said["behind"]
        text = json.dumps([said, source, self.settings, self.effort], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        data = job.data if job.split_seed is None else f"{job.data}-{job.split_seed}"
        return f"{data}-{job.method}-s{job.seed}-{digest}"


def data_folder(name: Path | None = None) -> Path:
    """``name``, else the first of :func:`ditmos.paths.data_folders`."""
    folders = [name] if name else data_folders()
    if not folders or not folders[0].is_dir():
        where = f"{folders[0]}: no such folder" if folders else "no folder"
        raise DitmosError(f"{where} of data sets; name one with --data-folder or DITMOS_DATA")
    return folders[0].resolve()


def read_sweep(file: Path) -> SweepFile:
    """Raises DitmosError naming the key that is wrong."""
    return parse(read(file), str(file))


def parse(content: Mapping[str, Any], where: str = "sweep") -> SweepFile:
    """What TOML gives -> jobs. Raises DitmosError."""
    unknown = set(content) - {"seeds", "effort", "settings", "data", "job"}
    if unknown:
        raise DitmosError(f"{where}: unknown key {min(unknown)}, expected seeds, effort, settings, data, job")
    seeds, effort = _seeds(content.get("seeds", [0]), where), convert(content.get("effort", "normal"), Effort, where)
    tables = convert(content.get("data", {}), Mapping[str, Any], where, "data")
    data = {name: convert(table, DataEntry, f"{where}: data.{name}") for name, table in tables.items()}
    settings = convert(content.get("settings", {}), Mapping[str, Any], where, "settings")
    for name, source in data.items():
        _seeds(list(source.splits) or [0], f"{where}: data.{name}", "splits")
        if source.splits and source.split in (None, "file"):
            kinds = "subject, group or random"
            raise DitmosError(f"{where}: data.{name}: split is {source.split!r}, expected {kinds}: splits are drawn")
        if source.splits and "split_seed" in source.settings.get("data", {}):
            raise DitmosError(f"{where}: data.{name}: settings.data.split_seed is set beside splits; leave it out")
    for name, source in data.items():  # a wrong key is named where it stands
        Settings().checked(merge(settings, source.settings), f"{where}: data.{name}")
    jobs: list[tuple[Job, Mapping[str, Any] | None, str]] = []
    for i, given in enumerate(_listed(content.get("job", []))):
        at = f"{where}: job {i + 1}"
        if not isinstance(given, Mapping):
            raise DitmosError(f"{at} is {given!r}, expected a table")
        table = dict(given)
        if drawn := {"seed", "split_seed"} & table.keys():
            raise DitmosError(f"{at}: {min(drawn)} is set; expected seeds here, or splits at the data")
        own, behind = _seeds(table.pop("seeds", seeds), at), table.pop("behind", None)
        axes = {key: _listed(table.get(key)) for key in ("data", "method", *_LIMITS) if key in table}
        for values in itertools.product(*axes.values()):
            one = table | dict(zip(axes, values, strict=True))
            if one.get("data") not in data:
                raise DitmosError(f"{at}: data is {one.get('data')!r}, expected one of {', '.join(data) or 'none'}")
            for split_seed, seed in itertools.product(data[one["data"]].splits or (None,), own):
                job = convert({**one, "seed": seed, "split_seed": split_seed}, Job, at)
                _check(job, at)
                jobs.append((job, behind, at))
    jobs.sort(key=lambda found: (found[0].seed, found[0].split_seed or 0))  # the first seed makes what the others use
    alone = SweepFile(data, tuple(job for job, behind, _ in jobs if behind is None), settings, effort)
    found = (job if behind is None else replace(job, behind=_asked(alone, job, behind, at)) for job, behind, at in jobs)
    return replace(alone, jobs=tuple(found))


def _asked(sweep: SweepFile, job: Job, wanted: Any, at: str) -> str:
    """Key of the one job on the same windows and seed that is as ``wanted`` says."""
    if job.way != "forest-first":
        raise DitmosError(f"{at}: behind is set, but {job.way} asks no other network; leave it out")
    table = convert(wanted, Mapping[str, Any], at, "behind")
    unknown = set(table) - {"method", "ram", "flash", *_LIMITS}
    if unknown or not table:
        named = f"unknown key behind.{min(unknown)}" if unknown else "behind is empty"
        raise DitmosError(f"{at}: {named}, expected method and, if there are several, macs, instructions or worst")
    same = [
        other for other in sweep.jobs
        if (other.data, other.split_seed, other.seed) == (job.data, job.split_seed, job.seed)
        and all(getattr(other, key) == value for key, value in table.items())
    ]  # fmt: skip
    if len(same) != 1:
        raise DitmosError(f"{at}: behind {dict(table)!r} names {len(same)} jobs on {job.data}, expected one")
    return sweep.key(same[0])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _seeds(value: Any, where: str, name: str = "seeds") -> list[int]:
    if not isinstance(value, list) or not value or not all(type(seed) is int and seed >= 0 for seed in value):
        raise DitmosError(f"{where}: {name} is {value!r}, expected a list of integers, 0 or more each")
    return value


def _check(job: Job, at: str) -> None:
    for key in (*_LIMITS, "ram", "flash"):
        if not 0 <= getattr(job, key) < math.inf:
            raise DitmosError(f"{at}: {key} is {getattr(job, key)!r}, expected 0 or more")
    if "/" in job.data + job.method:
        raise DitmosError(f"{at}: {job.method} on {job.data}, expected names without /, for files")
    ways = (*NETWORKS, *FORESTS, *HANDMADE)
    if job.way not in ways:
        raise DitmosError(f"{at}: it is trained by {job.way!r}, expected by to be one of {', '.join(ways)}")
    if job.way in HANDMADE and job.settings:
        raise DitmosError(f"{at}: {job.way} has no settings, expected none")
    if job.way not in HANDMADE:
        Settings().changed(job.settings, method_of(job.way), at)


def method_of(way: str) -> Method:
    """Of `ditmos train`, by which a job is done; a model of emlearn has the data that `best` has."""
    return cast(Method, FORESTS.get(way, "best" if way in HANDMADE else way))
