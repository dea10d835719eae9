"""`ditmos data import`, `info` and `split` as a user types them; every line of docs/importing.md."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from ditmos.cli import data as data_cli
from ditmos.datasets import load
from ditmos.errors import DitmosError
from files import motion, table
from test_formats import e4_folder
from test_presets import sisfall, walking
from typer.testing import CliRunner

DOCS = Path(__file__).parents[3] / "docs" / "importing.md"


def run(*arguments: object) -> str:
    """Output of ``ditmos data ...``. Raises what the command raises."""
    app = typer.Typer()
    data_cli.add(app)
    app.callback()(lambda: None)
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def umafall(folder: Path, files: int, seconds: float = 15.0) -> None:
    """Files with 40 header lines and rows of two sensors in turns: 200 Hz in g, 20 Hz in deg/s."""
    head = "\n".join(f"% header line {i}: of the phone; and the sensors" for i in range(39))
    head += "\n% TimeStamp; Sample No; X-Axis; Y-Axis; Z-Axis; Sensor Type; Sensor ID; \n"
    fast, slow = int(200 * seconds), int(20 * seconds)
    times = np.concatenate([np.arange(fast) * 5, np.arange(slow) * 50 + 2])
    kinds = np.repeat([0, 1], [fast, slow])
    order = np.argsort(times, kind="stable")
    for i in range(files):
        values = motion(fast + slow, seed=i)
        label, subject = ("Walking", "Falling", "Sitting")[i % 3], i // 3 % 17 + 1
        lines = [
            f"{times[j]};{j};{a};{b};{c};{kinds[j]};{kinds[j] + 2};"
            for j, (a, b, c) in zip(order, values.round(4), strict=True)
        ]
        folder.mkdir(exist_ok=True)
        (folder / f"U_Subject_{subject:02d}_ADL_{label}_{i}.csv").write_text(head + "\n".join(lines) + "\n")


def words(folder: Path, files: int) -> None:
    """A second of sound each, 44.1 kHz stereo and 16 kHz mono."""
    rng = np.random.default_rng(0)
    for i in range(files):
        path = folder / ("yes", "no", "stop")[i % 3] / f"{i // 9:04x}_nohash_{i // 3 % 3}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        rate, channels = (16000, 1) if i % 2 else (8000, 1)
        soundfile.write(path, rng.integers(-9000, 9000, (rate, channels)).astype(np.int16), rate)


def check_umafall(folder: Path, out: Path, files: int) -> None:
    text = run("import", folder, "--pattern", "U_Subject_{subject}_ADL_{label}_{take}.csv", "--window", "3s", "-o", out)
    dataset = load(out)
    assert dataset.class_names == ("Falling", "Sitting", "Walking") and len(dataset.channels) == 6
    assert dataset.fs == 200 and dataset.window == 600 and len(np.unique(dataset.group)) == files
    assert "resampled to 200 Hz: 20, 200 Hz" in text and "40 header lines" in text


def check_words(folder: Path, out: Path, files: int) -> None:
    run(
        "import",
        folder,
        "--pattern",
        "{label}/{subject}_nohash_{take}.wav",
        "--resample",
        16000,
        "--hop",
        "1s",
        "-o",
        out,
    )
    dataset = load(out)
    assert dataset.x.shape == (files, 16000, 1) and dataset.x.dtype == np.int16
    assert dataset.class_names == ("no", "stop", "yes")


def test_two_sensors_and_forty_header_lines(tmp_path: Path) -> None:
    umafall(tmp_path / "in", 9, 4.0)
    check_umafall(tmp_path / "in", tmp_path / "out.npz", 9)


def test_folders_of_sound(tmp_path: Path) -> None:
    words(tmp_path / "in", 27)
    check_words(tmp_path / "in", tmp_path / "out.npz", 27)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_large_folders_take_less_than_a_minute(tmp_path: Path) -> None:
    """700 files of text with two sensors, and 3,000 sounds: written first, then one command each."""
    umafall(tmp_path / "text", 700)
    words(tmp_path / "sound", 3000)
    for check, folder, files in ((check_umafall, "text", 700), (check_words, "sound", 3000)):
        began = time.process_time()  # one thread: what an idle machine takes, however busy this one is
        check(tmp_path / folder, tmp_path / f"{folder}.npz", files)
        seconds = time.process_time() - began
        print(f"{files} files of {folder}: {seconds:.1f} s")
        assert seconds < 60


def test_real_e4_folder_agrees_with_the_published_windows(tmp_path: Path, data_dir: Path) -> None:
    """Windows of one minute at 16 Hz in stress.npz, which other code made of the same files of S10."""
    folder, made = data_dir / "e4_raw" / "S10", data_dir / "stress.npz"
    if not folder.is_dir() or not made.is_file():
        pytest.skip(f"{folder} and {made} are not both there")
    spans = ("1644845022,1644845324", "1644845640,1644846207", "1644846506,1644846639")
    (tmp_path / "l.csv").write_text("start,stop,label\n" + "".join(f"{span},stress\n" for span in spans))
    options = ["--unlabelled", "rest", "--resample", 16, "--window", "60s", "--hop", "1s"]
    run("import", folder, "--subject", 10, "--labels", tmp_path / "l.csv", *options, "-o", tmp_path / "out.npz")
    ours, theirs = load(tmp_path / "out.npz"), load(made)
    assert ours.channels == theirs.channels and ours.class_names == theirs.class_names
    for index in np.flatnonzero(theirs.subject == 10)[::8]:
        error = np.abs(ours.x - theirs.x[index]).mean(1)
        nearest = error[:, 3:].sum(1).argmin()
        assert (error[nearest] < [0.005, 0.03, 0.02, 0.001, 0.001, 0.001]).all()  # a.u., uS, degC, g
        assert ours.y[nearest] == theirs.y[index]


def test_dry_run_shows_guesses_and_writes_nothing(tmp_path: Path) -> None:
    for label in ("walk", "run"):
        for person in (1, 2, 3):
            table(
                tmp_path / label / f"S0{person}.csv",
                motion(seed=person),
                head="t [ms];ax [g];ay [g];az [g]",
                separator=";",
                form=lambda v: f"{v:.4f}".replace(".", ","),
                first=lambda i: str(i * 20),
            )
    before = sorted(tmp_path.rglob("*"))
    text = run("import", tmp_path, "--dry-run")
    assert sorted(tmp_path.rglob("*")) == before
    for said in ("decimal comma", "time stamps in ms", "label by folder", "subject by names like 'S01'", "rate 50 Hz",
                 "window 100 rows", "first rows in g, at 50 Hz", "nothing was written"):  # fmt: skip
        assert said in text, text
    run("import", tmp_path, "-o", tmp_path / "out.npz", "--json", tmp_path / "r.json")
    dataset = load(tmp_path / "out.npz")
    assert dataset.class_names == ("run", "walk") and dataset.units == "g" and dataset.split is not None
    np.testing.assert_allclose(dataset.x[0], motion(seed=1)[:100], rtol=1e-6)
    assert json.loads((tmp_path / "r.json").read_text())["takes"] == 6


def test_each_line_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("walk", "jog", "sprint", "other"):
        for person in range(3):
            table(
                Path("recordings") / label / f"p{person}_1.csv",
                motion(seed=person),
                head="t,ax,ay,az",
                first=lambda i: f"{i / 50}",
            )
    rows = [f"{i / 50},{1 + i // 400},{'sit' if i % 400 < 200 else 'stand'}" for i in range(1200)]
    table(Path("log.csv"), motion(1200), head="time,user,activity,ax,ay,az", first=lambda i: rows[i])
    table(Path("idle.csv"), motion(), head="t,ax,ay,az", first=lambda i: f"{i / 50}")
    for person in (1, 2, 3):
        e4_folder(Path("wristband") / f"S{person}", seconds=300)
    Path("labels.csv").write_text("start,stop,label\n100,200,stress\n")
    sisfall(Path("SisFall_dataset") / "SA01" / "D01_SA01_R01.txt", walking())
    lines = re.findall(r"^ditmos data (.+)$", DOCS.read_text(), re.M)
    assert len(lines) == 12
    for line in lines:
        run(*shlex.split(line))
    assert Path("mine.png").read_bytes().startswith(b"\x89PNG")
    dataset = load(Path("stress.npz"))
    assert dataset.fs == 16 and dataset.class_names == ("rest", "stress") and len(dataset.channels) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "x.npz"], "nowhere: no such file or folder"),
        (["in"], "expected --out FILE.npz, or --dry-run"),
        (["in/readme.md", "-o", "x.npz"], "no reader for '.md', expected one of"),
        (["in", "-o", "x.npz", "--rate", "nan"], "rate is nan"),
        (["in", "-o", "x.npz", "--rate", "inf"], "rate is inf"),
        (["in", "-o", "x.npz", "--rate", "10"], "rate is 10, but the time stamps say 50"),
        (["in", "-o", "x.npz", "--resample", "-3"], "resample is -3"),
        (["in", "-o", "x.npz", "--window", "0"], "window is '0'"),
        (["in", "-o", "x.npz", "--window", "9999"], "nothing is left"),
        (["in", "-o", "x.npz", "--columns", "gx"], "no column 'gx'"),
        (["in", "-o", "x.npz", "--units", "g,g"], "2 units are given, expected 1 or 3"),
        (["in", "-o", "x.npz", "--names", "a"], "1 names are given, expected 3"),
        (["in", "-o", "x.npz", "--pattern", "{a}"], r"\{a\} is none of"),
        (["in", "-o", "x.npz", "--pattern", "{label}.wav"], "the path is not like"),
        (["in", "-o", "x.npz", "--labels", "none.csv"], "none.csv: cannot be read"),
        (["in", "-o", "x.npz", "--rename", "x"], "rename is 'x'"),
        (["in", "-o", "x.npz", "--rename", "a=,b="], "no label is known|nothing is left"),
        (["in", "-o", "x.npz", "--pad", "wrap", "--window", "500"], "pad is 'wrap'"),
        (["in", "-o", "x.npz", "--time-unit", "weeks"], "time unit is 'weeks'"),
        (["in", "-o", "x.npz", "--encoding", "klingon"], "encoding is 'klingon'"),
        (["in", "-o", "x.npz", "--scale", "0"], "scale is 0"),
        (["in", "-o", "x.npz", "--scale", "nan"], "scale is nan"),
        (["in", "-o", "x.npz", "--fill", "-1"], "fill is -1"),
        (["in", "-o", "x.npz", "--preset", "all"], "preset is 'all'"),
        (["in", "-o", "in/a_1.csv/x.npz"], "cannot be written"),
        (["in/a_1.csv", "-o", "x.npz"], "no label is known"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_1", "a_2", "b_1", "b_2"):
        table(Path("in") / f"{name}.csv", motion(), head="t,ax,ay,az", first=lambda i: f"{i / 50}")
    Path("in/readme.md").write_text("about")
    with pytest.raises(DitmosError, match=message) as caught:
        run("import", *arguments)
    assert "\n" not in str(caught.value)
    assert not Path("x.npz").exists()


def test_a_damaged_file_in_a_folder_is_left_out_by_name(tmp_path: Path) -> None:
    for name in ("a_1", "a_2", "b_1", "b_2"):
        table(tmp_path / f"{name}.csv", motion(), head="t,ax,ay,az", first=lambda i: f"{i / 50}")
    (tmp_path / "b_3.csv").write_bytes(b"\0\1\2" * 100)
    table(tmp_path / "b_4.csv", motion()[:, :2], head="t,ax,ay", first=lambda i: f"{i / 50}")
    table(tmp_path / "b_5.csv", motion()[:, ::-1], head="t,az,ay,ax", first=lambda i: f"{i / 50}")
    text = run("import", tmp_path, "-o", tmp_path / "x.npz")
    assert re.search(r"left out: \S*b_3\.csv: not text", text)
    assert re.search(r"left out: \S*b_4\.csv: channels are ax, ay, expected ax, ay, az as in most", text)
    assert "put in this one" in text
    np.testing.assert_array_equal(load(tmp_path / "x.npz").x[-7:], load(tmp_path / "x.npz").x[:7])


def test_the_rate_that_most_recordings_have(tmp_path: Path) -> None:
    for i, rate in enumerate((16000, 16000, 8000)):
        soundfile.write(tmp_path / f"a_{i}.wav", np.random.default_rng(i).normal(size=rate) / 9, rate)
    text = run("import", tmp_path, "--label", "a", "-o", tmp_path / "x.npz")
    assert load(tmp_path / "x.npz").fs == 16000 and "resampled to 16000 Hz: 8000, 16000 Hz" in text
    (tmp_path / "a_0.wav").unlink()
    run("import", tmp_path, "--label", "a", "-o", tmp_path / "x.npz")
    assert load(tmp_path / "x.npz").fs == 16000


def test_labels_beside_the_recordings_are_none_of_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        table(tmp_path / f"{name}.csv", motion(), head="t,ax,ay,az", first=lambda i: f"{i / 50}")
    (tmp_path / "labels.csv").write_text("file,start,stop,label\na.csv,0,4,walk\na.csv,4,8,run\nb.csv,2,8,run\n")
    text = run("import", tmp_path, "--labels", tmp_path / "labels.csv", "--window", "1s", "-o", tmp_path / "x.npz")
    dataset = load(tmp_path / "x.npz")
    assert dataset.class_names == ("run", "walk") and np.bincount(dataset.y).tolist() == [18, 7]
    assert "left out" not in text and "2 s without a label" in text


def test_a_column_that_one_file_lacks_is_said_by_name(tmp_path: Path) -> None:
    for i in range(3):
        np.savez(tmp_path / f"a_{i}.npz", data=motion(channels=2 if i == 1 else 3), fs=50.0)
    text = run("import", tmp_path, "--columns", "1,3", "--label", "a", "-o", tmp_path / "x.npz")
    assert re.search(r"left out: \S*a_1\.npz: no channel 3, it has 1, 2", text)


def test_split_of_a_file(tmp_path: Path) -> None:
    out = tmp_path / "d.npz"
    run(
        "synth",
        out,
        "--subjects",
        8,
        "--activities",
        3,
        "--window",
        32,
        "--recordings",
        2,
        "--windows",
        2,
        "--split",
        "none",
    )
    assert load(out).split is None
    text = run("split", out, "--by", "subject", "--test", 0.3)
    dataset = load(out)
    assert "people" in text and not {*dataset.subject[dataset.part(2)]} & {*dataset.subject[dataset.part(0)]}
    run("split", out, "--by", "group", "-o", tmp_path / "e.npz")
    assert (load(tmp_path / "e.npz").split != dataset.split).any()


ODD = [
    "",
    "0",
    "-1",
    "1e9",
    "nan",
    "inf",
    "x",
    "1,2",
    "a=b",
    "{label}",
    "{",
    "ü",
    ";",
    "tab",
    "1s",
    "0.5ms",
    "9999999s",
]
ODD += ["ax,ay,az", "4", "none"]
TAKEN = """pattern label subject label-column subject-column take-column sensor-column columns names time-column
    time-unit rate units scale encoding separator decimal key resample window hop pad peak fill rename unlabelled labels
    preset"""


def odd_options(tmp_path: Path, rounds: range) -> None:
    for name in ("a_1", "a_2", "b_1", "b_2"):
        table(tmp_path / f"{name}.csv", motion(120), head="t,ax,ay,az", first=lambda i: f"{i / 50}")
    app = typer.Typer()
    data_cli.add(app)
    app.callback()(lambda: None)
    for seed in rounds:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(TAKEN.split(), rng.integers(1, 4), replace=False)
        arguments = [text for name in chosen for text in (f"--{name}", str(rng.choice(ODD)))]
        result = CliRunner().invoke(app, ["data", "import", str(tmp_path), "--dry-run", *arguments])
        error = result.exception
        assert result.exit_code in (0, 2) or isinstance(error, DitmosError), (arguments, repr(error))
        assert "\n" not in (str(error) if isinstance(error, DitmosError) else ""), arguments


@pytest.mark.parametrize("block", range(2))
def test_odd_options(tmp_path: Path, block: int) -> None:
    odd_options(tmp_path, range(block * 25, block * 25 + 25))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_odd_options(tmp_path: Path) -> None:
    odd_options(tmp_path, range(1000, 2500))
