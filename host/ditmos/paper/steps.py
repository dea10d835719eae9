"""Small batches in compiled C (steps.c): the recipe of the paper takes hundreds of thousands of steps of 8 windows.

At that size a step in torch is overhead: its fifty kernels take longer to call than to run. `run` takes the steps of an
epoch in one call, on the very tensors of the network and of its optimiser, so that everything else, checkpoints too,
stays as it is. Same arithmetic, other order of sums and, in dropout, other random numbers.

The C compiler is asked for once in a process; `usable` says whether an epoch can be run so.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ditmos.model.layer_shape import LayerShape
from ditmos.networks.grouped import AverageLayer, Branches, ConvLayer, DenseLayer
from ditmos.networks.large_network import LargeNetwork
from ditmos.paper.session import Session, Stepper
from ditmos.paper.strong_network import PADDING

SOURCE = Path(__file__).with_name("steps.c")
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-funroll-loops", "-fno-math-errno", "-fno-trapping-math")
BATCHES = (4, 8, 16, 32)  # a batch is one vector of the C compiler
CHUNK = 64  # steps in one call: what it reads stays in the cache, and Ctrl-C is heard

_float_p = ctypes.POINTER(ctypes.c_float)


class Mode(IntEnum):
    """What learns. OWN: every classifier on a batch of its own, with cross-entropy. STRONG: the strong network."""

    OWN = 0
    SELECTOR = 1
    CLASSIFIERS = 2
    STRONG = 3


_SHAPE = ("conv", "relu", "kernel", "stride", "pool", "rows", "positions", "rows_out", "margin", "out", "operands")
_PARAMETERS = ("weight", "shift", "gain", "mean", "var", "weight_m", "shift_m", "gain_m")


class _Shape(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in _SHAPE),
        *((name, ctypes.c_int32 * 2) for name in ("channels", "level", "selector")),
    ]


class _Parameters(ctypes.Structure):
    _fields_ = [(name, _float_p) for name in _PARAMETERS]


class _Side(ctypes.Structure):
    _fields_ = [
        ("count", ctypes.c_int32),
        ("layers", ctypes.c_int32),
        ("shapes", ctypes.POINTER(_Shape)),
        ("parameters", ctypes.POINTER(_Parameters)),
    ]


class _Network(ctypes.Structure):
    _fields_ = [
        ("selector", _Side),
        ("classifiers", _Side),
        *((name, ctypes.c_int32) for name in ("window", "channels", "classes")),
        *((n, ctypes.c_float) for n in ["dropout", "decay", "momentum", "norm_momentum", "epsilon", "smoothing"]),
        ("weights", ctypes.c_float * 4),
    ]


@lru_cache
def _library(batch: int) -> ctypes.CDLL | None:
    """Compiled for this processor; None where there is no compiler, or it does not understand."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "steps.so"
        command = [compiler, *FLAGS, "-shared", "-fPIC", f"-DLANES={batch}", str(SOURCE), "-o", str(file), "-lm"]
        try:
            subprocess.run(command, capture_output=True, timeout=120, check=True)
            library = ctypes.CDLL(str(file))
        except (OSError, subprocess.SubprocessError):
            return None
    library.ditmos_steps.restype = ctypes.c_int32
    return library


def usable(session: Session, index: Tensor) -> bool:
    """Whether `run` can take these steps: batches of a vector's size, classifiers that start from the window, full
    convolutions without padding, and a C compiler at hand."""
    spec = session.network.spec
    plain = not any(layer.channelwise or any(layer.pad) for layer in spec.selector_layers() + spec.classifier_layers())
    return (
        plain
        and session.config.compiled
        and index.shape[1] in BATCHES
        and spec.start == 0
        and _library(index.shape[1]) is not None
    )


def run_epoch(
    session: Session, stepper: Stepper, index: Tensor, loss: Callable[[Tensor], Tensor], mode: Mode | None = None
) -> float:
    """One step for every row of ``index``, ``loss(row)`` being the loss of those windows; the mean loss.

    mode: what that loss is to `run`, which takes the steps where it can.
    """
    if mode is not None and usable(session, index):
        total = run(session, stepper, index, mode)
    else:
        total = sum(stepper.step(loss(rows)) for rows in index)
    stepper.end_epoch()
    return total / len(index)


def run(session: Session, stepper: Stepper, index: Tensor, mode: Mode) -> float:
    """The steps of one epoch: windows ``index`` (steps, batch), of `Mode.OWN` (steps, batch, K). Returns the sum of
    their losses. The learning rate follows ``stepper``."""
    library = _library(index.shape[1])
    assert library is not None  # `usable` was asked
    network = _describe(session, stepper, mode)
    margin = PADDING if mode == Mode.STRONG else 0
    loss = ctypes.c_double(0)
    for first in range(0, len(index), CHUNK):
        rows = index[first : first + CHUNK]
        x, y = session.batch(rows.flatten())
        x, y = F.pad(session.network.standardize(x), (margin, margin)).contiguous(), y.int()
        rates = torch.full((len(rows),), stepper.rate())
        seed = int(torch.randint(1 << 31, (), generator=session.rng)) if network.dropout else 0
        short = library.ditmos_steps(
            ctypes.byref(network), int(Mode.OWN if mode == Mode.STRONG else mode), _pointer(x),
            ctypes.c_void_p(y.data_ptr()), len(rows), _pointer(rates), ctypes.c_uint32(seed), ctypes.byref(loss),
        )  # fmt: skip
        if short:
            raise MemoryError
    for norm in _learning_norms(session, mode):
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked += len(index)
    return loss.value


