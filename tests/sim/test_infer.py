"""`mpremote run device/infer.py` and the REPL, against the reference."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from ditmos.bench.golden import Style, made_for, random_model
from ditmos.cli import data as data_cli
from ditmos.datasets import Dataset, save
from ditmos.datasets.synthetic import generate
from ditmos.link.board import Board
from ditmos.link.repl import BoardError
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.paths import SOURCES
from ditmos.planner import whole_plan
from ditmos.simulated.qemu import Simulator
from recording import Recording
from typer.testing import CliRunner

Mpremote = Callable[..., str]


def test_prints_label_classifier_and_time(mpremote: Mpremote, recording: Recording) -> None:
    *lines, used, right = mpremote("run", "device/infer.py").splitlines()
    assert len(lines) == len(recording.windows)
    for i, line in enumerate(lines):
        label = recording.model.class_names[recording.logits[i].argmax()]
        before, after = line.split("classifier")
        assert (
            before.split(maxsplit=1) == [str(i), f"{label} ".ljust(25)] or before.split(maxsplit=1)[1].strip() == label
        )
        assert after.split()[0] == str(recording.choice[i])
        assert int(after.split()[1]) > 0
    counts = np.bincount(recording.choice, minlength=6)
    assert used.endswith("answered by " + ", ".join(f"classifier {k} {n}" for k, n in enumerate(counts) if n))
    assert right == "right: 18 of 24, 75.0 %"


def test_json_equals_reference(mpremote: Mpremote, recording: Recording) -> None:
    output = mpremote("exec", "import sys; sys.argv[:] = ['infer.py', '--json']", "run", "device/infer.py")
    head, *rows = map(json.loads, output.splitlines())
    assert head["windows"] == len(rows) == len(recording.windows)
    for i, row in enumerate(rows):
        assert row["k"] == recording.choice[i]
        assert bytes.fromhex(row["selector"]) == recording.selector[i].tobytes()
        assert bytes.fromhex(row["logits"]) == recording.logits[i].tobytes()
        select, classify, policy = row["ticks"]
        assert 0 < select + classify < policy < 2 * (select + classify)


def test_instruction_counts_repeat(mpremote: Mpremote) -> None:
    arguments = ("exec", "import sys; sys.argv[:] = ['infer.py', '--json', '--count', '4']", "run", "device/infer.py")
    assert mpremote(*arguments) == mpremote(*arguments)


def test_repl_in_three_lines(simulated: Simulator, board: Board, recording: Recording) -> None:
    board.close()
    import serial

    with serial.Serial(simulated.port, timeout=5) as line:
        line.write(b"\x03\r\n")
        line.read_until(b">>> ")
        time.sleep(0.1)
        line.reset_input_buffer()
        for text in ("import ditmos", "engine = ditmos.load()", "engine(ditmos.windows()[3])"):
            line.write(text.encode() + b"\r")
            answer = line.read_until(b">>> ").decode()
    label = recording.model.class_names[recording.logits[3].argmax()]
    assert f"('{label}', {recording.choice[3]})" in answer


def test_files_of_a_mounted_folder(mpremote: Mpremote, recording: Recording) -> None:
    setting = "import sys; sys.argv[:] = ['infer.py', '--count', '2']"
    first, second = mpremote("mount", recording.folder, "exec", setting, "run", "device/infer.py").splitlines()[1:3]
    assert first.split("classifier")[1].split()[0] == str(recording.choice[0])
    assert second.split("classifier")[1].split()[0] == str(recording.choice[1])


def test_mounted_folder_wins(mpremote: Mpremote, recording: Recording, tmp_path: Path) -> None:
    shutil.copytree(SOURCES / "device" / "ditmos", tmp_path / "ditmos")
    routing = tmp_path / "ditmos" / "routing.py"
    routing.write_text(routing.read_text() + "\n\ndef top1(model, window):\n    return 0, 5\n")
    code = "import ditmos; print(ditmos.load()(ditmos.windows()[3]))"
    assert mpremote("mount", tmp_path, "exec", code).splitlines()[-1] == f"('{recording.model.class_names[0]}', 5)"
    assert mpremote("exec", code).splitlines()[-1] != f"('{recording.model.class_names[0]}', 5)"


EDITED = (SOURCES / "device" / "ditmos" / "routing.py").read_text() + "\n\ndef top1(model, window):\n    return 0, 5\n"
CHOICE = "import ditmos; print(ditmos.load()(ditmos.windows()[3])[1])"


def test_one_file_of_a_mounted_folder(mpremote: Mpremote, recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "ditmos").mkdir()
    (tmp_path / "ditmos" / "routing.py").write_text(EDITED)
    assert mpremote("mount", tmp_path, "exec", CHOICE).splitlines()[-1] == "5"
    *_lines, used, _ = mpremote("mount", tmp_path, "run", "device/infer.py").splitlines()
    assert used.endswith(f"answered by classifier 5 {len(recording.windows)}")
    assert mpremote("exec", CHOICE).splitlines()[-1] == str(recording.choice[3]) != "5"


@pytest.mark.parametrize("folder", ["", "/flash/", "/flash/lib/"])
def test_one_file_on_the_board(mpremote: Mpremote, recording: Recording, tmp_path: Path, folder: str) -> None:
    """Also while another folder is mounted, and the file is not in the current one."""
    (tmp_path / "routing.py").write_text(EDITED)
    for made in ("/flash/lib", f"{folder}ditmos"):
        mpremote("exec", f"import os\ntry: os.mkdir({made!r})\nexcept OSError: pass")
    mpremote("fs", "cp", tmp_path / "routing.py", f":{folder}ditmos/routing.py")
    assert mpremote("exec", CHOICE).splitlines()[-1] == "5"
    assert mpremote("mount", tmp_path, "exec", CHOICE).splitlines()[-1] == "5"
    mpremote("fs", "rm", "-r", f":{folder}ditmos")
    assert mpremote("exec", CHOICE).splitlines()[-1] == str(recording.choice[3]) != "5"


def test_edited_file_without_a_reset(board: Board, recording: Recording) -> None:
    board.exec("import ditmos, os, sys\nengine = ditmos.load()\nw = ditmos.windows()[3]\nos.mkdir('/flash/ditmos')")
    board.put(EDITED.encode(), "/flash/ditmos/routing.py")
    board.exec("del sys.modules['ditmos.routing']\nimport ditmos.routing\nengine.policy = ditmos.routing.top1")
    assert board.eval("engine(w)[1]") == 5 != recording.choice[3]
    board.exec("os.remove('/flash/ditmos/routing.py')\nos.rmdir('/flash/ditmos')")


def test_file_on_the_board_wins(board: Board) -> None:
    board.exec("import os\nos.mkdir('/flash/ditmos')")
    board.put(b"origin = 'flash'\n", "/flash/ditmos/__init__.py")
    board.soft_reset()
    assert board.eval("__import__('ditmos').origin") == "flash"
    board.exec("import os\nos.remove('/flash/ditmos/__init__.py')\nos.rmdir('/flash/ditmos')")
    board.soft_reset()
    assert board.eval("hasattr(__import__('ditmos'), 'load')")


def copy_model(board: Board, changed: str, path: str) -> None:
    """Write the model that lies in ROM, ``data``, as ``changed`` makes it. Sending it would take seconds."""
    board.exec("with open('/rom/model.dtm', 'rb') as f:\n data = f.read()")
    board.exec(f"with open({path!r}, 'wb') as f:\n f.write({changed})\ndel data")


def test_model_from_flash_equals_romfs(board: Board, recording: Recording) -> None:
    copy_model(board, "data", "/flash/other.dtm")
    paths = ("/flash/other.dtm", "/rom/model.dtm")
    code = f"import ditmos\nw = ditmos.windows()\nprint([ditmos.load(path)(w[5]) for path in {paths}])"
    first, second = eval(board.exec(code))
    assert first == second == (recording.model.class_names[recording.logits[5].argmax()], recording.choice[5])
    board.exec("import os\nos.remove('/flash/other.dtm')")


def test_models_have_arenas_of_their_own(board: Board, recording: Recording) -> None:
    code = (
        "import ditmos\nfirst, second = ditmos.load(), ditmos.load()\nw = ditmos.windows()\n"
        "first.model.select(w[2])\nsecond.model.select(w[9])\nprint(bytes(first.model.classify(1)))"
    )
    classes = recording.model.classify_batch(recording.windows[2:3])
    assert eval(board.exec(code)) == classes[0, 1].tobytes()


def test_many_models(board: Board) -> None:
    """Tightly coupled memory runs out; arenas are then on the heap."""
    board.exec("import ditmos\nw = ditmos.windows()[0]\nfor i in range(24):\n ditmos.load()(w)")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("data[:100]", "ValueError: length at offset 8"),
        ("data[:-1] + bytes([data[-1] ^ 1])", "ValueError: crc at offset 12"),
        ("data[:4] + b'\\x09' + data[5:]", "ValueError: version at offset 4"),
        ("b'\\x7fELF' + data[4:]", "ValueError: magic at offset 0"),
    ],
)
def test_damaged_model(board: Board, damage: str, expected: str) -> None:
    copy_model(board, damage, "/flash/bad.dtm")
    with pytest.raises(BoardError, match=expected):
        board.exec("import ditmos\nditmos.load('/flash/bad.dtm')")
    board.exec("import os\nos.remove('/flash/bad.dtm')")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("e(array('h', bytes(100)))", "ValueError"),
        ("e('window')", "ValueError"),
        ("e(5)", "TypeError"),
        ("m.select(bytes(10))", "ValueError"),
        ("m.select(bytes(453)); m.classify(6)", "ValueError"),
        ("m.select(bytes(453)); m.classify(-1)", "ValueError"),
        ("m.classify(0)", "RuntimeError"),
        ("ditmos.windows()[24]", "IndexError"),
        ("ditmos.windows('/rom/model.dtm')", "ValueError: /rom/model.dtm: no NumPy array"),
        ("ditmos.load('none.dtm')", "OSError"),
        ("ditmos.find('none.dtm')", "OSError: no none.dtm in"),
    ],
)
def test_bad_input(board: Board, code: str, expected: str) -> None:
    with pytest.raises(BoardError, match=expected):
        board.exec(f"import ditmos\nfrom array import array\ne = ditmos.load()\nm = e.model\n{code}")


# What windows.json says, as `ditmos data windows` writes it, against what the model was made for


@pytest.fixture
def own(tmp_path: Path) -> tuple[Dataset, Path]:
    """A dataset with a model of random weights that was made for it, and a folder with both for the board."""
    dataset = generate(subjects=3, activities=4, recordings=1, windows=2, window=32)
    branch = BranchSpec((ConvSpec(4, 5), ConvSpec(4, 3)))
    spec = NetworkSpec(dataset.window, len(dataset.channels), dataset.classes, 2, branch, branch, aggregate=(1,))
    model = made_for(random_model(np.random.default_rng(0), spec, Style.TRAINED), dataset.signal)
    write_model(tmp_path / "model.dtm", model, whole_plan(spec))
    save(dataset, tmp_path / "data.npz")
    app = typer.Typer()
    data_cli.add(app)
    app.callback()(lambda: None)
    arguments = ["data", "windows", str(tmp_path / "data.npz"), "--part", "all", "--model", str(tmp_path / "model.dtm")]
    result = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "rom")], catch_exceptions=False)
    assert "24 windows and the model" in result.output
    return dataset, tmp_path / "rom"


def test_windows_are_compared_with_the_model(board: Board, own: tuple[Dataset, Path]) -> None:
    dataset, rom = own
    for file in rom.iterdir():
        board.put(file.read_bytes(), f"/flash/{file.name}")
    said = json.loads((rom / "windows.json").read_text())
    script = (SOURCES / "device" / "infer.py").read_text()

    def infer(**changes: object) -> str:
        """What the script prints last, with windows.json changed."""
        board.put(json.dumps(said | changes).encode(), "/flash/windows.json")
        board.exec("import os; os.chdir('/flash')")
        return board.exec(f"import sys; sys.argv[:] = ['infer.py', '--count', '12']\n{script}").strip().splitlines()[-1]

    channels = said["channels"]
    first = dict(zip(("name", "unit", "scale"), channels[0], strict=True))

    def with_first(**changes: object) -> list:
        return [[*(first | changes).values()], *channels[1:]]

    right = infer()
    assert right.startswith("right: ")
    names, y = said["class_names"], dataset.y
    turned = dataset.classes - 1 - y  # numbered the other way round: the same classes by name
    buffer = io.BytesIO()
    np.save(buffer, turned.astype("<i2"))
    board.put(buffer.getvalue(), "/flash/labels.npy")
    assert infer(class_names=names[::-1]) == right
    for changes, message in (
        ({"class_names": ["swim", *names[1:]]}, "class swim is none of the model's"),
        ({"fs": 25.0}, "fs is 25 Hz, the model was made for 50"),
        ({"channels": channels[:-1]}, f"{len(channels) - 1} channels, the model takes {len(channels)}"),
        ({"channels": channels[::-1]}, f"channel {channels[-1][0]} stands where the model has {channels[0][0]}"),
        ({"channels": with_first(unit="m/s^2")}, "is in m/s^2, the model was made for g"),
        ({"channels": with_first(scale=2 * first["scale"])}, f"scale of channel {first['name']} is"),
    ):
        answer = infer(**changes)
        assert answer.startswith("infer: windows.json: ") and message in answer
    board.exec("[os.remove(f'/flash/{name}') for name in ('model.dtm', 'windows.npy', 'labels.npy', 'windows.json')]")
