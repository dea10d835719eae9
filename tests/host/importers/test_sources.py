"""`ditmos stream --source`: the same readers as `data import`, and never a value that is not what was written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ditmos.errors import DitmosError
from ditmos.link.sources import Source, open_source
from files import motion, table

VALUES = motion(302)
COUNTS = np.random.default_rng(0).integers(-4096, 4096, (302, 3))


def samples(source: Source) -> np.ndarray:
    blocks = list(source.blocks)
    assert all(block.dtype == source.dtype and block.ndim == 2 for block in blocks)
    return np.concatenate(blocks)


def comma(value: float) -> str:
    return f"{value:.4f}".replace(".", ",")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("x.csv", {}),
        ("DATA.CSV", {}),
        ("x.Tsv", {"separator": "\t", "head": "ax\tay\taz"}),
        ("x.TXT", {"separator": " ", "head": ""}),
        ("x.csv", {"head": "ax,ay,az\n0,0,1"}),
        ("x.csv", {"head": "0,0,1"}),
        ("x.csv", {"head": "# 50 Hz\n# a logger\nax,ay,az\n1,0,0"}),
        ("x.csv", {"separator": ";", "head": "ax;ay;az", "form": comma}),
        ("x.csv", {"separator": "\t", "head": "", "form": comma}),
        ("x.csv", {"form": lambda v: f'"{comma(v)}"'}),
        ("x.csv", {"encoding": "utf-8-sig", "head": ""}),
        ("x.csv", {"encoding": "utf-16"}),
        ("x.csv", {"encoding": "latin-1", "head": "ax [m/s²],ay,az"}),
    ],
)
def test_every_form_of_text_gives_its_values(tmp_path: Path, name: str, form: dict) -> None:
    source = open_source(str(table(tmp_path / name, VALUES, **form)))
    values = samples(source)
    assert source.dtype == np.float32
    np.testing.assert_allclose(values[-len(VALUES) :], VALUES, atol=6e-5)
    assert len(values) in (len(VALUES), len(VALUES) + 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", ";\n"])
def test_whole_numbers_are_raw_samples(tmp_path: Path, end: str) -> None:
    source = open_source(str(table(tmp_path / "x.csv", COUNTS, form=str, end=end)))
    assert source.dtype == np.int16
    np.testing.assert_array_equal(samples(source), COUNTS)
    real = open_source(str(table(tmp_path / "y.csv", COUNTS.astype(float), form="{:.1f}".format)))
    assert real.dtype == np.float32  # 3.0 is a real number


@pytest.mark.parametrize("bad", ["nan", "", "inf", "ERR"])
def test_rows_that_are_not_finite_are_refused(tmp_path: Path, bad: str) -> None:
    path = table(tmp_path / "x.csv", VALUES)
    lines = path.read_text().splitlines()
    lines[20] = lines[21] = f"0.5,{bad},0.5"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DitmosError, match="2 of 302 rows are not finite, the first is row 20"):
        open_source(str(path))


def test_whole_numbers_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    for value in (60000, -40000, 2**40):
        wild = COUNTS.astype(np.int64)
        wild[100, 1] = value
        with pytest.raises(DitmosError, match="some exceed 16 bits"):
            open_source(str(table(tmp_path / "x.csv", wild, form=str)))


def test_time_stamps_give_the_rate_and_are_no_channel(tmp_path: Path) -> None:
    source = open_source(str(table(tmp_path / "x.csv", VALUES, head="t [ms],ax,ay,az", first=lambda i: str(i * 20))))
    assert source.fs == pytest.approx(50) and source.channels == ("ax", "ay", "az")
    np.testing.assert_allclose(samples(source), VALUES, rtol=1e-6)
    assert any("time 't'" in note for note in source.notes)


def test_sound_and_arrays(tmp_path: Path) -> None:
    sound = COUNTS[:, :1].astype(np.int16)
    soundfile.write(tmp_path / "x.wav", sound, 16000)
    source = open_source(str(tmp_path / "x.wav"))
    assert (source.fs, source.scale, source.dtype) == (16000, 1 / 32768, np.int16)
    np.testing.assert_array_equal(samples(source), sound)
    np.save(tmp_path / "x.npy", VALUES)
    np.testing.assert_allclose(samples(open_source(str(tmp_path / "x.npy"), 9)), VALUES[:9], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.csv", "nowhere.csv: no such file"),
        ("x.doc", "expected a file"),
        ("two.csv", "it holds 2 signals; put them on one clock first: ditmos data import"),
        ("people.csv", "it holds 2 recordings"),
        ("empty.csv", "no row of numbers"),
        ("broken.npz", "not a recorded stream|not a readable|missing|not readable"),
        ("no_such_module:f", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_what_is_no_source_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").write_text("")
    Path("broken.npz").write_bytes(b"no archive")
    rows = [f"{i / 50},{i % 7},{20.5 if i % 5 == 0 else ''}" for i in range(100)]
    Path("two.csv").write_text("t,ax,temp\n" + "\n".join(rows) + "\n")
    Path("people.csv").write_text("user,ax\n" + "".join(f"{i // 50},0.5\n" for i in range(100)))
    with pytest.raises(DitmosError, match=message):
        open_source(text)


# stdin: rows as they come, in the form of the first


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> Source:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return open_source("-")


@pytest.mark.parametrize(
    "text",
    [
        "ax,ay,az\n0.5,-1.25,3.0\n1,2,3\n",
        "0.5,-1.25,3.0\n# a comment\n\n1,2,3\n",
        "\ufeff0,5;-1,25;3,0\n1;2;3\n",
        "ax;ay;az\n0,5;-1,25;3,0\n1;2;3\n",
        "0.5 -1.25 3.0\n1 2 3\n",
        "0.5,-1.25,3.0;\n1,2,3;\n",
        "# rate 50\nax\tay\taz\n0.5\t-1.25\t3.0\n1\t2\t3\n",
    ],
)
def test_rows_of_stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    source = stdin(monkeypatch, text)
    assert source.dtype == np.float32
    np.testing.assert_array_equal(samples(source), [[0.5, -1.25, 3], [1, 2, 3]])


def test_rows_of_stdin_are_handed_on_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Slow(io.StringIO):
        def __next__(self) -> str:
            read.append(1)
            return super().__next__()

    monkeypatch.setattr("sys.stdin", Slow("1,2\n3,4\n5,6\n"))
    blocks = iter(open_source("-").blocks)
    np.testing.assert_array_equal(next(blocks), [[1, 2]])
    assert len(read) <= 2  # the next row has not been waited for


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "0,0,1\n0.5,0.5,0.5\n",
            "row 2 has a fraction, row 1 had whole numbers, which are raw samples; write 1 as 1.0",
        ),
        ("1,2\n3\n", "row 2: '3' is no row of 2 numbers"),
        ("0.5,2\nnan,1\n", "row 2: a sample is not finite"),
        ("0.5,2\n1e300,1\n", "row 2: a sample is not finite, or beyond float32"),
        ("1,2\n70000,1\n", "row 2: whole numbers are raw samples, and some exceed 16 bits"),
        ("1,2\nx,1\n", "row 2: 'x,1' is no row of 2 numbers"),
        ("", "no row of numbers"),
        ("words\n" * 500, "no row of numbers|is no row"),
    ],
)
def test_what_is_wrong_on_stdin(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        samples(stdin(monkeypatch, text))


# functions


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module with a function ``f`` of that body; gives the source's text."""
    monkeypatch.chdir(tmp_path)
    count = 0

    def write(body: str) -> str:
        nonlocal count
        count += 1
        Path(f"made_{tmp_path.name}_{count}.py").write_text(f"import numpy as np\ndef f():\n {body}\n")
        return f"made_{tmp_path.name}_{count}:f"

    return write


