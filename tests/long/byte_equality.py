"""Every window of every set of ../shared/data, every plan on the front of one model a set: the kernels on the simulated
Cortex-M7 give the bytes of the reference, and the C front end, under sanitizers, the rows that the set was made into.

The models are not trained: their shape is that of `ditmos train` without a search, their weights are drawn. The front
ends and the scale of each channel are those of the set.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from ditmos.bench import baremetal
from ditmos.bench.golden import Style, random_model
from ditmos.datasets import load
from ditmos.frontends.memory import memory
from ditmos.frontends.section import encode as encode_front
from ditmos.model.inputs import InputChannel, quantize_input
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Int8, Model
from ditmos.model.spec import NetworkSpec
from ditmos.model.writer import encode
from ditmos.paths import data_folders
from ditmos.planner import front
from ditmos.training.data import DataConfig, load_prepared
from ditmos.training.template import shape
from drivers import FrontDriver, compile_driver
from longrun import LongRun, Piece

SETS = {
    "unimib_falls": DataConfig(),
    "sisfall": DataConfig(),
    "eeg_workload": DataConfig(front_end="log-bands"),
    "stress": DataConfig(front_end="vitals"),
    "keywords_audio": DataConfig(front_end="log-mel"),
    "keywords40_logmel": DataConfig(),
}
WIDTH, CLASSIFIERS = 0.6, 3
AT_ONCE = 1000  # windows that the simulated board is given
PUSH = 0  # of frontend_driver.c
LONGEST = 3600  # seconds for those


def inputs_of(rows: np.ndarray, names: tuple[str, ...]) -> tuple[InputChannel, ...]:
    """Each channel with a scale of its own, over what it has in the set."""
    low, high = (np.minimum(rows.min((0, 1)), 0), np.maximum(rows.max((0, 1)), 1e-6))
    scale = (high - low) / 255
    return tuple(
        InputChannel.of(float(step), round(float(-128 - least / step)), 1.0, name, "")
        for step, least, name in zip(scale, low, names, strict=True)
    )


def spec_of(rows: int, channels: int, classes: int) -> NetworkSpec:
    """Of a set's windows."""
    found = shape((rows, channels, classes), WIDTH, bands=channels > 9)
    return replace(found, classifiers=CLASSIFIERS, selector_outputs=CLASSIFIERS)


def vectors(model: Model, windows: Int8) -> bytes:
    """As `ditmos.bench.golden.vectors`."""
    parts = [windows.reshape(len(windows), -1), model.select_batch(windows)]
    parts.append(model.classify_batch(windows).reshape(len(windows), -1))
    return pack("<I", len(windows)) + np.hstack(parts).tobytes()


def check_front(driver: FrontDriver, prepared: Any) -> int:
    """Rows that were compared: the front end over every window's samples."""
    made, window = prepared.front, prepared.rows.x.shape[1]
    section = encode_front(made, 0, memory(made, window).kept)
    for i, (samples, rows) in enumerate(zip(prepared.samples, made(prepared.samples), strict=True)):
        answer, found = driver.ask(section, window, made.channels_out, samples, [PUSH | len(samples)], i % 4)
        assert answer.startswith("ok") and np.array_equal(found[-len(rows) :], rows), f"window {i}: {answer}"
    return len(prepared.samples) * window


def check_set(folder: Path, number: int) -> tuple[int, dict[str, Any]]:
    """All windows of one set through all plans."""
    name, config = list(SETS.items())[number % len(SETS)]
    file = next((place for folder in data_folders() if (place := folder / f"{name}.npz").is_file()), None)
    if file is None:
        pytest.skip(f"{name}.npz is not there: set DITMOS_DATA")
    prepared = load_prepared(config, load(file))
    rows = 0
    if prepared.front:
        driver = FrontDriver(compile_driver("frontend_driver.c", folder))
        rows = check_front(driver, prepared)
        driver.close()
    dataset = prepared.dataset
    real = np.ascontiguousarray(dataset.real(np.arange(len(dataset))).transpose(0, 2, 1))
    rng = np.random.default_rng(number)
    spec = spec_of(*real.shape[1:], len(dataset.class_names))
    model = replace(random_model(rng, spec, Style.TRAINED), inputs=inputs_of(real, dataset.channels))
    windows = quantize_input(real.astype(np.float32), model.inputs)
    plans = [candidate.plan for candidate in front(spec, model, once=True)]
    differing = run_plans(baremetal.build_models(folder=folder), model, plans, windows)
    assert not any(differing.values()), f"{name}: {differing}"
    answers = len(windows) * len(plans) * (CLASSIFIERS + 1)
    told = f"{len(windows)} windows, {len(plans)} plans, {spec.macs} MACs, {rows} rows of a front end"
    return 1, {name: told, "answers": answers, "differing": 0}


def run_plans(elf: Path, model: QuantizedModel, plans: list[Any], windows: Int8) -> dict[str, int]:
    """Bytes that differ, by plan."""
    files = [encode(model, plan) for plan in plans]
    differing = {plan.name: 0 for plan in plans}
    reference = Model(model)
    for first in range(0, len(windows), AT_ONCE):
        golden = vectors(reference, windows[first : first + AT_ONCE])
        for plan, file in zip(plans, files, strict=True):
            (run,) = baremetal.run_models(elf, [(file, golden)], LONGEST)
            differing[plan.name] += run.differing
    return differing


@contextmanager
def opened(_: Path) -> Iterator[Piece]:
    with tempfile.TemporaryDirectory() as folder:
        yield lambda number: check_set(Path(folder), number)


RUNS = [LongRun("byte-equality", len(SETS), "sets", opened)]
