"""Every shipped policy on every kind of model: the reference, the lab, MicroPython and the simulated board agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.route import Logits, decide
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.link.stream import classify
from ditmos.link.verify import verify
from ditmos.model.policy import own_policy
from ditmos.model.reader import read_model
from ditmos.model.reference import Model
from ditmos.model.use import Use
from ditmos.paths import SOURCES
from ditmos.routing import FOREST, SELECTOR, SHIPPED
from ditmos.simulated.qemu import Simulator
from policy_models import FORESTS, KINDS, POLICIES, Expected, check, refused, write_models

SCRIPT = Path(__file__).parent / "policy_checks.py"
WINDOWS = 24
SOURCE_PATH = {**os.environ, "MICROPYPATH": f"{SOURCES / 'device'}:.frozen"}


def built(target: str) -> Path:
    try:
        return firmware(target).path
    except DitmosError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Expected:
    return write_models(tmp_path_factory.mktemp("policies"), WINDOWS)


def test_they_are_all_tried(expected: Expected) -> None:
    """And decide differently: none is another one by a slip."""
    assert {policy for policy, _ in POLICIES} == set(SHIPPED)
    kinds = ("routed", "early", "forest-first", "forest-early")
    answers = [str([expected.answers[kind, *entry] for kind in kinds]) for entry in POLICIES]
    assert len(set(answers)) == len(POLICIES) - 1  # early(NEVER) is top1
    assert SELECTOR in {row[1] for row in expected.answers["early", "early", (10, 60)]}
    for kind in FORESTS.keys() - {"forest"}:
        assert FOREST in {row[1] for row in expected.answers[kind, "first", (6, 4)]} != {FOREST}


def test_the_lab_decides_alike(expected: Expected) -> None:
    for kind, spec in (KINDS | FORESTS).items():
        quantized = read_model(expected.folder / f"{kind}.dtm")[0]
        data = (expected.folder / f"{kind}.windows").read_bytes()
        model, rows = Model(quantized), None
        windows = np.frombuffer(data, np.int16 if kind in FORESTS else np.int8).reshape(-1, spec.window, spec.channels)
        if kind in FORESTS:
            rows, windows = windows, np.ascontiguousarray(model.quantize(windows))
        logits = Logits.of(model, windows, rows)
        for policy, settings in POLICIES:
            used = own_policy(replace(quantized, use=Use(policy, quantized.use.rule, settings)))
            if why := refused(kind, policy):
                with pytest.raises(DitmosError, match=why):
                    decide(used, model, windows, logits)
                continue
            found = decide(used, model, windows, logits)
            answers = np.stack([found.label, found.who, found.runs], 1).tolist()
            assert answers == expected.answers[kind, policy, settings], (kind, policy)


def test_micropython_decides_alike(expected: Expected) -> None:
    command = [built("unix"), "-X", "heapsize=4m", SCRIPT, expected.folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=SOURCE_PATH)
    assert done.returncode == 0, done.stdout + done.stderr
    check(expected, done.stdout)


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
def test_the_simulated_board_decides_alike(expected: Expected) -> None:
    with Simulator(built("sim"), serial="socket") as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.port, "mount", expected.folder, "run", SCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    check(expected, done.stdout)


@pytest.mark.slow
def test_the_long_version(tmp_path: Path) -> None:
    """Ten times as many windows on MicroPython."""
    many = write_models(tmp_path, 10 * WINDOWS)
    command = [built("unix"), "-X", "heapsize=8m", SCRIPT, many.folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=SOURCE_PATH)
    assert done.returncode == 0, done.stdout + done.stderr
    check(many, done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
def test_verify_and_stream_take_every_kind(expected: Expected) -> None:
    """On the simulated board, by the policy that each file names."""
    with Simulator(built("sim")) as simulated, Board(simulated.port) as board:
        for kind, spec in (KINDS | FORESTS).items():
            path, fed = expected.folder / f"{kind}.dtm", kind in FORESTS
            data = np.frombuffer((expected.folder / f"{kind}.windows").read_bytes(), np.int16 if fed else np.int8)
            windows, model = data.reshape(-1, spec.window, spec.channels)[:6], Model(read_model(path)[0])
            q = np.ascontiguousarray(model.quantize(windows)) if fed else windows
            report = verify(board, path, q, samples=windows if fed else None)
            assert report.equal and report.windows == 6, (kind, report.to_dict())
            deploy(board, path, Place.ram)
            logits = Logits.of(model, q, windows if fed else None)
            wanted = decide(own_policy(model.model), model, q, logits)
            found = [(result.label, result.who) for result in classify(board, windows)]
            assert found == list(zip(wanted.label.tolist(), wanted.who.tolist(), strict=True)), kind


@pytest.mark.parametrize("kind", KINDS)
def test_infer_runs_with_the_policy_of_the_file(kind: str, expected: Expected, tmp_path: Path) -> None:
    shutil.copy(expected.folder / f"{kind}.dtm", tmp_path / "model.dtm")
    spec = KINDS[kind]
    data = np.frombuffer((expected.folder / f"{kind}.windows").read_bytes(), np.int8)
    np.save(tmp_path / "windows.npy", data.reshape(-1, spec.window, spec.channels))
    for arguments in ([], ["--json"]):
        command = [built("unix"), SOURCES / "device" / "infer.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 0 and not done.stdout.startswith("infer:"), done.stdout + done.stderr
        if not arguments:
            policy = "average" if refused(kind, "top1") else "top1"
            first = expected.answers[kind, policy, ()][0]
            name = "all classifiers" if policy == "average" else f"classifier {first[1]}"
            assert done.stdout.splitlines()[0].split("class ")[1].split(" us")[0].split()[1:-1] == name.split()