@pytest.mark.parametrize(
    ("body", "dtype", "values"),
    [
        ("yield [[-2000, 3]]; yield [[1, 2]]", np.int16, [[-2000, 3], [1, 2]]),
        ("yield [-2000, 3]; yield [1, 2]", np.int16, [[-2000, 3], [1, 2]]),
        ("yield np.array([[-2000, 3]], np.int64)", np.int16, [[-2000, 3]]),
        ("yield np.array([[200, 3]], np.uint8)", np.int16, [[200, 3]]),
        ("yield np.array([[-100, 3]], np.int8)", np.int8, [[-100, 3]]),
        ("yield [[0.5, 3]]; yield [[1, 2]]", np.float32, [[0.5, 3], [1, 2]]),
        ("return np.ones((2, 3, 4))", np.float32, np.ones((6, 4))),
    ],
)
def test_what_functions_yield(function, body: str, dtype: type, values: list) -> None:
    source = open_source(function(body))
    assert source.dtype == dtype
    np.testing.assert_array_equal(samples(source), values)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield [[1, 2]]; yield [[0.5, 2]]", "row 2 has a fraction, row 1 had whole numbers"),
        ("yield [[1, 40000]]", "block 1: whole numbers are raw samples, and some exceed 16 bits"),
        ("yield [['a', 'b']]", "block 1: samples are <U1, expected numbers"),
        ("yield [[1, 2], [3]]", "block 1 has rows of unlike length"),
        ("yield [[1.0, 2]]; yield [[1.0, 2, 3]]", "row 2 has 3 values, expected 2"),
        ("yield [[1.0, float('nan')]]", "a sample is not finite"),
        ("yield np.ones((2, 3, 4))", r"block 1 has shape \(2, 3, 4\), expected \(rows, channels\)"),
        ("yield [[1 / 0]]", r"ZeroDivisionError: division by zero \(made_\S+\.py, line 3\)"),
        ("return 3", "TypeError: 'int' object is not iterable"),
        ("return []", "it is empty"),
        ("return None", "TypeError"),
        ("yield None", "samples are object, expected numbers"),
    ],
)
def test_what_is_wrong_with_a_function(function, body: str, message: str) -> None:
    with pytest.raises(DitmosError, match=message) as caught:
        samples(open_source(function(body)))
    assert "\n" not in str(caught.value)
