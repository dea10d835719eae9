"""ditmos.listen on MicroPython's unix port, against the reference on the same samples."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from ditmos.bench.golden_feeds import model_with_front
from ditmos.bench.golden_fronts import random_samples
from ditmos.events import Watched, majority
from ditmos.frontends.memory import memory
from ditmos.model.reference import Model
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import stream_plan
from ditmos.routing import top1

HOP = 3
RUN = """
import sys
from array import array
import ditmos
from ditmos.events import majority

class Sensor:
    def __init__(self, model):
        self.channels, self.rate = ("",) * model.raw_channels, model.raw_rate
        self.units, self.scale = model.raw_units, model.raw_scale
        self.samples = memoryview(array("h", open("samples", "rb").read()))

    def readinto(self, block):
        count = min(len(block), len(self.samples))
        block[:count] = self.samples[:count]
        self.samples = self.samples[count:]
        return count

ditmos.capture.STILL = 1 << 30  # random samples may well be still
engine = ditmos.load()
for answer in ditmos.listen(engine, Sensor(engine.model), hop=%d):
    print(*answer)
for event in ditmos.listen(engine, Sensor(engine.model), hop=%d, events=majority(3, 2)):
    print("event", event)
"""


def test_answers_are_those_of_the_reference(micropython: Path, tmp_path: Path) -> None:
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")
    said = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        quantized = model_with_front(rng)
        if quantized.spec.classifiers > 1 and quantized.spec.selector_outputs != quantized.spec.classifiers:
            continue  # top1 is not for it
        plan = stream_plan(quantized.spec, memory(quantized.front_end, quantized.spec.window))
        write_model(tmp_path / "model.dtm", quantized, plan)
        model = Model(quantized)
        blocks = model.raw_window // model.raw_hop + 40
        samples = random_samples(rng, blocks * model.raw_hop, model.raw_channels)
        (tmp_path / "samples").write_bytes(samples.tobytes())
        expected, events = [], []
        hear = majority(3, 2)
        missing, watched = model.window, Watched(model)
        for piece in samples.reshape(blocks, -1):
            missing -= model.feed(piece)
            if missing <= 0:
                missing += HOP
                label, k = top1(watched, None)
                expected.append(f"{model.class_names[label]} {k}")
                if (event := hear(watched.scores())) is not None:
                    events.append(f"event {model.class_names[event]}")
        (tmp_path / "run.py").write_text(RUN % (HOP, HOP))
        command = [micropython, "-X", "heapsize=1m", "run.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines() == [*expected, *events]
        said |= set(events)
    assert said
