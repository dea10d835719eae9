"""device/ditmos and device/infer.py on MicroPython's unix port."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from deployed import small_spec
from ditmos.bench.golden import Style, random_model, random_rows, raw_samples
from ditmos.framing import NOBODY
from ditmos.model.reference import Model
from ditmos.model.spec import reference_spec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import front, whole_plan

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SPEC = reference_spec()


@pytest.fixture
def run(micropython: Path, tmp_path: Path) -> Run:
    """Run MicroPython with the repository's device/ditmos in a folder of its own."""
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [micropython, "-X", "heapsize=1m", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return start


@pytest.fixture
def model(tmp_path: Path) -> Model:
    quantized = random_model(np.random.default_rng(3), SPEC, Style.TRAINED)
    write_model(tmp_path / "model.dtm", quantized, whole_plan(SPEC))
    return Model(quantized)


def raw_windows(model: Model, count: int, dtype: str) -> np.ndarray:
    real = random_rows(np.random.default_rng(4), model.model, count * SPEC.window).reshape(count, SPEC.window, -1)
    return raw_samples(real, model.model) if dtype == "<i2" else real.astype(dtype)


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
def test_infer_equals_reference(run: Run, model: Model, tmp_path: Path, dtype: str) -> None:
    raw = raw_windows(model, 8, dtype)
    np.save(tmp_path / "windows.npy", raw)
    done = run(str(SOURCES / "device" / "infer.py"), "--json")
    head, *rows = map(json.loads, done.stdout.splitlines())
    assert head == {"windows": 8, "classes": SPEC.classes, "arena": whole_plan(SPEC).arena_size, "policy": "top1"}
    x = model.quantize(raw)
    selector, classes = model.select_batch(x), model.classify_batch(x)
    for i, row in enumerate(rows):
        assert bytes.fromhex(row["selector"]) == selector[i].tobytes()
        assert row["k"] == selector[i].argmax()
        assert bytes.fromhex(row["logits"]) == classes[i, row["k"]].tobytes()
        assert row["label"] == classes[i, row["k"]].argmax()


def test_text_and_count(run: Run, model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", raw_windows(model, 8, "<i2"))
    done = run(str(SOURCES / "device" / "infer.py"), "--count", "3")
    *lines, summary = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    assert summary.startswith("3 windows, ")


def test_policy_may_be_replaced_and_abstain(run: Run, model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", raw_windows(model, 1, "<i2"))
    code = (
        "import ditmos; e = ditmos.load(); w = ditmos.windows()[0]; a = e(w)\n"
        "e.policy = lambda model, window: (None, None)\nprint(a[1] in range(6), e(w))"
    )
    assert run("-c", code).stdout.strip() == f"True (None, {NOBODY})"


@pytest.mark.parametrize("dtype", ["<i2", "<f4", "|i1", "|u1", "<i8"])
@pytest.mark.parametrize("shape", [(3,), (4, 5), (2, 3, 4)])
def test_numpy_files(run: Run, tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    done = run("-c", "import ditmos\nw = ditmos.windows('a.npy')\nprint([list(w[i]) for i in range(len(w))], w.shape)")
    rows = np.atleast_2d(array.reshape(shape[0], -1)).tolist()
    assert done.stdout.strip() == f"{rows} {shape}", done.stderr


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Of an exception: MicroPython 1.25 prints it to stderr, 1.28 to stdout."""
    return (done.stdout + done.stderr).splitlines()[-1]


def test_slices_of_windows(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", np.arange(30, dtype="<i2").reshape(10, 3))
    code = (
        "import ditmos\nw = ditmos.windows()\n"
        "print([list(x) for x in w[:2]], len(w[2:9:3]), list(w[2:9:3][-1]), [list(x) for x in w[4:][1:2]])\nw[2:4][2]"
    )
    done = run("-c", code)
    assert done.stdout.splitlines()[0] == "[[0, 1, 2], [3, 4, 5]] 3 [24, 25, 26] [[15, 16, 17]]"
    assert last_line(done).startswith("IndexError")


def _npy(array: np.ndarray) -> bytes:
    from io import BytesIO

    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


GOOD = _npy(np.zeros((4, 6), "<i2"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04" + bytes(200),
        GOOD[:40],
        _npy(np.zeros((2, 3), ">i2")),
        _npy(np.zeros((2, 3), "<f8")),
        _npy(np.asfortranarray(np.zeros((2, 3), "<i2"))),
        GOOD.replace(b"(4, 6)", b"(4, x)"),
        GOOD.replace(b"(4, 6)", b"(-4,6)"),
        GOOD[:8] + b"\xff\xff" + GOOD[10:],
    ],
)
def test_no_numpy_file(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    done = run("-c", "import ditmos\nditmos.windows('a.npy')")
    assert last_line(done).startswith("ValueError: a.npy: no NumPy array of a type in"), done
    assert "np.save('a.npy', np.ascontiguousarray(x, np.float32)) writes one" in last_line(done)


def test_numpy_file_cut_short(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(GOOD[:-5])
    done = run("-c", "import ditmos\nw = ditmos.windows('a.npy')\nprint(len(w), list(w[2]))\nw[3]")
    assert done.stdout.splitlines()[0] == "4 [0, 0, 0, 0, 0, 0]"
    assert last_line(done) == "ValueError: the file ends inside window 3"


def test_infer_without_files_says_what_is_missing(run: Run, tmp_path: Path) -> None:
    done = run(str(SOURCES / "device" / "infer.py"))
    assert done.stdout.startswith("infer: no model.dtm in ")
    assert done.stdout.count("\n") == 1


def test_infer_with_a_damaged_model(run: Run, model: Model, tmp_path: Path) -> None:
    data = bytearray((tmp_path / "model.dtm").read_bytes())
    data[200] ^= 4
    (tmp_path / "model.dtm").write_bytes(data)
    done = run(str(SOURCES / "device" / "infer.py"))
    assert done.stdout.startswith("infer: crc at offset 12")


def test_a_mounted_model_takes_its_size_once(run: Run, model: Model) -> None:
    """`read` of a file under `mpremote mount` needs twice the size, and what it cannot hold stays on the line."""
    code = (
        "import ditmos, ditmos.engine\n"
        "class Mounted:\n"
        " def __init__(self, path, mode='r'):\n  self.file = open(path, mode)\n  self.seek = self.file.seek\n"
        "  self.readinto = self.file.readinto\n  self.close = self.file.close\n"
        " def __enter__(self):\n  return self\n"
        " def __exit__(self, *args):\n  self.close()\n"
        " def read(self):\n  raise MemoryError\n"
        "ditmos.engine.open = Mounted\nprint(ditmos.load_model().classes)"
    )
    assert run("-c", code).stdout.strip() == str(model.classes)


def test_infer_with_a_model_that_the_heap_does_not_hold(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.dtm").write_bytes(bytes(1 << 21))
    said = run(str(SOURCES / "device" / "infer.py")).stdout
    assert said.startswith("infer: model.dtm has 2097152 bytes, of the heap ")
    assert "`ditmos deploy` puts it into flash" in said


def test_benchmark_of_a_plan_for_one_classify_a_window(run: Run, tmp_path: Path) -> None:
    """What it measures again and again, select has made anew."""
    spec = small_spec()
    network = random_model(np.random.default_rng(3), spec, Style.TRAINED)
    once = next(candidate.plan for candidate in front(spec, network, once=True) if candidate.plan.once)
    write_model(tmp_path / "model.dtm", network, once)
    done = run(str(SOURCES / "device" / "bench.py"), "--repeat", "2", "--json")
    parts = json.loads(done.stdout)["parts"]
    assert {"select", "classify", "policy"} < set(parts)


@pytest.mark.parametrize(
    ("labels", "said"),
    [([0, 1], "labels.npy: 2 labels, windows.npy has 3 windows"), ([0, -1, 1], "labels.npy: -1, expected the number")],
)
def test_labels_that_do_not_fit_are_refused(
    run: Run, model: Model, tmp_path: Path, labels: list[int], said: str
) -> None:
    np.save(tmp_path / "windows.npy", raw_windows(model, 3, "<i2"))
    np.save(tmp_path / "labels.npy", np.array(labels, np.int8))
    assert run(str(SOURCES / "device" / "infer.py")).stdout.startswith("infer: " + said)


def test_an_option_without_its_value_is_refused(run: Run, model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", raw_windows(model, 3, "<i2"))
    said = run(str(SOURCES / "device" / "infer.py"), "--count", "--json").stdout
    assert said == "infer: --count lacks its value, such as --count 3\n"


def test_no_window_is_refused(run: Run, model: Model, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", raw_windows(model, 3, "<i2"))
    said = run(str(SOURCES / "device" / "infer.py"), "--count", "0").stdout
    assert said == "infer: no window: --count is 0, windows.npy has 3\n"


def test_what_cannot_be_is_said_where_it_is_given(run: Run, model: Model) -> None:
    program = """import ditmos
engine = ditmos.load()
def attempt(f):
    try:
        f()
    except (OSError, TypeError, ValueError) as error:
        print(type(error).__name__, error)
attempt(lambda: ditmos.load("nix.dtm"))
attempt(lambda: setattr(engine, "policy", 3))
attempt(lambda: ditmos.load(policy=0))
engine.policy = lambda model, window: 2
attempt(lambda: engine.decide(engine.window))
"""
    lines = run("-c", program).stdout.splitlines()
    assert lines[0].startswith("OSError no nix.dtm: ")
    assert lines[1:3] == [f"TypeError policy is {n}, expected a function of model and window" for n in (3, 0)]
    assert lines[3:] == ["ValueError policy gave 2, expected a class's index (or None) and who answered"]
