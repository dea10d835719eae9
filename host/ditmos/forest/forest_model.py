"""A model of a forest and what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditmos.datasets import TRAIN
from ditmos.datasets.dataset import join_units
from ditmos.datasets.features import samples_of
from ditmos.errors import DitmosError
from ditmos.forest.grow import Grown
from ditmos.frontends.frontend import FrontEnd
from ditmos.frontends.window_summary import Summary
from ditmos.model.clusters import around
from ditmos.model.forest import VOTES, opinions
from ditmos.model.inputs import MAX_ZERO_POINT, InputChannel
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import without_network
from ditmos.model.use import Rule, Use, default_use
from ditmos.training.learn import Task


@dataclass(frozen=True)
class Behind:
    """What is asked where the forest is not sure: a network or nothing; centres (K, classes) of clusters of votes, as
    shares, where these name its classifiers. how: what the row says of it."""

    network: QuantizedModel | None = None
    centres: NDArray[np.float64] | None = None
    how: dict[str, Any] = field(default_factory=dict)


def check_same(model: QuantizedModel, task: Task, network: Path) -> None:
    """Raises DitmosError where a network is for other windows or classes than the data have."""
    dataset = task.dataset
    have = (model.spec.window, len(model.inputs), model.class_names)
    need = (dataset.window, len(dataset.channels), dataset.class_names)
    if have != need:
        raise DitmosError(
            f"{network}: its network is for windows of {have[0]} x {have[1]} and {len(have[2])} classes, the data have "
            f"{need[0]} x {need[1]} and {len(need[2])}, or classes of other names"
        )
    steps = [channel.sample_scale for channel in model.inputs]
    own = [float(np.float32(scale)) for scale in dataset.scales]
    if steps != own:
        raise DitmosError(
            f"{network}: its samples are in steps of {sorted(set(steps))}, the data's of {sorted(set(own))}"
        )


def front_of(task: Task, summary: Summary) -> FrontEnd:
    """What makes rows, if anything does, and then features."""
    dataset, made = task.dataset, task.front_end
    if made:
        return replace(made, operations=(*made.operations, summary))
    _, scale = samples_of(dataset)
    units = join_units(dataset.channel_units)
    return FrontEnd((summary,), dataset.fs, float(np.float32(scale)), units, dataset.channels)


def with_sample_scale(inputs: tuple[InputChannel, ...], scale: float) -> tuple[InputChannel, ...]:
    """The same int8 of raw samples of which one step is ``scale`` real units: those of a forest, where the network has
    learned from real numbers, or from samples with a scale for each channel."""
    return tuple(InputChannel.of(c.scale, c.zero_point, scale, c.name, c.units, c.used) for c in inputs)


def assemble(task: Task, grown: Grown, behind: Behind, metadata: dict[str, Any]) -> QuantizedModel:
    """The model, with the policy that it has until one is chosen."""
    dataset, network = task.dataset, behind.network
    _, scale = samples_of(dataset)
    end = front_of(task, grown.summary)
    if network:
        clusters = None if behind.centres is None else around(behind.centres, VOTES * grown.forest.trees)
        forest = replace(grown.forest, opinion=opinions(network.logit_scale), clusters=clusters)
        use = Use("first", Rule.VOTES if clusters else network.use.rule, (9, 4))
        inputs = network.inputs if task.front_end else with_sample_scale(network.inputs, end.scale)
        return replace(network, inputs=inputs, front_end=end, forest=forest, use=use, metadata=metadata)
    spec = without_network(dataset.window, len(dataset.channels), dataset.classes)
    return QuantizedModel(
        spec=spec, selector=(), classifiers=(), inputs=_inputs(task, scale), selector_scale=1.0,
        selector_zero_point=0, logit_scale=1.0, logit_zero_point=0, class_names=dataset.class_names,
        rate=float(np.float32(dataset.fs)), use=default_use(spec), front_end=end, forest=grown.forest,
        metadata=metadata,
    )  # fmt: skip


def _inputs(task: Task, scale: float) -> tuple[InputChannel, ...]:
    """int8 over the range of the training windows; a forest alone reads none of it."""
    dataset = task.dataset
    x = dataset.real(dataset.part(TRAIN)).transpose(1, 0, 2).reshape(len(dataset.channels), -1)
    found = []
    for name, units, low, high in zip(dataset.channels, dataset.channel_units, x.min(1), x.max(1), strict=True):
        step = max(float(high - low), 1e-6) / 255
        zero_point = int(np.clip(round(-128 - float(low) / step), -MAX_ZERO_POINT, MAX_ZERO_POINT))
        found.append(InputChannel.of(step, zero_point, scale, name, units))
    return tuple(found)
