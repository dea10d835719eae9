"""The training configuration: frozen dataclasses read from TOML. What a key means is said here and nowhere else.

A file may hold ``[profiles.NAME]`` tables: they are merged over the rest when that profile is asked for. Unknown keys
are refused by name. `Config.digest` goes into every artefact.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ditmos.datasets.splits import SplitKind
from ditmos.errors import DitmosError
from ditmos.model.spec import BranchSpec, NetworkSpec

Features = Literal["none", "log-mel", "log-bands"]
Standardise = Literal["none", "subject"]

_SHIPPED = resources.files("ditmos") / "training" / "configs"


@dataclass(frozen=True)
class DataConfig:
    """``file``: the dataset, unless one is named on the command line. The split: see `ditmos.datasets.splits`.

    features: made of every window, see `ditmos.frontends.log_mel` and `ditmos.frontends.log_bands`. standardise:
    subject puts each person's features on a scale of their own (`ditmos.datasets.features`).
    """

    file: str = ""
    split: SplitKind = "file"
    test: float = 0.2
    validation: float = 0.15
    split_seed: int = 0
    features: Features = "none"
    standardise: Standardise = "none"


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of every training window; 0 switches one off.

    scale: standard deviation of the log of a factor per window. shift: largest shift in rows, edges repeated.
    noise: standard deviation, in units of each channel's own deviation. rotate: largest angle in degrees about a
    random axis, for channels in threes (accelerometer, gyroscope). mask: largest number of rows, and of channels, set
    to the mean (log-mel).
    """

    scale: float = 0.0
    shift: int = 0
    noise: float = 0.0
    rotate: float = 0.0
    mask: int = 0


@dataclass(frozen=True)
class NetworkConfig:
    """A `NetworkSpec` without what the data decide: window, channels and classes."""

    classifier: BranchSpec
    selector: BranchSpec | None = None
    classifiers: int = 6
    start: int = 0
    aggregate: tuple[int, ...] = ()
    dropout: float = 0.2

    def spec(self, window: int, channels: int, classes: int) -> NetworkSpec:
        return NetworkSpec(
            window, channels, classes, self.classifiers, self.classifier, self.selector, self.start, self.aggregate
        )


@dataclass(frozen=True)
class Schedule:
    """How one stage is optimised.

    optimizer: sgd (momentum 0.9, Nesterov) or adamw. decay: step multiplies the rate by ``factor`` every ``every``
    epochs; one-cycle rises to ``lr`` in the first 30 % of the steps and falls to 0 as a cosine.
    """

    epochs: int
    lr: float
    batch: int = 8
    optimizer: Literal["sgd", "adamw"] = "sgd"
    weight_decay: float = 1e-4
    decay: Literal["step", "one-cycle"] = "step"
    factor: float = 0.5
    every: int = 10
    smoothing: float = 0.0


@dataclass(frozen=True)
class StrongConfig:
    """Widths and kernels of the strong network's convolutions, its hidden layer, its training."""

    schedule: Schedule = Schedule(epochs=50, lr=0.005, factor=0.2, every=20)
    widths: tuple[int, ...] = (64, 64, 32, 32, 32, 16)
    kernels: tuple[int, ...] = (15, 13, 9, 9, 5, 5)
    hidden: int = 128


@dataclass(frozen=True)
class SplittingConfig:
    """What each classifier is pre-trained on.

    by: features (a cluster of K-means in the strong network's features), random (a K-th of the windows), or none (all
    of them; the classifiers then differ by their start alone). n_init: starts of K-means.
    """

    by: Literal["features", "random", "none"] = "features"
    n_init: int = 50


@dataclass(frozen=True)
class AdversarialConfig:
    """``rounds`` of (selector epochs, classifier epochs) and the weights of the four terms of METHOD's loss."""

    rounds: int = 40
    selector_epochs: int = 6
    classifier_epochs: int = 6
    schedule: Schedule = Schedule(epochs=0, lr=0.001, factor=0.5, every=30)
    union: float = 0.1
    overlap: float = 0.03
    single: float = 0.1
    selection: float = 1.0


@dataclass(frozen=True)
class MixtureConfig:
    """Selector and classifiers together, as a mixture of experts; 0 epochs: not at all (the paper has no such stage).

    balance: weight of the penalty on classifiers that are seldom chosen. distill: share of the loss that follows the
    strong network's soft answers at ``temperature``.
    """

    schedule: Schedule = Schedule(epochs=0, lr=0.01, optimizer="adamw", decay="one-cycle")
    balance: float = 0.0
    distill: float = 0.0
    temperature: float = 2.0


