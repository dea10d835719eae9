"""Every choice of a training, as one small TOML file can set them; what a key means is said at its dataclass.

```toml
[data]      # ditmos.training.data.DataConfig
split = "subject"

[views]     # ditmos.training.views.ViewConfig
rotate = 40.0

[teachers]  # ditmos.training.teachers.TeacherConfig
[search]    # SearchConfig
[network]   # ShapeConfig: no search
[fit]       # ditmos.training.fit.FitConfig
[int8]      # Int8Config
[specialists]  # SpecialistsConfig, for that method alone
[paper]     # ditmos.paper.config, for the method of the paper alone
```
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ditmos.errors import DitmosError
from ditmos.model.spec import NetworkSpec
from ditmos.training.data import DataConfig
from ditmos.training.fit import FitConfig
from ditmos.training.shapes import build
from ditmos.training.space import known_family
from ditmos.training.teachers import TeacherConfig
from ditmos.training.typed_toml import check_ranges, convert, merge, paths
from ditmos.training.views import ViewConfig

Method = Literal["best", "wide", "exit", "paper", "forest", "forest-first", "specialists", "linear"]
FAMILY = {  # that a method searches, unless told otherwise
    "best": "routed-exit", "forest-first": "routed-exit", "wide": "wide", "exit": "exit", "specialists": "wide",
}  # fmt: skip


@dataclass(frozen=True)
class SearchConfig:
    """Which shape: successive halving over ``count`` candidates; with 0, a template made as wide as the budget allows.

    family: what is drawn (`ditmos.training.space.FAMILIES`); "": what the method stands for. keep: each further round
    keeps one in so many. rounds: epochs of each, as fractions of ``epochs`` (0: of the network's). folds: candidates
    are judged by a cross-validation of so many folds over training and validation windows
    (`ditmos.datasets.splits.folds`), for where few people validate; 0: on the validation part. bands: the channels are
    those of a spectrum, so short kernels in time suffice.
    """

    family: str = ""
    count: int = 12
    keep: int = 3
    rounds: tuple[float, ...] = (0.15, 0.4)
    epochs: float = 0
    folds: int = 0
    bands: bool = False


@dataclass(frozen=True)
class ShapeConfig:
    """A shape that is given (`ditmos.training.shapes.build`); no ``classifier``: it is searched for."""

    classifier: str = ""
    selector: str = ""
    classifiers: int = 1
    start: int = 0
    aggregate: tuple[int, ...] = ()
    exit: bool = False

    def spec(self, geometry: tuple[int, int, int]) -> NetworkSpec:
        return build(
            geometry, self.classifier, selector=self.selector, classifiers=self.classifiers, start=self.start,
            aggregate=self.aggregate, exit=self.exit,
        )  # fmt: skip


@dataclass(frozen=True)
class Int8Config:
    """How the network becomes integers (`ditmos.quantize`): rules of clipping to choose from, and epochs of
    fine-tuning, of which validation keeps the best."""

    clips: tuple[str, ...] = ("error", "largest")
    epochs: int = 4


@dataclass(frozen=True)
class SpecialistsConfig:
    """Specialists behind a forest (`ditmos.forest.specialists`). count: how many. folds: of the training people, for
    votes on windows that the voting trees have not seen. asked: share of the windows that the network's size is chosen
    for."""

    count: int = 8
    folds: int = 5
    asked: float = 0.2


@dataclass(frozen=True)
class Settings:
    """threads: of torch; more than there are free cores is much slower. refit: forest and
    specialists learn once more with the validation people, where more people help (`ditmos.forest.refit`)."""

    data: DataConfig = field(default_factory=DataConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    teachers: TeacherConfig = field(default_factory=TeacherConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    network: ShapeConfig = field(default_factory=ShapeConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    int8: Int8Config = field(default_factory=Int8Config)
    specialists: SpecialistsConfig = field(default_factory=SpecialistsConfig)
    paper: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 2
    refit: bool = False

    @property
    def digest(self) -> str:
        """SHA-256, with every default spelt out."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def family(self, method: Method) -> str:
        return self.search.family or FAMILY[method]

    def checked(self, content: Mapping[str, Any], where: str) -> Settings:
        """With what a TOML file says. Raises DitmosError: an unknown key, a wrong value."""
        settings: Settings = convert(merge(asdict(self), content), Settings, where)
        check(settings, where)
        return settings

    def changed(self, content: Mapping[str, Any], method: Method, where: str) -> Settings:
        """`checked`, for one method. Raises DitmosError for a key that it does not read, too."""
        settings = self.checked(content, where)
        for key in paths(content):
            if reason := _unread(key, settings, method):
                raise DitmosError(f"{where}: {key} is set, but {reason}; leave it out")
        return settings


def only_read(content: Mapping[str, Any], method: Method, settings: Settings | None = None) -> dict[str, Any]:
    """What a method reads of settings that several share; ``settings``: those beside them."""
    settings = (settings or Settings()).checked(content, "settings")

    def kept(table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        found = {}
        for name, item in table.items():
            if isinstance(item, Mapping):
                found[name] = kept(item, f"{prefix}{name}.")
            elif not _unread(prefix + name, settings, method):
                found[name] = item
        return found

    return kept(content, "")


_GROWING = ("stem", "delta", "own_rate")  # of fit: several classifiers from one
_ROUTING = (  # of fit
    "capacity", "noise", "clusters", "balance", "mixture", "union", "overlap", "single", "selection",
)  # fmt: skip
_ONE_BRANCH = ("wide", "specialists")
_SHAPES = {  # of network: methods that have nothing of the kind
    "classifiers": (*_ONE_BRANCH, "exit"), "selector": _ONE_BRANCH, "start": _ONE_BRANCH, "aggregate": _ONE_BRANCH,
    "exit": _ONE_BRANCH,
}  # fmt: skip


def _unread(key: str, settings: Settings, method: Method) -> str | None:
    """Why this training does not read a key, or None."""
    table, _, name = key.partition(".")
    if key == "refit":
        return None if method in ("forest", "forest-first", "specialists") else f"method {method} does not learn again"
    if method == "paper":
        return None if table in ("data", "int8", "paper", "threads") else "method paper has no such choice"
    if key == "data.features" and method != "linear":
        return f"method {method} reads rows; linear reads features"
    if method == "linear":
        return None if table in ("data", "int8", "threads") else "method linear has no such choice"
    if method == "forest":
        read = table in ("data", "threads") or (table == "views" and name not in ("count", "mixed"))
        return None if read else "method forest has no such choice"
    if method == "forest-first":  # settings of its network
        return _unread(key, settings, "best")
    if table == "paper":
        return f"method {method} is not that of the paper"
    if table == "specialists" and method != "specialists":
        return f"method {method} has no specialists"
    unrouted = name in _ROUTING or (name in _GROWING and method != "specialists")
    if table == "fit" and unrouted and method != "best":
        return f"method {method} has nothing to route"
    if table == "fit" and name == "exit" and method in ("wide", "specialists"):
        return f"method {method} has no early exit"
    given, quick = settings.network, not settings.search.count
    if table == "network" and name in _SHAPES and method in _SHAPES[name]:
        return f"method {method} has a network without"
    if table == "fit" and method == "best" and (given.classifier or quick):
        if unrouted and given.classifier and given.classifiers == 1:
            return "the network has one classifier"
        if name == "exit" and not given.exit:
            return "the network has no early exit"
    if table == "search" and given.classifier:
        return "network.classifier gives the shape"
    if table == "search" and quick and name not in ("count", "bands", *(() if method == "best" else ("family",))):
        return "search.count is 0: there is no search"
    if table == "network" and not settings.network.classifier:
        return "network.classifier is not: a shape needs one"
    return None


_RANGES = {
    "0 or more": (
        "teachers.planar", "search.count", "search.epochs", "fit.weight_decay", "fit.delta", "fit.own_rate",
        "fit.noise", "fit.clusters", "fit.balance", "fit.exit", "fit.union", "fit.overlap", "fit.single",
        "fit.selection", "int8.epochs", "data.split_seed", "views.rotate", "views.shift",
        "views.scale", "views.noise", "views.mask", "views.stretch", "views.warp", "views.offset",
    ),
    "1 or more": ("views.count", "teachers.count", "teachers.epochs", "search.keep", "network.classifiers", "threads"),
    "2 or more": ("teachers.batch", "fit.batch", "specialists.count", "specialists.folds"),
    "0, or 2 or more": ("search.folds",),
    "a number above 0": ("fit.epochs", "fit.lr", "fit.capacity", "teachers.lr"),
    "0 to below 1": (
        "fit.dropout", "fit.decay", "fit.stem", "teachers.dropout", "teachers.decay", "teachers.smoothing",
    ),
    "0 to 1": ("views.mixed", "views.drop", "fit.distill", "teachers.mix"),
    "above 0, to 1": ("specialists.asked",),
}  # fmt: skip


def check(settings: Settings, where: str) -> None:
    """Raises DitmosError for a number out of its range."""
    check_ranges(settings, _RANGES, f"{where}: ")

    def need(ok: bool, key: str, value: Any, expected: str) -> None:
        if not ok:
            raise DitmosError(f"{where}: {key} is {value!r}, expected {expected}")

    mixture, rounds, teachers, clips = (
        settings.fit.mixture,
        settings.search.rounds,
        settings.teachers,
        settings.int8.clips,
    )
    need(0 <= mixture[0] <= mixture[1] <= 1, "fit.mixture", list(mixture), "fractions of the training, the larger last")
    above = bool(rounds) and all(0 < part < math.inf for part in rounds)
    need(above, "search.rounds", list(rounds), "fractions of the epochs, above 0")
    need(teachers.planar <= teachers.count, "teachers.planar", teachers.planar, f"at most {teachers.count}")
    for key in ("widths", "kernels", "planes"):
        sizes = getattr(teachers, key)
        need(all(size >= 1 for size in sizes), f"teachers.{key}", list(sizes), "1 or more each")
    odd = len(teachers.kernels) == len(teachers.widths) and all(kernel % 2 for kernel in teachers.kernels)
    need(odd, "teachers.kernels", list(teachers.kernels), f"an odd number for each of {len(teachers.widths)} widths")
    need(bool(clips), "int8.clips", list(clips), "one rule or more")
    if settings.search.family:
        known_family(settings.search.family, where)
