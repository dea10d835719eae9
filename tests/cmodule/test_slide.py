"""A window that slides over a stream gives the bytes that the reference gives for each window by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.model.plan import Buffer, BufferKind, Plan, Slice, Stage
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.writer import encode
from ditmos.planner import stream_plan, whole_plan
from drivers import block


@pytest.fixture(scope="module")
def slide_driver(build_driver) -> Path:
    return build_driver("slide_driver.c")


def check(driver: Path, model, plan, rng: np.random.Generator, hops: list[int]) -> None:
    """Slide by each of ``hops`` (the first is not used) with classifiers that change now and then."""
    spec = model.spec
    samples = golden.random_windows(rng, spec, 2 + sum(hops) // spec.window)[:-1].reshape(-1, spec.channels)
    samples = np.concatenate([samples, samples])
    chosen = np.repeat(rng.integers(0, spec.classifiers, len(hops)), 3)[: len(hops)]
    script = bytes(v for pair in zip(hops, chosen, strict=True) for v in map(int, pair))
    blocks = encode(model, plan), samples.tobytes(), script
    done = subprocess.run(driver, input=b"".join(map(block, blocks)), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    ends = spec.window + np.cumsum([0, *hops[1:]])
    windows = np.stack([samples[end - spec.window : end] for end in ends])
    reference = Model(model)
    expected = np.concatenate([reference.select_batch(windows), reference.classify_batch(windows, chosen)], axis=1)
    answer = np.frombuffer(done.stdout, np.int8).reshape(len(hops), -1)
    differing = np.flatnonzero((answer != expected).any(axis=1))
    assert not differing.size, f"step {differing[0]} of hops {hops}"


@pytest.mark.parametrize("make_plan", [stream_plan, whole_plan])
def test_random_networks(slide_driver, make_plan):
    rng = np.random.default_rng(5)
    for case in golden.cases(60):
        hops = [int(rng.choice([1, 2, 4, 8, 8, 16, 3, case.model.spec.window])) for _ in range(12)]
        hops = [min(hop, case.model.spec.window) for hop in hops]
        check(slide_driver, case.model, make_plan(case.model.spec), rng, hops)


def test_a_line_buffer_begins_anew(slide_driver):
    """It is proven for runs from row 0 on: six rows are enough for chunks of four that are read two by two, but not
    where the reader goes on at an odd row."""
    spec = NetworkSpec(14, 1, 2, 1, classifier=BranchSpec((ConvSpec(2, 3, 1, 1), ConvSpec(3, 3, 1, 1))))
    maps = ((14, 1, 14), (6, 2, 6), (10, 3, 10), (1, 2, 1))  # window, line buffer, whole map, logits
    offsets = np.cumsum([0] + [channels * stride for _, channels, stride in maps])
    buffers = tuple(
        Buffer(BufferKind.MAP, int(offset), stride, rows, channels)
        for offset, (rows, channels, stride) in zip(offsets, maps, strict=False)
    )
    stages = (Stage(0, 0, 1, 4), Stage(1, 1, 2, 2), Stage(2, 2, 3, 1))
    slices = (Slice("classifier.1-2", 0, 2, "classify"), Slice("classifier.head", 2, 1, "classify"))
    plan = Plan("lines", int(-(-offsets[-1] // 4) * 4), buffers, stages, slices, 0, 3, packings=(0, 0, 0))
    model = golden.random_model(np.random.default_rng(0), spec, golden.Style.TRAINED)
    check(slide_driver, model, plan, np.random.default_rng(8), [5] * 6)


def test_reference_network_at_hop_8(slide_driver):
    rng = np.random.default_rng(6)
    model = golden.random_model(rng, reference_spec(), golden.Style.TRAINED)
    check(slide_driver, model, stream_plan(model.spec), rng, [8] * 60)