@dataclass(frozen=True)
class Config:
    """One training run.

    metric: what the model is chosen by on the validation part; balanced is the mean recall of the classes, and batches
        then draw every class equally often.
    recipe: which stages, in which order (`ditmos.paper.recipe`).
    """

    network: NetworkConfig
    task: str = ""
    seed: int = 0
    threads: int = 2
    device: str = "cpu"
    compiled: bool = True
    recipe: str = "paper"
    metric: Literal["accuracy", "balanced"] = "accuracy"
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    strong: StrongConfig = field(default_factory=StrongConfig)
    splitting: SplittingConfig = field(default_factory=SplittingConfig)
    classifiers: Schedule = Schedule(epochs=30, lr=0.01, factor=0.5, every=6)
    selector: Schedule = Schedule(epochs=20, lr=0.01, factor=0.5, every=8)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)

    @property
    def digest(self) -> str:
        """SHA-256 of the configuration, with every default spelt out, but not of where the data file lies."""
        values = asdict(self)
        del values["data"]["file"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def to_toml(self) -> str:
        return "\n".join(_toml(asdict(self), ())) + "\n"


def names() -> list[str]:
    """Configurations that come with the package."""
    return sorted(item.name[:-5] for item in _SHIPPED.iterdir() if item.suffix == ".toml")


def load(name: str | Path, profile: str | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a TOML file, or one that comes with the package, by its name.

    overrides: nested tables merged last, for example ``{"data": {"split": "random"}}``.

    Raises:
        DitmosError: no such file or profile, TOML that cannot be parsed, an unknown key, a value of the wrong type.
    """
    path = Path(name)
    shipped = _SHIPPED / f"{name}.toml"
    if path.is_file():
        text, where = path.read_text("utf-8", errors="replace"), str(path)
    elif path.name == str(name) and not path.suffix and shipped.is_file():
        text, where = shipped.read_text("utf-8"), str(name)
    else:
        raise DitmosError(f"{name}: no such configuration, expected a TOML file or one of {', '.join(names())}")
    content = _parse(text, where)
    profiles = content.pop("profiles", {})
    if profile is not None:
        if profile not in profiles:
            raise DitmosError(f"{where}: no profile {profile!r}, expected one of {', '.join(profiles) or 'none'}")
        content = merge(content, profiles[profile])
    return from_dict(merge(content, overrides or {}), where)


def from_toml(text: str, where: str) -> Config:
    """Inverse of `Config.to_toml`. Raises DitmosError."""
    return from_dict(_parse(text, where), where)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DitmosError(f"{where}: {error}") from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged key by key; anything else in ``over`` replaces what is in ``base``."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if both else value
    return result


def setting(text: str) -> dict[str, Any]:
    """``"data.split=random"`` -> ``{"data": {"split": "random"}}``; the value is TOML, or else a bare string.

    Raises:
        DitmosError: no key before the first ``=``.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise DitmosError(f"setting {text!r}, expected KEY=VALUE")
    try:
        return tomllib.loads(f"{key} = {value}")
    except tomllib.TOMLDecodeError:
        return _parse(f"{key} = {json.dumps(value)}", f"setting {text!r}")


def from_dict(content: Mapping[str, Any], where: str = "config") -> Config:
    """Check and convert what TOML gives. Raises DitmosError naming key, value and what was expected."""
    config = convert(content, Config, where)
    _check(config, where)
    return config


def _check(config: Config, where: str) -> None:
    def need(ok: bool, what: str) -> None:
        if not ok:
            raise DitmosError(f"{where}: {what}")

    for name, schedule in (
        ("strong.schedule", config.strong.schedule),
        ("classifiers", config.classifiers),
        ("selector", config.selector),
        ("mixture.schedule", config.mixture.schedule),
        ("adversarial.schedule", config.adversarial.schedule),
    ):
        need(schedule.epochs >= 0, f"{name}.epochs is {schedule.epochs}, expected 0 or more")
        need(schedule.batch >= 2, f"{name}.batch is {schedule.batch}, expected 2 or more (batch normalisation)")
        need(schedule.lr > 0, f"{name}.lr is {schedule.lr}, expected more than 0")
        need(schedule.every >= 1, f"{name}.every is {schedule.every}, expected 1 or more")
        need(0 <= schedule.smoothing < 1, f"{name}.smoothing is {schedule.smoothing}, expected 0 to below 1")
    strong = config.strong
    need(len(strong.widths) == len(strong.kernels) > 0, "strong: widths and kernels differ in number, or are empty")
    need(config.threads >= 1, f"threads is {config.threads}, expected 1 or more")
    need(config.splitting.n_init >= 1, f"splitting.n_init is {config.splitting.n_init}, expected 1 or more")
    need(0 <= config.network.dropout < 1, f"network.dropout is {config.network.dropout}, expected 0 to below 1")
    need(0 <= config.mixture.distill <= 1, f"mixture.distill is {config.mixture.distill}, expected 0 to 1")
    for name in ("rounds", "selector_epochs", "classifier_epochs"):
        value = getattr(config.adversarial, name)
        need(value >= 0, f"adversarial.{name} is {value}, expected 0 or more")


def convert(value: Any, kind: Any, where: str, key: str = "") -> Any:
    """``value`` from TOML as ``kind``: a dataclass, mapping, tuple, union, literal or scalar. Raises DitmosError."""

    def wrong(expected: str) -> DitmosError:
        return DitmosError(f"{where}{key and ': '}{key} is {value!r}, expected {expected}")

    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise wrong("a table")
        hints, prefix = get_type_hints(kind), f"{key}." if key else ""
        unknown = [name for name in value if name not in hints]
        if unknown:
            raise DitmosError(f"{where}: unknown key {prefix}{unknown[0]}, expected one of {', '.join(hints)}")
        items = {name: convert(item, hints[name], where, prefix + name) for name, item in value.items()}
        try:
            return kind(**items)
        except TypeError:
            missing = [f.name for f in fields(kind) if f.name not in items and _required(f)]
            raise DitmosError(f"{where}: {prefix}{missing[0]} missing") from None
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else convert(value, args[0], where, key)
    if origin is Literal:
        if value not in args:
            raise wrong(f"one of {', '.join(map(str, args))}")
        return value
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise wrong("a table")
        return dict(value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise wrong("a list")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise wrong(f"a list of {len(args)}")
        return tuple(convert(item, args[0], where, f"{key}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise wrong({int: "an integer", float: "a number", str: "a string", bool: "true or false"}[kind])
    return value


def _required(item: Field) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _toml(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """A table as TOML lines: its values first, then its tables; None is left out."""
    lines = [f"[{'.'.join(path)}]"] if path else []
    lines += [f"{k} = {_literal(v)}" for k, v in table.items() if v is not None and not isinstance(v, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += ["", *_toml(value, (*path, key))]
    return lines


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_literal(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)  # strings, numbers and booleans are written alike
