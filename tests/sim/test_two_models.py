"""One model after the other into ROM: the old one works until the new one is whole."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ditmos.link.deploy
import pytest
from deployed import Models, crc_of, loads, models_in
from ditmos.errors import DitmosError
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy, installed
from ditmos.paths import SOURCES
from ditmos.simulated.qemu import Simulator

SMALL, LARGE = 2, 6  # classifiers: one sector, and two
# A ROM of three sectors of 4 KiB: models that fill the real ones would take a minute each to send.
SMALL_ROM = """

class Chip:
    mount, VfsRom = vfs.mount, vfs.VfsRom

    def rom_ioctl(self, command, *rest):
        if command == 2:
            return _vfs.rom_ioctl(2, 0)[: 3 * UNIT]
        if command != 3:
            return _vfs.rom_ioctl(command, *rest)
        _, length, offset = rest
        if offset % UNIT or offset + length > 3 * UNIT:
            return -22
        blank = bytes([255]) * 1024
        for at in range(offset, offset + (length + UNIT - 1) // UNIT * UNIT, 1024):
            _vfs.rom_ioctl(4, 0, at, blank)
        return 4


_vfs, vfs = vfs, Chip()
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models_in(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def simulated(firmware: Path) -> Iterator[Simulator]:
    with Simulator(firmware) as board:
        yield board


@pytest.fixture
def small_rom(board: Board) -> Iterator[Board]:
    text = (SOURCES / "device" / "ditmos" / "rom.py").read_text()
    assert "UNIT = 262144" in text
    text = text.replace("UNIT = 262144", "UNIT = 4096") + SMALL_ROM
    board.exec("import os\nos.mkdir('/flash/ditmos')")
    board.put(text.encode(), "/flash/ditmos/rom.py")
    board.exec("import vfs\nvfs.rom_ioctl(3, 0, 32)")
    board.soft_reset()
    yield board
    board.exec("import os\nos.remove('/flash/ditmos/rom.py')\nos.rmdir('/flash/ditmos')")
    board.exec("import vfs\nvfs.rom_ioctl(3, 0, 32)")


def fill_flash(board: Board) -> None:
    """A file that leaves room for less than a large model."""
    board.exec(
        "import os\ns = os.statvfs('/flash')\nwith open('/flash/full', 'wb') as f:\n"
        " for _ in range(s[0] * s[3] // 1024 - 4):\n  f.write(bytes(1024))"
    )


def works(board: Board) -> int:
    """CRC of the model that the board finds after a reset, which it can load."""
    board.soft_reset()
    return loads(board)


def test_each_model_after_any_other_without_replacing(small_rom, models):
    """A large one, then a small one, as the issue had it, and again: no place is used up."""
    for classifiers, seed in ((LARGE, 1), (SMALL, 2), (LARGE, 3), (SMALL, 4), (SMALL, 5)):
        path = models(classifiers, seed)
        assert deploy(small_rom, path, Place.rom).path == "/model/model.dtm"
        assert works(small_rom) == crc_of(path)


def test_two_that_do_not_fit_together(small_rom, models):
    """Two sectors and two of three: the old one goes to /flash meanwhile. With /flash full it is refused in numbers."""
    old, new = models(LARGE, 6), models(LARGE, 7)
    deploy(small_rom, old, Place.rom)

    def cut(done: int, total: int) -> None:
        if done > total // 2:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        deploy(small_rom, new, Place.rom, progress=cut)
    assert works(small_rom) == crc_of(old)
    deploy(small_rom, new, Place.rom)
    assert works(small_rom) == crc_of(new)
    fill_flash(small_rom)
    with pytest.raises(DitmosError, match="ROM has 3 sectors of 256 KiB: the new model takes 2 of them, the old one 2"):
        deploy(small_rom, old, Place.rom)
    assert works(small_rom) == crc_of(new)
    deploy(small_rom, old, Place.rom, replace=True)
    assert works(small_rom) == crc_of(old)
    small_rom.exec("import os\nos.remove('/flash/full')")


def test_other_files_in_rom_stay_where_there_is_room(firmware, models, tmp_path):
    (tmp_path / "windows.npy").write_bytes(b"some windows")
    with Simulator(firmware, romfs=tmp_path) as simulated, Board(simulated.port) as board:
        for seed in (1, 2):
            deploy(board, models(SMALL, seed), Place.rom)
            assert works(board) == crc_of(models(SMALL, seed))
            assert board.eval("open('/rom/windows.npy', 'rb').read()") == b"some windows"


def test_mpremote_writes_rom_anew(board, models, mpremote, tmp_path):
    """A ROMFS of one's own takes all of ROM: a model that was deployed before is not found before it."""
    deploy(board, models(SMALL, 1), Place.rom)
    board.close()
    (tmp_path / "model.dtm").write_bytes(models(SMALL, 2).read_bytes())
    mpremote("romfs", "-o", tmp_path / "rom.img", "build", tmp_path)
    mpremote("romfs", "deploy", tmp_path / "rom.img")
    with Board(board.port) as again:
        assert installed(again) == ("/rom/model.dtm", crc_of(models(SMALL, 2)))
        again.exec("import vfs\nvfs.rom_ioctl(3, 0, 32)")


@pytest.mark.parametrize("replace", [False, True])
def test_what_a_damaged_transfer_changed_is_said(small_rom, models, monkeypatch, replace):
    old = models(LARGE, 6)
    deploy(small_rom, old, Place.rom, replace=True)
    fill_flash(small_rom)
    new = models(LARGE if replace else SMALL, 2)
    true = ditmos.link.deploy.b2a_base64
    monkeypatch.setattr(
        ditmos.link.deploy, "b2a_base64", lambda data, **kw: true(data[:-1] + bytes([data[-1] ^ 1]), **kw)
    )
    with pytest.raises(DitmosError, match="ROM has none" if replace else "the old model is in use"):
        deploy(small_rom, new, Place.rom, replace=replace)
    small_rom.soft_reset()
    small_rom.exec("import os\nos.remove('/flash/full')")
    found = installed(small_rom)
    assert found is None if replace else found[1] == crc_of(old)


def test_power_cut_at_random_moments(firmware, models, tmp_path):
    """The board is killed while a model is deployed: it then has the old one or the new one, and starts with it. The
    long version: tests/long/killed_deployments.py."""
    flash, chance = tmp_path / "flash.bin", random.Random(4)
    with Simulator(firmware, flash=flash) as simulated, Board(simulated.port) as board:
        began = time.monotonic()
        deploy(board, models(SMALL, 0), Place.rom)
        took = time.monotonic() - began
    last = crc_of(models(SMALL, 0))
    for kill in range(4):
        new = models(SMALL, 1 + kill % 2)
        with Simulator(firmware, flash=flash) as simulated:
            timer = threading.Timer(chance.uniform(0, 1.5 * took), os.kill, (simulated.pid, signal.SIGKILL))
            timer.start()
            try:
                with Board(simulated.port) as board:
                    deploy(board, new, Place.rom)
            except DitmosError as error:
                assert "\n" not in str(error)
            finally:
                timer.cancel()
        with Simulator(firmware, flash=flash) as simulated, Board(simulated.port) as board:
            found = works(board)
        assert found in (last, crc_of(new))
        last = found
