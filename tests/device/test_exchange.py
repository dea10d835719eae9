"""Another policy in the stream of a sensor, on MicroPython's unix port: from which result on it decides."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
from deployed import small_spec
from ditmos.bench.golden import Style, random_model
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import whole_plan

HOP = 4
RUN = """
import json, struct
import ditmos
from ditmos.framing import RESULT, RESULT_LAYOUT, SETUP
from ditmos.sensing import Sensing
from ditmos.session import Setup

ditmos.capture.STILL = 1 << 30
model = ditmos.load_model()

class Sensor:
    channels = ("",) * len(model.inputs)
    units, rate, scale = "", model.rate, [channel[4] for channel in model.inputs]
    def readinto(self, block):
        return len(block)

class Line(Setup):  # of a server before, whose line is gone on with
    sure, asked = 1, False
    def __init__(self):
        self.port = self.link = self.decoder = self
        self.names, self.text = {"_model": model}, b""
    def read(self, ms, sure):  # what the host has said while the sensor was waited for
        if server.answers == 5 and not self.asked:
            self.asked = True
            server._message(SETUP, json.dumps({"policy": "lambda m, w: (m.select(w), (1, 1))[1]"}).encode())
        return 0
    def queued(self):
        return 0
    def send(self, kind, payload):
        if kind == SETUP:
            print("first", json.loads(payload)["first"])
        elif kind == RESULT:
            print(*struct.unpack_from(RESULT_LAYOUT, payload)[:3])

server = Sensing(model, lambda m, w: (m.select(w), (0, 0))[1], Sensor(), %d, False, None, Line())
while server.answers < 12:
    server.step()
"""


def test_the_result_that_was_decided_is_the_old_policys(micropython: Path, tmp_path: Path) -> None:
    """Of a model without a front end every step decides, and what the host asks is heard before that is sent."""
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")
    spec = small_spec()
    write_model(tmp_path / "model.dtm", random_model(np.random.default_rng(3), spec, Style.TRAINED), whole_plan(spec))
    (tmp_path / "run.py").write_text(RUN % HOP)
    done = subprocess.run([micropython, "run.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    (first,) = [int(line.split()[1]) for line in said if line.startswith("first")]
    results = [line.split() for line in said if not line.startswith("first")]
    assert len(results) > first + 3 > 6
    assert results == [[str(i), *("11" if i >= first else "00")] for i in range(len(results))]
