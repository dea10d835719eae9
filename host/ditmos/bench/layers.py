"""Single convolutions and searched networks on the simulated Cortex-M7, beside what CMSIS-NN takes (`bench.peers`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ditmos.bench.measured import Measured, Say, plan_cycles, profile_plan, run_plans, slice_rows, trained_like
from ditmos.bench.peers import DS_CNN, NETWORKS, SHAPES, Network, Shape
from ditmos.model.layer_shape import Kind
from ditmos.model.quantized import QuantizedModel
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.planner import default, front
from ditmos.training.shapes import build

TIMES_CYCLES = 1.25  # how many times fewer cycles ours have to be
Rows = list[dict[str, Any]]


def measure_shapes(elf: Path, report: Say) -> tuple[Rows, Rows]:
    """Figures of every convolution of `SHAPES`, and a bar for each against CMSIS-NN and of its own.

    Raises:
        DitmosError: a result differs from the reference.
    """
    figures, bars = [], []
    for shape in SHAPES:
        report(shape.name)
        row = _convolution(elf, shape)
        per_mac = row["instructions_per_mac"]
        figures.append({"name": shape.name, **row, "peer": shape.peer, "times": round(shape.peer / per_mac, 2)})
        if shape.bar is not None:
            bars.append(_bar(f"{shape.name}, instructions per MAC", per_mac, shape.bar))
        bars.append(_bar(f"{shape.name}, CMSIS-NN {shape.peer} / {shape.times}", per_mac, shape.peer / shape.times))
    return figures, bars


def _convolution(elf: Path, shape: Shape) -> dict[str, Any]:
    """The convolution's slice of a network of it and a small head, fastest plan: what the engine does is counted."""
    kind: Kind = "depthwise" if shape.depthwise else "conv"
    conv = ConvSpec(shape.channels_out, shape.kernel, shape.stride, shape.pool, kind)
    model = trained_like(NetworkSpec(shape.rows, shape.channels_in, 4, 1, BranchSpec((conv,))))
    plan = front(model.spec, model)[-1].plan
    row = slice_rows(elf, run_plans(elf, model, [plan])[0], model, blocks=profile_plan(elf, model, plan))[1]
    return {key: row[key] for key in ("macs", "instructions", "instructions_per_mac", "cycles")}


def measure_networks(elf: Path, report: Say) -> tuple[Rows, Rows]:
    """Figures of every network of `NETWORKS` and of `DS_CNN`, selector and one classifier, and their bars.

    Raises:
        DitmosError: a result differs from the reference.
    """
    figures, bars = [], []
    for network in (*NETWORKS, DS_CNN):
        report(network.name)
        row = _network(elf, network)
        figures.append({"name": network.name, **row})
        count, estimate = row["instructions"], row["cycles"]
        if network.bar is not None:
            bars.append(_bar(f"{network.name}, fastest plan, instructions", count, network.bar))
        if network.instructions is not None:
            bars.append(_bar(f"{network.name}, instructions against CMSIS-NN", count, network.instructions / 1.5))
        if network.cycles is not None:
            bar = network.cycles / TIMES_CYCLES
            bars.append(_bar(f"{network.name}, estimated cycles against CMSIS-NN", estimate, bar))
    return figures, bars


def _network(elf: Path, network: Network) -> dict[str, Any]:
    spec = spec_of(network)
    model = trained_like(spec)
    candidates = front(spec, model)
    plans = [candidates[-1].plan, default(candidates).plan, candidates[0].plan]
    fastest, usual, smallest = run_plans(elf, model, plans)
    return {
        "macs": spec.macs,
        "arena_bytes": fastest.run.arena_bytes,
        "instructions": fastest.instructions,
        "instructions_per_mac": round(fastest.instructions / spec.macs, 3),
        "cycles": plan_cycles(elf, model, fastest.plan),
        "default": _plan(elf, model, usual),
        "smallest": _plan(elf, model, smallest),
        "peer_instructions": network.instructions,
        "peer_cycles": network.cycles,
    }


def _plan(elf: Path, model: QuantizedModel, m: Measured) -> dict[str, Any]:
    cycles = plan_cycles(elf, model, m.plan)
    return {"arena_bytes": m.run.arena_bytes, "instructions": m.instructions, "cycles": cycles}


def spec_of(network: Network) -> NetworkSpec:
    return build(
        network.geometry,
        network.classifier,
        selector=network.selector,
        classifiers=network.classifiers,
        start=network.start,
        aggregate=network.sees,
        exit=True,
    )


def _bar(name: str, value: float | None, bar: float) -> dict[str, Any]:
    return {"name": name, "value": value, "bar": round(bar, 3) if bar < 10 else round(bar)}
