"""The measuring tools: emulator and qemu count the same instructions, loads and cycles are plausible."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench import baremetal, cycles, golden, kernels, layers, measured, peers
from ditmos.bench.blocks import profile
from ditmos.errors import DitmosError
from ditmos.model.lanes import lane_channels
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import encode
from ditmos.planner import whole_plan
from ditmos.training.shapes import describe

pytestmark = pytest.mark.skipif(
    bool(baremetal.missing_tools()), reason=f"not installed: {', '.join(baremetal.missing_tools())}"
)
READING_THE_TIMER = 20  # at most so many of a part's instructions are not between the timer's readings


@pytest.fixture(scope="module")
def small() -> tuple[bytes, bytes]:
    """A network of one convolution, and its golden vectors."""
    return network(40)


def network(window: int) -> tuple[bytes, bytes]:
    spec = NetworkSpec(window, 3, 5, 1, BranchSpec((ConvSpec(4, 9),)))
    model = measured.trained_like(spec)
    case = golden.Case(0, model, golden.random_windows(np.random.default_rng(0), spec, 1))
    return encode(model, whole_plan(spec)), golden.vectors(case)


def test_emulator_and_qemu_agree(models_elf: Path, small: tuple[bytes, bytes]) -> None:
    """What the emulator counts beside the timer depends on the compiler, not on the model."""
    beside = []
    for model in (small, network(64)):
        run = baremetal.run_models(models_elf, [model])[0]
        counted = [
            cycles.instructions(models_elf, part) for part in profile(models_elf, baremetal.models_input([model]))
        ]
        assert run.differing == 0
        beside.append([n - timed for n, timed in zip(counted, [run.load, *run.slices], strict=True)])
    assert beside[0] == beside[1]
    assert all(0 <= n <= READING_THE_TIMER for n in beside[0])


def test_loads_and_cycles(models_elf: Path, small: tuple[bytes, bytes]) -> None:
    for part in profile(models_elf, baremetal.models_input([small])):
        instructions = cycles.instructions(models_elf, part)
        loads, size = cycles.loads(models_elf, part)
        assert 0 < loads < instructions
        assert loads <= size <= 60 * loads
        if cycles.find_mca():  # at most two instructions a cycle; stalls are bounded
            assert instructions / 2 <= cycles.cycles(models_elf, part) <= 3 * instructions


def test_a_refused_model_and_wrong_bytes(models_elf: Path, small: tuple[bytes, bytes]) -> None:
    model, vectors = small
    with pytest.raises(DitmosError, match="model 0 is refused"):
        baremetal.run_models(models_elf, [(model[:-4], vectors)])
    changed = vectors[:-1] + bytes([vectors[-1] ^ 1])
    assert baremetal.run_models(models_elf, [(model, changed)])[0].differing == 1


def test_reference_network_runs_in_lanes() -> None:
    """The bars are about three-lane kernels: every channel of the bench's networks fits, as after an export."""
    for model in (kernels.reference_model(), kernels.wide_layer_model()):
        for shape, layer in zip(model.spec.classifier_layers(), model.classifiers[0], strict=True):
            assert shape.kind == "fc" or lane_channels(layer).all()


def test_searched_networks_are_those_of_the_results() -> None:
    """The networks beside other libraries are `best` of docs/results/summary.json."""
    rows = json.loads((Path(__file__).parents[2] / "docs" / "results" / "summary.json").read_text())
    best = {(row["data"], row["budget"]): row["shape"] for row in rows if row["method"] == "best"}
    for network in peers.NETWORKS:
        assert describe(layers.spec_of(network)) == best[network.data, network.budget], network.name


def test_a_shape_beside_a_peer(models_elf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instructions per MAC of a convolution with the engine, and its bars."""
    shape = peers.Shape(8, 8, 1, 16, peer=6.18, bar=3.0)
    monkeypatch.setattr(layers, "SHAPES", (shape,))
    figures, bars = layers.measure_shapes(models_elf, lambda _: None)
    assert figures[0]["macs"] == 8 * 8 * 16
    assert 1 < figures[0]["instructions_per_mac"] < 6
    assert [row["bar"] for row in bars] == [3.0, 4.12]
