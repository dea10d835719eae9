"""Models into the ROM of the real board, one after the other, and with the power cut in an erasure or in a store."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from deployed import Models, crc_of, loads, models_in
from ditmos.emulator import EmulatedBoard
from ditmos.errors import DitmosError
from ditmos.firmware.memorymap import ROMFS
from ditmos.firmware.nucleo import Image
from ditmos.link.board import Board
from ditmos.link.deploy import Place, deploy
from ditmos.model.spec import reference_spec


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models_in(tmp_path_factory.mktemp("models"), lambda count: reference_spec(classifiers=count))


def works(dfu: Path, flash: Path) -> int:
    """CRC of the model that a board with this flash finds, and can load."""
    with EmulatedBoard(dfu, flash=flash) as emulated, Board(emulated.port) as board:
        return loads(board)


def deployed(dfu: Path, flash: Path, model: Path, cut: int = 0) -> int:
    with EmulatedBoard(dfu, flash=flash, cut=cut) as emulated, Board(emulated.port) as board:
        assert deploy(board, model, Place.rom).path == "/model/model.dtm"
    return crc_of(model)


@pytest.mark.parametrize("sizes", [(2, 2), pytest.param((50, 20, 50), marks=pytest.mark.slow)])
def test_one_after_the_other(image: Image, models: Models, tmp_path: Path, sizes) -> None:
    for seed, classifiers in enumerate(sizes):
        crc = deployed(image.folder / "firmware.dfu", tmp_path / "flash.bin", models(classifiers, seed))
        assert works(image.folder / "firmware.dfu", tmp_path / "flash.bin") == crc


def test_power_fails_in_the_flash(image: Image, models: Models, tmp_path: Path) -> None:
    """The first cut is in the erasure, the other in any of the stores; a word is stored at a time. The long version:
    tests/long/power_cuts.py."""
    dfu, flash, chance = image.folder / "firmware.dfu", tmp_path / "flash.bin", random.Random(2)
    last = deployed(dfu, flash, models(2, 0))
    for i in range(2):
        new = models(2, 1 + i % 2)
        words = new.stat().st_size // 4
        with suppress(DitmosError):  # not where the number is beyond the last store
            deployed(dfu, flash, new, cut=1 if i == 0 else chance.randrange(2, words + 20))
        found = works(dfu, flash)
        assert found in (last, crc_of(new))
        last = found


def test_a_romfs_beyond_the_chip_is_refused(image: Image, tmp_path: Path) -> None:
    (tmp_path / "rom.img").write_bytes(bytes(ROMFS.size + 1))
    with (
        pytest.raises(DitmosError, match="a ROMFS of 1048577 bytes, the chip has room for 1048576"),
        EmulatedBoard(image.folder / "firmware.dfu", romfs=tmp_path / "rom.img"),
    ):
        pass
