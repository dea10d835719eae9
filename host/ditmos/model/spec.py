"""The shape of a routed network: what is trained, quantised, planned and run, in one description.

A *branch* (the selector, or each of the K classifiers) is a stack of layers in time: 1-D convolutions, full or
depthwise, each followed by ReLU and max-pooling, and averages over rows; then one or two fully connected layers. Map
``level`` i is the output of the i-th of them; level 0 is the window itself. A classifier starts from the window or from
a selector map, and may see further selector maps, concatenated to its own map of the same level (classifier channels
first).

K = 1 without a selector is a plain network, so that every rival runs through the same path. K = 0 is a model without a
network: a forest answers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ditmos.errors import DitmosError
from ditmos.model.layer_shape import CHANNELWISE, Branch, Kind, LayerShape, MapRef

MAX_CONVS = 12
MAX_KERNEL = 31
MAX_AVERAGE = 255
MAX_CLASSIFIERS = 64
MAX_ROWS = 65535  # that a layer reads, with padding


@dataclass(frozen=True)
class ConvSpec:
    """A layer in time: convolution, ReLU, then max-pooling of ``pool`` rows with the same stride (1: none).

    kind: "conv"; "depthwise", with a kernel of its own for each channel; "average", the mean of ``kernel`` rows of each
    channel. The last two have as many channels as they read: 0 stands for that, and kernel 0 of an average for all
    rows; `NetworkSpec` puts the numbers in. pad: rows of padding in front and behind, which hold what stands for 0.
    """

    channels: int
    kernel: int
    stride: int = 1
    pool: int = 2
    kind: Kind = "conv"
    pad: tuple[int, int] = (0, 0)

    def rows_out(self, rows_in: int) -> int:
        """Pooled rows from ``rows_in`` rows; 0 when the input is too short, or where no layer has such a stride."""
        spare = rows_in + sum(self.pad) - (self.kernel or rows_in)
        if spare < 0 or self.stride < 1 or self.pool < 1:
            return 0
        return (spare // self.stride + 1) // self.pool


def same(kernel: int) -> tuple[int, int]:
    """Padding with which a stride of 1 makes as many rows as it reads, and a stride of 2 half of them, rounded up."""
    return (kernel - 1) // 2, kernel // 2


def depthwise(kernel: int, stride: int = 1, pool: int = 1) -> ConvSpec:
    """A depthwise convolution with padding."""
    return ConvSpec(0, kernel, stride, pool, "depthwise", same(kernel))


def average(kernel: int = 0) -> ConvSpec:
    """The mean of every ``kernel`` rows, 0: of all."""
    return ConvSpec(0, kernel, max(kernel, 1), 1, "average")


@dataclass(frozen=True)
class BranchSpec:
    """``convs``, the layers in time; ``hidden``, at most one fully connected layer with ReLU; then the linear head."""

    convs: tuple[ConvSpec, ...]
    hidden: tuple[int, ...] = ()


@dataclass(frozen=True)
class NetworkSpec:
    """Selector (or none), K classifiers of one shape, and how they are joined.

    ``start``: level of the selector map that classifiers start from, 0 for the window.
    ``aggregate``: levels whose selector map is concatenated to the classifier's map of that level.
    ``selector_outputs``: K unless given (an early-exit network has a selector that answers with class logits).
    """

    window: int
    channels: int
    classes: int
    classifiers: int
    classifier: BranchSpec
    selector: BranchSpec | None = None
    start: int = 0
    aggregate: tuple[int, ...] = ()
    selector_outputs: int = -1

    def __post_init__(self) -> None:
        if self.selector_outputs < 0:
            object.__setattr__(self, "selector_outputs", self.classifiers if self.selector else 0)
        for branch in ("selector", "classifier"):
            self._fill(branch)
        self._check()

    def _fill(self, branch: Branch) -> None:
        """Numbers for the zeros of `ConvSpec`."""
        first = self.start if branch == "classifier" else 0
        for i, conv in enumerate(self._convs(branch)):
            if conv.kind not in CHANNELWISE or (conv.channels and conv.kernel) or first > len(self._convs("selector")):
                continue
            read = self._operands(branch, first + i)
            channels = conv.channels or sum(map(self.map_channels, read))
            kernel = conv.kernel or self.rows(branch, first + i)
            found = getattr(self, branch)
            convs = (*found.convs[:i], replace(conv, channels=channels, kernel=kernel), *found.convs[i + 1 :])
            object.__setattr__(self, branch, replace(found, convs=convs))

    def _check(self) -> None:
        def need(ok: bool, what: str) -> None:
            if not ok:
                raise DitmosError(f"network: {what}")

        need(self.window >= 1, f"window is {self.window}, expected at least 1 row")
        need(self.channels >= 1, f"channels is {self.channels}, expected at least 1")
        need(self.classes >= 1, f"classes is {self.classes}, expected at least 1")
        need(
            0 <= self.classifiers <= MAX_CLASSIFIERS,
            f"classifiers is {self.classifiers}, expected 0 to {MAX_CLASSIFIERS}",
        )
        if self.classifiers == 0:
            bare = self.selector is None and self.classifier == BranchSpec(()) and not self.selector_outputs
            need(bare and not self.start and not self.aggregate, "has layers, but no classifier")
            return
        for name, branch in (("selector", self.selector), ("classifier", self.classifier)):
            if branch is None:
                continue
            first = self.start if name == "classifier" else 0
            count = len(branch.convs)
            fewest = 1 if name == "selector" else 0
            need(fewest <= count <= MAX_CONVS, f"{name} has {count} convolutions, expected {fewest} to {MAX_CONVS}")
            need(len(branch.hidden) <= 1, f"{name} has {len(branch.hidden)} hidden layers, expected 0 or 1")
            need(all(width >= 1 for width in branch.hidden), f"{name}: hidden width {branch.hidden}, expected >= 1")
            for i, conv in enumerate(branch.convs, first + 1):
                mean = conv.kind == "average"
                longest, strides = (MAX_AVERAGE, MAX_AVERAGE) if mean else (MAX_KERNEL, 2)
                need(conv.channels >= 1, f"{name}.{i}: channels is {conv.channels}, expected at least 1")
                need(1 <= conv.kernel <= longest, f"{name}.{i}: kernel is {conv.kernel}, expected 1 to {longest}")
                need(1 <= conv.stride <= strides, f"{name}.{i}: stride is {conv.stride}, expected 1 to {strides}")
                need(
                    1 <= conv.pool <= 2 - mean, f"{name}.{i}: pool is {conv.pool}, expected 1{'' if mean else ' or 2'}"
                )
                most = 0 if mean else conv.kernel - 1
                need(
                    all(0 <= rows <= most for rows in conv.pad),
                    f"{name}.{i}: padding is {conv.pad[0]} and {conv.pad[1]}, expected 0 to {most}",
                )
        if self.selector is None:
            need(self.start == 0 and not self.aggregate, "start and aggregate need a selector")
            need(self.selector_outputs == 0, "selector_outputs needs a selector")
        else:
            levels = len(self.selector.convs)
            need(self.selector_outputs >= 1, f"selector_outputs is {self.selector_outputs}, expected at least 1")
            need(0 <= self.start <= levels, f"start is {self.start}, expected 0 to {levels}")
            top = min(levels, self.start + len(self.classifier.convs))
            need(
                tuple(sorted(set(self.aggregate))) == self.aggregate,
                f"aggregate is {self.aggregate}, expected rising levels",
            )
            for level in self.aggregate:
                need(self.start < level <= top, f"aggregate level {level}, expected {self.start + 1} to {top}")
                ours, theirs = self.rows("classifier", level), self.rows("selector", level)
                need(
                    ours == theirs,
                    f"level {level} has {ours} rows in the classifier and {theirs} in the selector, expected equal",
                )
        for layer in self.selector_layers() + self.classifier_layers():
            need(
                not layer.channelwise or layer.channels_out == layer.channels_in,
                f"{layer.name}: {layer.channels_out} channels, expected {layer.channels_in}, as many as it reads",
            )
            padded = layer.rows_in + sum(layer.pad)
            need(padded <= MAX_ROWS, f"{layer.name}: {padded} rows with padding, expected at most {MAX_ROWS}")
            need(
                layer.rows_out >= 1,
                f"{layer.name}: {layer.rows_in} rows are too few for kernel {layer.kernel}, stride {layer.stride}, "
                f"pool {layer.pool}",
            )

    def _convs(self, branch: Branch) -> tuple[ConvSpec, ...]:
        found = self.selector if branch == "selector" else self.classifier
        return found.convs if found else ()

    def rows(self, branch: Branch, level: int) -> int:
        """Rows of the map at ``level``; 0 is the window."""
        if level == 0:
            return self.window
        if branch == "classifier" and level <= self.start:
            branch = "selector"
        first = self.start if branch == "classifier" else 0
        rows = self.rows("selector", first)
        for conv in self._convs(branch)[: level - first]:
            rows = conv.rows_out(rows)
        return rows

    def map_channels(self, ref: MapRef) -> int:
        if ref.level == 0:
            return self.channels
        first = self.start if ref.branch == "classifier" else 0
        return self._convs(ref.branch)[ref.level - first - 1].channels

    def _operands(self, branch: Branch, level: int) -> tuple[MapRef, ...]:
        """The maps that the layer after ``level`` reads."""
        if branch == "selector" or level <= self.start:
            return (MapRef("selector", level),)
        own = MapRef("classifier", level)
        return (own, MapRef("selector", level)) if level in self.aggregate else (own,)

    def _layers(self, branch: Branch) -> tuple[LayerShape, ...]:
        spec = self.selector if branch == "selector" else self.classifier
        if spec is None or self.classifiers == 0:
            return ()
        first = self.start if branch == "classifier" else 0
        layers: list[LayerShape] = []
        for level, conv in enumerate(spec.convs, first):
            inputs = self._operands(branch, level)
            layers.append(
                LayerShape(
                    name=f"{branch}.{level + 1}",
                    branch=branch,
                    kind=conv.kind,
                    inputs=inputs,
                    input_channels=tuple(self.map_channels(ref) for ref in inputs),
                    rows_in=self.rows(branch, level),
                    rows_out=self.rows(branch, level + 1),
                    channels_out=conv.channels,
                    kernel=conv.kernel,
                    stride=conv.stride,
                    pool=conv.pool,
                    pad=conv.pad,
                )
            )
        last = first + len(spec.convs)
        inputs = self._operands(branch, last)
        sizes = tuple(self.map_channels(ref) * self.rows(ref.branch, ref.level) for ref in inputs)
        outputs = self.selector_outputs if branch == "selector" else self.classes
        widths = (*spec.hidden, outputs)
        for i, width in enumerate(widths):
            layers.append(
                LayerShape(
                    name=f"{branch}.fc{i + 1}",
                    branch=branch,
                    kind="fc",
                    inputs=inputs,
                    input_channels=sizes,
                    rows_in=1,
                    rows_out=1,
                    channels_out=width,
                    relu=i < len(widths) - 1,
                )
            )
            inputs, sizes = (), (width,)
        return tuple(layers)

    @cached_property
    def _both(self) -> tuple[tuple[LayerShape, ...], tuple[LayerShape, ...]]:
        return self._layers("selector"), self._layers("classifier")

    def selector_layers(self) -> tuple[LayerShape, ...]:
        return self._both[0]

    def classifier_layers(self) -> tuple[LayerShape, ...]:
        """Layers of one classifier; all K have this shape."""
        return self._both[1]

    @property
    def pads_window(self) -> bool:
        """Whether a layer reads rows of padding beside the window."""
        layers = self.selector_layers() + self.classifier_layers()
        return any(sum(layer.pad) > 0 for layer in layers if layer.inputs and layer.inputs[0].level == 0)

    @property
    def macs(self) -> int:
        """MACs of one inference: the selector and one classifier."""
        return sum(layer.macs for layer in self.selector_layers() + self.classifier_layers())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkSpec:
        """Inverse of :meth:`to_dict`, also for what TOML and JSON give.

        Raises:
            DitmosError: unknown or missing keys, or values out of range.
        """

        def branch(value: Mapping[str, Any] | None) -> BranchSpec | None:
            if value is None:
                return None
            convs = (ConvSpec(**{**conv, "pad": tuple(conv.get("pad", (0, 0)))}) for conv in value["convs"])
            return BranchSpec(tuple(convs), tuple(value.get("hidden", ())))

        try:
            fields = dict(data)
            fields["selector"] = branch(fields.get("selector"))
            fields["classifier"] = branch(fields["classifier"])
            fields["aggregate"] = tuple(fields.get("aggregate", ()))
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise DitmosError(f"network: {error}") from None


def without_network(window: int, channels: int, classes: int) -> NetworkSpec:
    """Of a model that has a forest and nothing else."""
    return NetworkSpec(window, channels, classes, 0, BranchSpec(()))


def reference_spec(classes: int = 17, classifiers: int = 6, window: int = 151, channels: int = 3) -> NetworkSpec:
    """The authors' UniMiB-SHAR network: 91,752 MACs in the selector, 131,176 in a classifier (docs/method.md)."""
    branch = BranchSpec((ConvSpec(8, 15), ConvSpec(8, 9), ConvSpec(4, 5)), (64,))
    return NetworkSpec(window, channels, classes, classifiers, branch, branch, aggregate=(1, 2))
