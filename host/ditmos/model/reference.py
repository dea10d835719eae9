"""Integer interpreter of a `QuantizedModel`: the specification of what every kernel computes (docs/arithmetic.md).

Batch-vectorised. Accumulators are computed as floating-point matrix products, which are exact here: `quantized.check`
bounds every partial sum below 2^31, far from the 2^53 of float64; float32 serves where the bound is 2^24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ditmos.model.clusters import Clusters
from ditmos.model.feeder import Feeder
from ditmos.model.forest import Forest, liked_by_both
from ditmos.model.inputs import quantize_input
from ditmos.model.layer_shape import LayerShape
from ditmos.model.quantized import QuantizedLayer, QuantizedModel, accumulator_bound, check
from ditmos.model.use import exits, routes

Int8 = NDArray[np.int8]

_BLOCK = 1 << 22  # elements of an unfolded convolution input held at a time


def requantize(acc: NDArray[np.int64], multiplier: NDArray[np.int32], zero_point: int) -> Int8:
    """``clamp(zero_point + ((acc * multiplier + 2^31) >> 32), -128, 127)``; multiplier runs along axis 1 of acc."""
    factor = multiplier.astype(np.int64).reshape(1, -1, *([1] * (acc.ndim - 2)))
    y = zero_point + ((acc * factor + (1 << 31)) >> 32)
    return np.clip(y, -128, 127).astype(np.int8)


def accumulate(shape: LayerShape, layer: QuantizedLayer, x: Int8) -> NDArray[np.int64]:
    """Accumulators of a batch before pooling.

    x is (N, in, rows), padding included, for layers in time, (N, in) for a fully connected layer; the result is (N,
    out, positions) or (N, out).
    """
    bias = layer.bias.astype(np.int64)
    small = accumulator_bound(layer, shape.repeats).max() < 1 << 24
    dtype: np.dtype[Any] = np.dtype(np.float32 if small else np.float64)
    weight = layer.weight.reshape(shape.channels_out, -1).astype(dtype)
    if shape.kind == "fc":
        return (x.astype(dtype) @ weight.T).astype(np.int64) + bias
    windows = sliding_window_view(x, shape.kernel, axis=2)[:, :, :: shape.stride]  # (N, in, positions, kernel)
    if shape.channelwise:
        taps = np.broadcast_to(layer.weight[:, 0], (shape.channels_out, shape.kernel)).astype(np.int64)
        return np.einsum("ncpk,ck->ncp", windows, taps) + bias[:, None]
    positions = windows.shape[2]
    acc = np.empty((len(x), shape.channels_out, positions), np.int64)
    block = max(1, _BLOCK // (positions * weight.shape[1]))
    for i in range(0, len(x), block):
        rows = windows[i : i + block].transpose(0, 2, 1, 3).astype(dtype)
        product = rows.reshape(-1, weight.shape[1]) @ weight.T
        acc[i : i + block] = product.reshape(-1, positions, shape.channels_out).transpose(0, 2, 1)
    return acc + bias[:, None]


def pad(shape: LayerShape, operands: Sequence[Int8], window: Sequence[int]) -> list[Int8]:
    """Operands (N, channels, rows) with the layer's rows of padding, which hold what stands for 0: ``window`` (a value
    for each channel) in the window, -128 in every other map."""
    result = []
    for ref, x in zip(shape.inputs, operands, strict=True):
        values = np.asarray(window if ref.level == 0 else [-128] * x.shape[1], np.int8)
        front, behind = (np.broadcast_to(values[:, None], (*x.shape[:2], rows)) for rows in shape.pad)
        result.append(np.concatenate([front, x, behind], axis=2))
    return result


def run_layer(shape: LayerShape, layer: QuantizedLayer, x: Int8) -> Int8:
    """One layer on a batch: x (N, in, padded rows) -> (N, out, pooled rows); fully connected (N, in) -> (N, out)."""
    acc = accumulate(shape, layer, x)
    if shape.pool > 1:
        acc = acc[:, :, : shape.rows_out * shape.pool].reshape(*acc.shape[:2], shape.rows_out, shape.pool).max(3)
    return requantize(acc, layer.multiplier, layer.zero_point)


def run_branch(
    shapes: Sequence[LayerShape],
    layers: Sequence[QuantizedLayer],
    maps: dict[tuple[str, int], Int8],
    padding: Sequence[int] = (),
) -> list[Int8]:
    """Run a branch on a batch -> every layer's output, logits (N, out) last.

    Reads ``maps`` (N, channels, rows) by (branch, level) and adds its own to them. ``padding``: of the window.
    """
    outputs: list[Int8] = []
    for shape, layer in zip(shapes, layers, strict=True):
        if shape.inputs:
            operands = [maps[ref.branch, ref.level] for ref in shape.inputs]
            if shape.kind == "fc":
                operands = [operand.reshape(len(operand), -1) for operand in operands]
            if any(shape.pad):
                operands = pad(shape, operands, padding)
            x = operands[0] if len(operands) == 1 else np.concatenate(operands, axis=1)
        else:
            x = outputs[-1]
        outputs.append(run_layer(shape, layer, x))
        if shape.kind != "fc":
            maps[shape.branch, shape.inputs[0].level + 1] = outputs[-1]
    return outputs


class Model:
    """The interface of `_ditmos.Model` on the host, and the same over batches.

    ``select`` and ``classify`` give views of int8, whose items are plain integers, as on a board: what a policy adds up
    does not overflow.

    Raises ValueError for wrong shapes, types and ranges, RuntimeError for classify before select, as the device does;
    DitmosError for a model that breaks the rules of `quantized.check`.
    """

    def __init__(self, model: QuantizedModel) -> None:
        check(model)
        self.model = model
        self.spec = model.spec
        self.window = model.spec.window
        self.channels = model.spec.channels
        self.classes = model.spec.classes
        self.classifiers = model.spec.classifiers
        self.inputs = model.inputs
        self.rate = model.rate
        self.policy = model.use.policy
        self.margins = model.use.margins
        self.routes = routes(model.spec, model.use.rule)
        self.exits = exits(model.spec, model.use.rule)
        self.selector_scale = model.selector_scale
        self.selector_zero_point = model.selector_zero_point
        self.logit_scale = model.logit_scale
        self.logit_zero_point = model.logit_zero_point
        self.class_names = model.class_names
        front = model.front_end
        self.raw_channels = front.channels if front else 0
        self.raw_hop = front.hop if front else 0
        self.raw_window = front.samples(self.window) if front else 0
        self.kept_rows = front.kept_rows(self.window) if front else self.window
        self.raw_rate = front.fs if front else 0.0
        self.raw_scale = front.scale if front else 0.0
        self.raw_units = front.units if front else ""
        self._clusters = model.forest.clusters if model.forest else None
        self.specialists = self._clusters.count if self._clusters else 0
        self.experts = (*(("forest",) if model.forest else ()), *(("specialists",) if self._clusters else ()))
        self.trees = model.forest.trees if model.forest else 0
        self._votes: NDArray[np.uint16] | None = None
        self._feeder = Feeder(model.front_end, self.window) if model.front_end else None
        self._selector_shapes = model.spec.selector_layers()
        self._classifier_shapes = model.spec.classifier_layers()
        self._maps: dict[tuple[str, int], Int8] | None = None

    def quantize(self, src: ArrayLike, dst: Int8 | None = None) -> Int8:
        """Rows of all channels (``inputs``), float real units or int16 samples -> int8 rows of those that are used,
        also written to ``dst`` if given.

        Windows (..., time, channels) of the front end's raw samples, int16, become windows of its rows. They may have a
        few samples more than these take.
        """
        x = np.asarray(src)
        front = self.model.front_end
        if front and x.dtype == np.int16 and x.ndim > 1 and self._is_raw(*x.shape[-2:]):
            x = front(x)
        q = quantize_input(x, self.inputs)
        if dst is not None:
            np.asarray(dst)[...] = q.reshape(np.shape(dst))
        return q

    def quantize_rows(self, rows: NDArray[np.int16]) -> NDArray[np.int8]:
        """Rows that the front end has made, int16 (..., time, channels), as the network reads them: `quantize` takes
        those of as many channels as the samples have for samples."""
        return np.ascontiguousarray(quantize_input(rows, self.inputs))

    def _is_raw(self, samples: int, channels: int) -> bool:
        return channels == self.raw_channels and self.raw_window <= samples < self.raw_window + self.raw_hop

    def select(self, window: ArrayLike | None) -> memoryview:
        """int8 window (time, channels), flattened or not -> selector logits (outputs,); empty without a selector.
        None is the window that has been fed: `select_fed`."""
        if window is None:
            return self.select_fed()
        x = np.asarray(window)
        if x.dtype != np.int8 or x.size != self.window * self.channels:
            raise ValueError(
                f"window has {x.size} values of {x.dtype}, expected {self.window} x {self.channels} = "
                f"{self.window * self.channels} of int8"
            )
        if self._feeder:
            self._feeder.interrupt()
        return self._select_one(x.reshape(self.window, self.channels))

    def classify(self, k: int) -> memoryview:
        """Class logits (classes,) of classifier k on the window of the last `select`."""
        if not self.classifiers:
            raise ValueError("the model has no classifier")
        if not 0 <= k < self.classifiers:
            raise ValueError(f"classifier is {k}, expected 0 to {self.classifiers - 1}")
        if self._maps is None:
            raise RuntimeError("classify before select")
        return memoryview(self._run(k, dict(self._maps))[-1][0])

    @property
    def feeder(self) -> Feeder:
        """The front end at work. Raises ValueError: the model has none."""
        if self._feeder is None:
            raise ValueError("the model has no front end")
        return self._feeder

    def feed(self, samples: ArrayLike) -> int:
        """Raw samples, int16 -> how many rows they made. Raises as `Feeder.feed`, ValueError without a front end."""
        rows = self.feeder.feed(samples)
        if rows:
            self._maps = self._votes = None
        return rows

    def select_fed(self) -> memoryview:
        """`select` on the newest rows. RuntimeError: not a window of them since the reset or another window."""
        return self._select_one(self.quantize_rows(self.feeder.rows()))

    def summary(self) -> memoryview:
        """Features of the window that was fed, int16. ValueError: the front end has no Summary; RuntimeError as
        `select_fed`."""
        if not (summary := self.feeder.front.summary):
            raise ValueError("the front end has no Summary")
        return summary.features(self.feeder.kept()).data

    @property
    def _forest(self) -> Forest:
        if self.model.forest is None:
            raise ValueError("the model has no forest")
        return self.model.forest

    def votes(self, window: None) -> memoryview:
        """The forest's votes (classes,) on the window that was fed, 15 of each tree. ValueError: no forest, or an int8
        window; RuntimeError as `select_fed`."""
        forest = self._forest
        if window is not None:
            raise ValueError("the forest votes on raw samples: feed them, and give None")
        features = np.asarray(self.summary())
        self._votes = forest.walk(features[None], self.classes)[0][0]
        return self._votes.data

    def both(self, logits: ArrayLike, weight: int) -> int:
        """The class that a classifier's logits and the last votes like best together, ``weight`` eighths being the
        votes'. ValueError: no forest, other logits, another weight; RuntimeError: there are no votes."""
        return liked_by_both(self._forest, self._votes, np.asarray(logits), weight, self.classes)

    @property
    def _named(self) -> Clusters:
        if self._clusters is None:
            raise ValueError("votes name no classifier of this model")
        return self._clusters

    def specialist(self) -> int:
        """The classifier that the last votes name. ValueError: they name none; RuntimeError: there are no votes."""
        clusters = self._named
        if self._votes is None:
            raise RuntimeError("specialist before votes")
        return int(clusters.nearest(self._votes))

    def specialists_batch(self, votes: NDArray[np.uint16]) -> NDArray[np.int64]:
        """The classifiers that votes (N, classes) name. ValueError: they name none."""
        return self._named.nearest(votes)

    def votes_batch(self, rows: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Votes (N, classes) on windows of the front end's rows, int16 (N, time, channels). ValueError: no forest."""
        forest, summary = self._forest, self.feeder.front.summary
        assert summary  # `quantized.check`
        return forest.walk(summary.features(rows), self.classes)[0]

    def feed_reset(self) -> None:
        """Forget all samples."""
        self.feeder.reset()
        self._maps = self._votes = None

    def row(self) -> NDArray[np.int16]:
        """The newest row, before `Centre`."""
        return self.feeder.row()

    def calibrate(self, samples: ArrayLike) -> int:
        """Samples for the scale of whoever wears the board -> rows so far. Raises as `Feeder.calibrate`."""
        self._maps = self._votes = None
        return self.feeder.calibrate(samples)

    def features(self, level: int) -> Int8:
        """Selector map ``level`` (channels, rows) of the last window; level 0 is the window."""
        if self._maps is None:
            raise RuntimeError("features before select")
        try:
            return self._maps["selector", level][0]
        except KeyError:
            raise ValueError(f"features: level is {level}, expected 0 to {len(self._maps) - 1}") from None

    def select_batch(self, windows: Int8) -> Int8:
        """int8 (N, time, channels) -> selector logits (N, outputs)."""
        return self._select(self._window_maps(windows))

    def classify_batch(self, windows: Int8, k: ArrayLike | None = None) -> Int8:
        """int8 (N, time, channels) -> class logits (N, K, classes) of every classifier; with k (N,), those of
        classifier k[n] on window n: (N, classes)."""
        maps = self._window_maps(windows)
        if self.spec.start or self.spec.aggregate:
            self._select(maps)
        if k is None:
            logits = np.empty((len(windows), self.classifiers, self.classes), np.int8)
            for i in range(self.classifiers):
                logits[:, i] = self._run(i, dict(maps))[-1]
            return logits
        chosen = np.broadcast_to(np.asarray(k), len(windows))
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < self.classifiers:
            raise ValueError(f"classifiers {chosen.min()} to {chosen.max()}, expected 0 to {self.classifiers - 1}")
        result = np.empty((len(windows), self.classes), np.int8)
        for i in np.unique(chosen):
            rows = np.flatnonzero(chosen == i)
            subset = {key: value[rows] for key, value in maps.items()}
            result[rows] = self._run(i, subset)[-1]
        return result

    def layer_outputs(self, windows: Int8, k: int) -> dict[str, Int8]:
        """Every layer's output on a batch by layer name: (N, channels, rows), fully connected (N, out)."""
        maps = self._window_maps(windows)
        names = [shape.name for shape in self._selector_shapes + self._classifier_shapes]
        outputs = run_branch(self._selector_shapes, self.model.selector, maps, self.model.padding)
        outputs += self._run(k, maps)
        return dict(zip(names, outputs, strict=True))

    def _run(self, k: int, maps: dict[tuple[str, int], Int8]) -> list[Int8]:
        return run_branch(self._classifier_shapes, self.model.classifiers[k], maps, self.model.padding)

    def _select_one(self, window: Int8) -> memoryview:
        maps = self._window_maps(window[None])
        logits = self._select(maps)
        self._maps = maps
        return memoryview(logits[0])

    def _window_maps(self, windows: Int8) -> dict[tuple[str, int], Int8]:
        expected = (self.window, self.channels)
        if windows.dtype != np.int8 or windows.ndim != 3 or windows.shape[1:] != expected:
            raise ValueError(
                f"windows are {windows.dtype} {windows.shape}, expected int8 (N, {expected[0]}, {expected[1]})"
            )
        return {("selector", 0): np.ascontiguousarray(windows.transpose(0, 2, 1))}

    def _select(self, maps: dict[tuple[str, int], Int8]) -> Int8:
        if not self._selector_shapes:
            return np.empty((len(maps["selector", 0]), 0), np.int8)
        return run_branch(self._selector_shapes, self.model.selector, maps, self.model.padding)[-1]