def _pointer(tensor: Tensor) -> Any:  # what ctypes.POINTER(ctypes.c_float) makes
    return ctypes.cast(tensor.data_ptr(), _float_p)


def _describe(session: Session, stepper: Stepper, mode: Mode) -> _Network:
    """The network and its optimiser for C; the tensors are those of the session."""
    spec, config, own = session.network.spec, session.config, session.network
    group, first = stepper.optimizer.param_groups[0], own.classifiers.layers[0]
    assert isinstance(first, ConvLayer)
    window, dropout = spec.window, config.dropout
    if mode == Mode.STRONG:
        ahead = session.strong.head[0]
        assert isinstance(ahead, nn.Dropout)
        window, dropout = window + 2 * PADDING, ahead.p
        sides = _Side(1, 0), _strong(session.strong, spec.window, spec.channels, stepper)
    else:
        sides = (
            _side(own.selector, spec.selector_layers(), stepper),
            _side(own.classifiers, spec.classifier_layers(), stepper),
        )
    weights = config.adversarial
    return _Network(
        *sides, window, spec.channels, spec.classes, dropout, group["weight_decay"], group["momentum"],
        first.norm.momentum, first.norm.eps, stepper.schedule.smoothing,
        (ctypes.c_float * 4)(weights.union, weights.overlap, weights.single, weights.selection),
    )  # fmt: skip


def _side(branches: Branches | None, shapes: Sequence[LayerShape], stepper: Stepper) -> _Side:
    if branches is None:
        return _Side(1, 0)
    layers = [
        _layer(_shape(shape), layer.weight, layer.norm if isinstance(layer, ConvLayer) else layer, stepper)
        for shape, layer in zip(shapes, branches.layers, strict=True)
        if not isinstance(layer, AverageLayer)  # `usable` has seen to it
    ]
    return _joined(branches.count, layers)


def _strong(strong: LargeNetwork, rows: int, channels: int, stepper: Stepper) -> _Side:
    """Every convolution is padded by 1: the map before it has a margin of zeros."""
    modules = list(strong.convs)
    layers: list[tuple[_Shape, _Parameters]] = []
    for i, module in enumerate(modules):
        if not isinstance(module, nn.Conv2d):
            continue
        kernel, after = module.kernel_size[1], modules[i + 3 :]  # behind normalisation and ReLU
        positions = rows + 2 * PADDING + 1 - kernel
        pool = 2 if after and isinstance(after[0], nn.MaxPool2d) else 1
        margin = PADDING if any(isinstance(later, nn.Conv2d) for later in after) else 0
        shape = _Shape(
            1, 1, kernel, 1, pool, rows + 2 * PADDING, positions, positions // pool, margin, module.out_channels, 1,
            _pair([channels]), _pair([len(layers)]), _pair([not layers]),
        )  # fmt: skip
        norm = modules[i + 1]
        assert isinstance(norm, nn.BatchNorm2d)
        layers.append(_layer(shape, module.weight, norm, stepper))
        rows, channels = positions // pool, module.out_channels
    for i, module in enumerate(m for m in strong.head if isinstance(m, nn.Linear)):
        shape = _Shape(
            0, not i, 1, 1, 1, 1, 1, 1, 0, module.out_features, 1, _pair([module.in_features]),
            _pair([-1 if i else len(layers)]), _pair([0]),
        )  # fmt: skip
        layers.append(_layer(shape, module.weight, module, stepper))
    return _joined(1, layers)


def _layer(
    shape: _Shape, weight: Tensor, other: nn.BatchNorm2d | nn.Linear | DenseLayer, stepper: Stepper
) -> tuple[_Shape, _Parameters]:
    """``other``: the layer's normalisation, or whose ``bias`` it adds."""
    learning = {id(p) for group in stepper.optimizer.param_groups for p in group["params"]}
    target = _Parameters()
    tensors = {"weight": weight, "shift": other.bias}
    if isinstance(other, nn.BatchNorm2d):
        assert other.running_mean is not None and other.running_var is not None  # it tracks them
        tensors["gain"] = other.weight
        target.mean, target.var = _pointer(other.running_mean), _pointer(other.running_var)
    for name, tensor in tensors.items():
        setattr(target, name, _pointer(tensor))
        if id(tensor) in learning:
            setattr(target, f"{name}_m", _pointer(stepper.momentum(cast(nn.Parameter, tensor))))
    return shape, target


def _joined(count: int, layers: Sequence[tuple[_Shape, _Parameters]]) -> _Side:
    shapes, parameters = zip(*layers, strict=True)
    return _Side(count, len(layers), (_Shape * len(layers))(*shapes), (_Parameters * len(layers))(*parameters))


def _learning_norms(session: Session, mode: Mode) -> Iterator[nn.BatchNorm2d]:
    network = session.network
    side = {Mode.SELECTOR: network.selector, Mode.STRONG: session.strong}.get(mode, network.classifiers)
    assert side is not None  # without a selector there are no steps of one
    return (module for module in side.modules() if isinstance(module, nn.BatchNorm2d))


def _pair(values: Sequence[int]) -> ctypes.Array:
    return (ctypes.c_int32 * 2)(*values)


def _shape(layer: LayerShape) -> _Shape:
    positions = (layer.rows_in - layer.kernel) // layer.stride + 1
    return _Shape(
        layer.kind == "conv", layer.relu, layer.kernel, layer.stride, layer.pool, layer.rows_in, positions,
        layer.rows_out, 0, layer.channels_out, len(layer.input_channels), _pair(layer.input_channels),
        _pair([ref.level for ref in layer.inputs] or [-1]), _pair([ref.branch == "selector" for ref in layer.inputs]),
    )  # fmt: skip
