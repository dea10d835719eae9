"""`_ditmos` as Python sees it, on MicroPython's unix port: the checks are in module_checks.py."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.bench.golden_feeds import feed_case
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware
from ditmos.firmware.natmod import build as build_natmod
from ditmos.model.inputs import InputChannel, last_not_finite, quantize_input
from ditmos.model.plan import slice_name
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.use import Rule, Use
from ditmos.model.writer import encode
from ditmos.planner import front, whole_plan
from ditmos.simulated.qemu import Simulator

CMODULE = Path(__file__).parents[2] / "cmodule"


def built(target: str) -> Path:
    """`make test` builds the firmware first."""
    try:
        return firmware(target).path
    except DitmosError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def micropython() -> Path:
    return built("unix")


@pytest.fixture(scope="module")
def model() -> QuantizedModel:
    """Channels around zero, far from it, and between them one that is left out."""
    model = golden.random_model(np.random.default_rng(0), reference_spec(), golden.Style.TRAINED)
    inputs = (
        InputChannel.of(1 / 64, -3, 1 / 4096, "ax", "g"),
        InputChannel.of(1.0, 7, 1.0, "ö", "", used=False),
        InputChannel.of(0.3, -337750, 4.0, "pressure", "Pa"),
        InputChannel.of(0.02, 5, 1 / 16, "az", "g"),
    )
    return replace(model, inputs=inputs, rate=50.0, use=Use("early", Rule.SELECTOR, (-5, 2**31 - 1)))


def quantize_cases(model: QuantizedModel) -> dict[str, np.ndarray]:
    """Rows by array typecode: halves to even, saturation, infinities, NaN, values at random. The last row is finite."""
    rng = np.random.default_rng(1)
    real = golden.random_rows(rng, model, 500)
    scale, zero_point = (np.array([getattr(c, name) for c in model.inputs]) for name in ("scale", "zero_point"))
    halves = (np.arange(-300, 300)[:, None] + 0.5 - zero_point) * scale
    width = len(model.inputs)
    odd = np.array([0, 1e30, -1e30, np.inf, -np.inf, np.nan])[:, None] * np.ones(width)
    wide = rng.integers(-32768, 32768, (300, width))
    samples = np.concatenate([golden.raw_samples(real, model), wide, [[-32768] * width, [32767] * width]])
    real = np.concatenate([real, halves, odd, rng.permuted(odd, axis=0), real[:1]])
    return {"f": real.astype(np.float32), "h": samples.astype(np.int16)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: QuantizedModel) -> Path:
    folder = tmp_path_factory.mktemp("module")
    names = []
    for case in golden.cases(12, windows=2, max_rows=80, max_classifiers=4):
        names.append(str(case.seed))
        (folder / f"{case.seed}.dtm").write_bytes(encode(case.model, whole_plan(case.model.spec)))
        (folder / f"{case.seed}.vec").write_bytes(golden.vectors(case))
    branch = BranchSpec((ConvSpec(4, 7), ConvSpec(4, 5)), (8,))
    spec = NetworkSpec(60, 3, 5, 3, branch, branch, aggregate=(1, 2))
    rng = np.random.default_rng(2)
    small = golden.Case(0, golden.random_model(rng, spec), golden.random_windows(rng, spec, 2))
    for i, candidate in enumerate(front(spec, small.model)):
        names.append(f"plan{i}")
        (folder / f"plan{i}.dtm").write_bytes(encode(small.model, candidate.plan))
        (folder / f"plan{i}.vec").write_bytes(golden.vectors(small))
    single = next(c.plan for c in front(spec, small.model, once=True) if c.plan.once)
    (folder / "once.dtm").write_bytes(encode(small.model, single))
    (folder / "once.vec").write_bytes(golden.vectors(small))
    (folder / "names").write_text(" ".join(names))
    (folder / "reference.dtm").write_bytes(encode(model, whole_plan(model.spec)))
    for seed in range(24):
        case = feed_case(seed)
        (folder / f"feed{seed}.dtm").write_bytes(encode(case.model, case.plan))
        (folder / f"feed{seed}.samples").write_bytes(case.samples.tobytes())
        (folder / f"feed{seed}.script").write_text(case.script)
    (folder / "feeds").write_text(" ".join(f"feed{seed}" for seed in range(24)))
    for code, values in quantize_cases(model).items():
        last = pack("<I", last_not_finite(values, model.inputs))
        (folder / f"quantize.{code}").write_bytes(
            last + values.tobytes() + quantize_input(values, model.inputs).tobytes()
        )
    return folder


def put_natmod(architecture: str, folder: Path) -> None:
    """The native module, under a name of its own: the firmware has a `_ditmos`."""
    try:
        [built] = build_natmod([architecture])
    except DitmosError as error:
        pytest.skip(str(error))
    for package in ("package.json", "package-alone.json"):
        for _, file in json.loads((built.folder / package).read_text())["urls"]:
            assert (built.folder / file).is_file(), file
    shutil.copyfile(built.path, folder / "ditmos_natmod.mpy")


@pytest.mark.parametrize("kind", ["firmware", "natmod"])
def test_module(micropython: Path, folder: Path, model: QuantizedModel, kind: str, tmp_path: Path) -> None:
    if kind == "natmod":
        put_natmod("x64", tmp_path)
    script = Path(__file__).parent / "module_checks.py"
    plan = whole_plan(model.spec)
    layers = [*model.spec.selector_layers(), *model.spec.classifier_layers()]
    values = {
        **{name: getattr(model.spec, name) for name in ("window", "channels", "classes", "classifiers")},
        **{name: getattr(model, name) for name in ("selector_zero_point", "logit_zero_point")},
        **{name: getattr(Model(model), name) for name in ("policy", "margins", "routes", "exits")},
        "arena_size": plan.arena_size,
        "class_names": model.class_names,
        "slices": tuple(
            slice_name([layers[s.layer] for s in plan.stages[part.first :][: part.count]]) for part in plan.slices
        ),
    }
    scales = ("rate", "selector_scale", "logit_scale")
    done = subprocess.run(
        [micropython, "-X", "heapsize=8m", script, folder, *values, *scales, "inputs"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"MICROPYPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    description, *lines = done.stdout.splitlines()
    shown = dict(line.split(" ", 1) for line in lines)
    for name, value in values.items():
        assert ast.literal_eval(shown[name]) == value, name
    for found, channel in zip(ast.literal_eval(shown["inputs"]), model.inputs, strict=True):
        scales_of = tuple(pytest.approx(value) for value in (channel.scale, channel.sample_scale))
        assert found == (*channel[:2], scales_of[0], channel.zero_point, scales_of[1], channel.used)
    for name in scales:
        assert float(shown[name]) == pytest.approx(getattr(model, name), rel=1e-6), name
    assert description == f"<Model: window 151 x 3, 17 classes, 6 classifiers, arena {plan.arena_size} bytes>"


def test_stub_has_what_the_module_has(micropython: Path, folder: Path) -> None:
    """Names in _ditmos.pyi against dir()."""
    code = "import _ditmos; m = _ditmos.Model(open('reference.dtm', 'rb').read()); print(dir(_ditmos), dir(m))"
    done = subprocess.run([micropython, "-c", code], cwd=folder, capture_output=True, text=True, timeout=30)
    module, attributes = (ast.literal_eval(f"[{part}]") for part in done.stdout.strip()[1:-1].split("] ["))
    tree = ast.parse((CMODULE / "_ditmos.pyi").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    [described] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    members = {node.name for node in described.body if isinstance(node, ast.FunctionDef)} - {"__init__"}
    annotated = {node.target.id for node in described.body if isinstance(node, ast.AnnAssign)}
    assert {name for name in module if not name.startswith("__")} == functions
    assert {name for name in attributes if not name.startswith("__")} == members | annotated


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
@pytest.mark.parametrize(
    "kind", ["firmware", *(pytest.param(name, marks=pytest.mark.slow) for name in ("armv7emsp", "armv7emdp"))]
)
def test_module_on_the_simulated_board(folder: Path, kind: str) -> None:
    """The same checks on a Cortex-M7: its kernels and its quantisation."""
    if kind != "firmware":
        put_natmod(kind, folder)
    with Simulator(built("sim"), serial="socket") as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.port, "mount", folder]
        script = Path(__file__).parent / "module_checks.py"
        done = subprocess.run([*command, "run", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<Model: window 151 x 3" in done.stdout
