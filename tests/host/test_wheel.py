"""The wheel, installed into a folder of its own: every module imports, and the short path runs with no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.firmware.build import build
from ditmos.paths import checkout

TIMEOUT = 240.0  # seconds, on a busy machine
Run = Callable[..., str]

IMPORT_ALL = """
import importlib, pkgutil, ditmos
for module in pkgutil.walk_packages(ditmos.__path__[:1], "ditmos."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import ditmos.framing, ditmos.routing
print(ditmos.__file__)
print(ditmos.routing.__file__)
"""
MODEL = """
from pathlib import Path
import numpy as np
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.datasets import Dataset, save
from ditmos.model.signal import Signal
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
rng = np.random.default_rng(3)
branch = BranchSpec((ConvSpec(4, 9, stride=2), ConvSpec(4, 5)))
spec = NetworkSpec(151, 3, 17, 6, branch, branch, aggregate=(1,))
names = tuple(f"class {i}" for i in range(spec.classes))
model = made_for(random_model(rng, spec, Style.TRAINED), Signal.of(names, ("x", "y", "z"), "g", 1.0, 50.0))
write_model(Path("model.dtm"), model, whole_plan(spec))
n = 40
x = rng.normal(size=(n, spec.window, spec.channels)).astype(np.float32)
y = np.arange(n) % spec.classes
save(Dataset(x=x, y=y, subject=y * 0, group=np.arange(n), class_names=names, channels=("x", "y", "z"),
             scale=1.0, units="g", fs=50.0, name="drawn").check(), Path("data.npz"))
"""
# The sensor that the wheel brings, at a rate that a simulated board keeps on a busy machine.
SENSOR = """
import sys
from pathlib import Path
Path("slow.py").write_text(Path(sys.argv[1]).read_text().replace("rate = 50", "rate = 10"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but what the wheel brings."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-cache-dir"]
    build = [*pip, "wheel", str(checkout()), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run(build, check=True, timeout=TIMEOUT)
    (wheel,) = folder.glob("ditmos-*.whl")
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True, timeout=TIMEOUT)
    return site


@pytest.fixture(scope="module")
def environment(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of someone who has no checkout: the wheel comes before anything else, caches are empty."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    home = str(tmp_path_factory.mktemp("home"))
    return kept | {"PYTHONPATH": str(installed), "HOME": home, "XDG_CACHE_HOME": f"{home}/cache"}


@pytest.fixture(scope="module")
def run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``python ...`` in an empty folder; what it prints, and the test fails where it fails."""
    folder = tmp_path_factory.mktemp("empty")

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout

    return call


def test_every_module_imports(run: Run, installed: Path) -> None:
    package, routing = run("-c", IMPORT_ALL).splitlines()
    assert Path(package) == installed / "ditmos" / "__init__.py"
    assert Path(routing) == installed / "ditmos" / "_sources" / "device" / "ditmos" / "routing.py"


def test_what_firmware_is_built_from_is_all_there(installed: Path) -> None:
    root = checkout()
    assert root is not None
    tracked = subprocess.run(
        ["git", "-C", str(root), "ls-files", "boards", "cmodule", "device"], capture_output=True, text=True, check=True
    ).stdout.split()
    if not tracked:
        pytest.skip("this checkout has no git")
    copies = installed / "ditmos" / "_sources"
    assert [name for name in tracked if not (copies / name).is_file()] == []


@pytest.fixture(scope="module")
def port(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A simulated board, started by the installed package with the firmware in the user's cache folder."""
    if not shutil.which("qemu-system-arm"):
        pytest.skip("qemu-system-arm is not installed")
    try:
        firmware = build("sim").path  # brought up to date
    except DitmosError as error:
        if "not found" in str(error) or "no source" in str(error):
            pytest.skip(str(error))
        raise
    cached = Path(environment["XDG_CACHE_HOME"]) / "ditmos" / "firmware" / "sim" / firmware.name
    cached.parent.mkdir(parents=True)
    shutil.copyfile(firmware, cached)
    command = [sys.executable, "-m", "ditmos", "sim", "--icount"]
    with subprocess.Popen(
        command, cwd=tmp_path_factory.mktemp("sim"), env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(TIMEOUT)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_the_short_path_from_an_empty_folder(run: Run, port: str, installed: Path) -> None:
    before = files(installed)

    def ditmos(*arguments: str) -> str:
        return run("-m", "ditmos", *arguments)

    run("-c", MODEL)
    ditmos("plan", "model.dtm", "--fastest", "-o", "fast.dtm")
    assert "CRC" in ditmos("deploy", "fast.dtm", "--port", port)
    assert "equal, byte for byte" in ditmos("verify", "fast.dtm", "--port", port, "--count", "2")
    results = ditmos("stream", "--port", port, "--source", "data.npz", "--count", "3")
    assert len(results.splitlines()) == 3
    ditmos("route", "top1", "fallback(8)", "--model", "fast.dtm", "--data", "data.npz", "--part", "all")
    run("-c", SENSOR, ditmos("device", "sensors.py").strip())
    takes = ("--labels", "walk,run", "--seconds", "1", "--takes", "1", "--window", "8", "--no-ask")
    ditmos("record", "--port", port, "--sensor", "slow.py:Simulated", *takes, "--out", "mine.npz")
    script = ditmos("device", "bench.py").strip()
    measured = run("-m", "mpremote", "connect", port, "run", script)
    assert "select" in measured
    assert files(installed) == before  # outputs go elsewhere


def test_the_boards_scripts_can_be_copied(run: Run, tmp_path: Path) -> None:
    copied = Path(run("-m", "ditmos", "device", "infer.py", "--copy", str(tmp_path / "mine")).strip())
    assert copied == tmp_path / "mine" / "infer.py" and copied.is_file()
    assert (tmp_path / "mine" / "ditmos" / "routing.py").is_file()
    assert not list((tmp_path / "mine").rglob("*.c"))
