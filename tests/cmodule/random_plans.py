"""Random plans: any cut into slices, any chunks and packings, line buffers of any length, maps kept or run again."""

from __future__ import annotations

from ditmos.model import packings
from ditmos.model.layer_shape import LayerShape
from ditmos.model.padding import edge_bytes
from ditmos.model.plan import NONE, Plan, Stage, layer_table
from ditmos.model.plan_tables import WINDOW, producers
from ditmos.model.spec import NetworkSpec
from ditmos.planner.schedule import Schedule
from numpy.random import Generator


def random_plan(rng: Generator, spec: NetworkSpec) -> Plan:
    """A plan that may be wrong in one way: a line buffer can be too short for the chunks around it."""
    layers, sources = layer_table(spec), producers(spec)
    selector = len(spec.selector_layers())
    schedule = Schedule()

    again = _computed_again(rng, sources, selector)
    read_later = {s for layer in [*again, *range(selector, len(layers))] for s in sources[layer]}
    select = _cut(rng, list(range(selector)))
    classify = _cut(rng, sorted([*again, *range(selector, len(layers))], key=lambda i: _order(layers[i])))

    schedule.window = schedule.map(spec.window, spec.channels, kept=WINDOW in read_later)
    held = {WINDOW: schedule.window}  # map -> buffer
    for phase, slices in (("select", select), ("classify", classify)):
        wanted = read_later - set(again) if phase == "select" else set()
        for i, layer_slice in enumerate(slices):
            later = {s for other in slices[i + 1 :] for layer in other for s in sources[layer]}
            schedule.slices.append(
                (phase, _stages(rng, schedule, layers, sources, layer_slice, held, wanted, wanted | later))
            )
        if phase == "select" and selector:
            schedule.selector_logits = held[selector - 1]
    schedule.logits = held[len(layers) - 1]
    return schedule.plan("random", spec, [random_packing(rng, layer) for layer in layers])


def random_packing(rng: Generator, layer: LayerShape) -> int:
    """Any that the kind of layer can have."""
    if layer.channelwise:
        return packings.PLAIN
    if layer.kind == "fc":
        return int(rng.choice([packings.PLAIN, packings.DOT, packings.WIDE], p=[0.3, 0.2, 0.5]))
    return int(rng.choice([packings.PLAIN, packings.LANES, packings.QUADS], p=[0.3, 0.4, 0.3]))


def _computed_again(rng: Generator, sources: list[tuple[int, ...]], selector: int) -> list[int]:
    """Selector layers that classify runs again, each with those it needs down to a kept map."""
    needed = {s for reads in sources[selector:] for s in reads if 0 <= s < selector}
    again: set[int] = set()
    for layer in sorted(needed, reverse=True):
        while layer != WINDOW and layer not in again and rng.random() < 0.5:
            again.add(layer)
            layer = sources[layer][0]
    return sorted(again)


def _order(layer: LayerShape) -> tuple[int, int, int]:
    """By level, the selector's first; fully connected layers last, in their order."""
    if layer.kind == "fc":
        return 99, int(layer.name[-1]), 0
    return layer.inputs[0].level, 0, int(layer.branch == "classifier")


def _cut(rng: Generator, items: list[int]) -> list[list[int]]:
    often = rng.choice([0.0, 0.3, 1.0])
    slices: list[list[int]] = []
    for item in items:
        if not slices or rng.random() < often:
            slices.append([])
        slices[-1].append(item)
    return slices


def _stages(
    rng: Generator,
    schedule: Schedule,
    layers: tuple[LayerShape, ...],
    sources: list[tuple[int, ...]],
    layer_slice: list[int],
    held: dict[int, int],
    kept: set[int],
    whole: set[int],
) -> list[Stage]:
    stages = []
    for i, index in enumerate(layer_slice):
        layer = layers[index]
        readers = [layers[j] for j in layer_slice[i + 1 :] if index in sources[j]]
        chunk = int(rng.integers(1, layer.rows_out + 1)) if rng.random() < 0.2 else int(rng.integers(1, 4))
        rows = layer.rows_out
        if index not in whole and readers and all(reader.kind != "fc" for reader in readers):
            reach = max((reader.pool - 1) * reader.stride + reader.kernel for reader in readers)
            rows = min(rows, reach + int(rng.integers(0, chunk + 6)))
        stride = 1 if layer.kind == "fc" else rows + int(rng.choice([0, 0, 1, 5]))
        operands = [held[s] for s in sources[index]]
        held[index] = schedule.map(rows, layer.channels_out, stride=stride, kept=index in kept)
        timed = layer.kind != "fc"
        edge = edge_bytes(layer, min(chunk, layer.rows_out))
        scratch = edge + (4 * int(rng.integers(0, 400)) if rng.random() < 0.3 else 0) if timed else 0
        stages.append(
            Stage(
                index,
                operands[0],
                held[index],
                min(chunk, layer.rows_out),
                in1=operands[1] if len(operands) > 1 else NONE,
                carry=schedule.carry(layer.channels_out) if timed and rng.random() < 0.3 else NONE,
                scratch=schedule.scratch(scratch) if scratch else NONE,
            )
        )
    return stages
