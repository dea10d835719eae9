"""Models onto the simulated board, verified there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import ditmos.link.deploy
import ditmos.link.verify
import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.golden_feeds import feed_case
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy, installed
from ditmos.link.verify import verify
from ditmos.model.reader import decode
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec, reference_spec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from ditmos.simulated.qemu import Simulator


def make(path: Path, spec: NetworkSpec, seed: int) -> Path:
    model = random_model(np.random.default_rng(seed), spec, Style.TRAINED)
    write_model(path, model, whole_plan(spec))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small models of the same shape."""
    folder = tmp_path_factory.mktemp("models")
    branch = BranchSpec((ConvSpec(4, 5), ConvSpec(5, 3)), (7,))
    spec = NetworkSpec(40, 3, 6, 3, branch, branch, aggregate=(1,))
    return [make(folder / f"{seed}.dtm", spec, seed) for seed in (1, 2)]


@pytest.fixture(scope="module")
def simulated(firmware: Path) -> Iterator[Simulator]:
    """A blank board."""
    with Simulator(firmware, icount=True) as board:
        yield board


def test_the_new_model_takes_the_place_of_the_old_one(board, models):
    for model in models:
        for place in (Place.flash, Place.rom):
            done = deploy(board, model, place, replace=True)
            path, crc = installed(board)
            assert crc == done.crc and path.endswith("model.dtm")
            assert board.eval("len(__import__('ditmos').load_model().class_names)") == 6


@pytest.mark.parametrize("place", [Place.flash, Place.rom])
def test_a_cut_transfer_leaves_the_old_model_working(board, models, place):
    old = deploy(board, models[0], place, replace=True)

    def cut(done: int, total: int) -> None:
        if done > total // 3:
            raise ConnectionError("the cable was pulled")

    with pytest.raises(ConnectionError):
        deploy(board, models[1], place, progress=cut)
    board.soft_reset()
    assert installed(board)[1] == old.crc
    board.exec("import ditmos\nditmos.load_model()")


def test_what_was_damaged_on_the_way_is_not_swapped_in(board, models, monkeypatch):
    old = deploy(board, models[0], Place.flash, replace=True)
    true = ditmos.link.deploy.b2a_base64
    monkeypatch.setattr(
        ditmos.link.deploy, "b2a_base64", lambda data, **kw: true(bytes([data[0] ^ 1]) + data[1:], **kw)
    )
    with pytest.raises(DitmosError, match=r"the board computed CRC .* nothing was changed"):
        deploy(board, models[1], Place.flash)
    assert installed(board)[1] == old.crc


def test_a_swap_cut_between_its_renamings_still_has_a_model(board, models):
    deploy(board, models[0], Place.flash, replace=True)
    board.exec("import os\nos.rename('/flash/model.dtm', '/flash/model.dtm.new')")
    assert installed(board)[0].endswith("model.dtm.new")
    board.exec("import ditmos\nditmos.load_model()")
    deploy(board, models[1], Place.flash)
    assert board.eval("'model.dtm.new' in __import__('os').listdir('/flash')") is False


def test_classifiers_larger_than_the_heap_run_from_rom(firmware, tmp_path):
    """50 classifiers: the file is larger than the heap, one classifier's weights are brought in at a time."""
    model = make(tmp_path / "model.dtm", reference_spec(classifiers=50), 3)
    windows = random_windows(np.random.default_rng(0), reference_spec(), 4)
    with Simulator(firmware, romfs=tmp_path) as simulated, Board(simulated.port) as board:
        assert model.stat().st_size > board.eval("__import__('gc').mem_free()")
        report = verify(board, model, windows, stepped=0)
        assert report.equal and report.windows == 4 and report.where == "/rom/model.dtm"


def test_a_model_larger_than_the_heap_goes_to_rom(board, tmp_path, monkeypatch):
    model = make(tmp_path / "large.dtm", reference_spec(classifiers=50), 3)
    with pytest.raises(DitmosError, match="--to rom`, once, leaves the weights"):
        deploy(board, model, Place.ram)
    chosen = Mock(side_effect=InterruptedError)  # a minute of sending is saved
    monkeypatch.setattr(ditmos.link.deploy, "_to_rom", chosen)
    with pytest.raises(InterruptedError):
        deploy(board, model, replace=True)
    assert chosen.call_args.args[1] == model.read_bytes()


def test_files_that_are_no_models_never_reach_the_board(board, models, tmp_path):
    with pytest.raises(DitmosError, match="no such file"):
        deploy(board, tmp_path / "none.dtm")
    damaged = tmp_path / "damaged.dtm"
    damaged.write_bytes(models[0].read_bytes()[:-1] + b"x")
    with pytest.raises(DitmosError):
        deploy(board, damaged)


def test_verify_compares_every_slice(board, models):
    model, _ = decode(models[0].read_bytes())
    report = verify(board, models[0], random_windows(np.random.default_rng(0), model.spec, 6), stepped=2)
    assert report.equal and report.where == "RAM" and report.windows == 6
    assert [row.name for row in report.slices] == [piece.name for piece in decode(models[0].read_bytes())[1].slices]
    assert all(row.bytes > 0 and row.ticks > 0 for row in report.slices)


def test_verify_compares_the_rows_of_a_front_end(board, tmp_path, monkeypatch):
    case = feed_case(3)
    model = tmp_path / "fed.dtm"
    write_model(model, case.model, case.plan)
    windows = random_windows(np.random.default_rng(0), case.model.spec, 2)
    report = verify(board, model, windows, stepped=1)
    assert report.equal and report.rows is not None
    assert report.rows.bytes == 12 * 2 * len(case.model.inputs) and report.rows.ticks > 0
    monkeypatch.setattr(Model, "row", lambda self: self.feeder.row() + np.int16(1))
    report = verify(board, model, windows, stepped=1)
    assert not report.equal and report.rows.differences == report.rows.bytes
    assert str(report.first).startswith("window 0, slice front end, row 0: channel 0, time 0 is ")


def test_verify_shows_the_first_difference(board, models, monkeypatch):
    """Against a reference with one other bias: the slice, the channel and nothing before it."""
    model, plan = decode(models[0].read_bytes())
    layer = model.classifiers[1][1]
    bias = layer.bias.copy()
    bias[3] += 1 << 14
    other = list(model.classifiers)
    other[1] = (other[1][0], replace(layer, bias=bias), *other[1][2:])
    wrong = replace(model, classifiers=tuple(other))
    monkeypatch.setattr(ditmos.link.verify, "read_model", lambda path: (wrong, plan))
    report = verify(board, models[0], random_windows(np.random.default_rng(0), model.spec, 3), stepped=1)
    assert not report.equal
    assert (report.first.slice, report.first.layer, report.first.channel) == ("classifier.2", "classifier.2", 3)
    assert not report.slices[0].differences
    assert "channel 3, time 0 is" in str(report.first)
