"""`_ditmos` as Python sees it, on MicroPython's unix port: the checks are in module_checks.py."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench import golden
from ditmos.errors import DitmosError
from ditmos.firmware.build import firmware
from ditmos.model.plan import slice_name
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import quantize_input
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
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
    return golden.random_model(np.random.default_rng(0), reference_spec(), golden.Style.TRAINED)


def quantize_cases(model: QuantizedModel) -> dict[str, np.ndarray]:
    """Halves to even, saturation, infinities, NaN and values at random, by array typecode."""
    rng = np.random.default_rng(1)
    halves = (np.arange(-300, 300) + 0.5) * model.input_scale
    real = np.concatenate([rng.normal(0, 100 * model.input_scale, 2000), halves, [0, 1e30, -1e30, np.inf, -np.inf]])
    real = np.append(real, np.nan).astype(np.float32)
    samples = np.concatenate([rng.integers(-300, 300, 1000), rng.integers(-32768, 32768, 1000), [-32768, 32767]])
    return {"f": real, "h": samples.astype(np.int16)}


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
    for code, values in quantize_cases(model).items():
        (folder / f"quantize.{code}").write_bytes(values.tobytes() + quantize_input(values, model).tobytes())
    return folder


def test_module(micropython: Path, folder: Path, model: QuantizedModel) -> None:
    script = Path(__file__).parent / "module_checks.py"
    plan = whole_plan(model.spec)
    layers = [*model.spec.selector_layers(), *model.spec.classifier_layers()]
    values = {
        **{name: getattr(model.spec, name) for name in ("window", "channels", "classes", "classifiers")},
        **{name: getattr(model, name) for name in ("input_zero_point", "selector_zero_point", "logit_zero_point")},
        "arena_size": plan.arena_size,
        "class_names": model.class_names,
        "slices": tuple(
            slice_name([layers[s.layer] for s in plan.stages[part.first :][: part.count]]) for part in plan.slices
        ),
    }
    scales = ("input_scale", "sample_scale", "selector_scale", "logit_scale")
    done = subprocess.run(
        [micropython, "-X", "heapsize=8m", script, folder, *values, *scales], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    description, *lines = done.stdout.splitlines()
    shown = dict(line.split(" ", 1) for line in lines)
    for name, value in values.items():
        assert ast.literal_eval(shown[name]) == value, name
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
def test_module_on_the_simulated_board(folder: Path) -> None:
    """The same checks on a Cortex-M7: its kernels and its quantisation."""
    with Simulator(built("sim"), serial="socket") as board:
        command = [sys.executable, "-m", "mpremote", "connect", board.port, "mount", folder]
        script = Path(__file__).parent / "module_checks.py"
        done = subprocess.run([*command, "run", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<Model: window 151 x 3" in done.stdout
