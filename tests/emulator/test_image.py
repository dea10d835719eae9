"""Firmware files, flash tools and the release archive: no board, no compiler."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from ditmos.emulator import Segment, read_image
from ditmos.emulator.core import count_instructions
from ditmos.errors import DitmosError
from ditmos.firmware import flashing, nucleo, release, targets
from ditmos.firmware.memorymap import place


def dfu(segments: list[Segment]) -> bytes:
    """A DfuSe file, written from its specification (UM0391)."""
    elements = b"".join(struct.pack("<II", s.address, len(s.data)) + s.data for s in segments)
    target = struct.pack("<6sBI255sII", b"Target", 0, 1, b"name", len(elements), len(segments)) + elements
    image = struct.pack("<5sBIB", b"DfuSe", 1, 11 + len(target), 1) + target
    image += struct.pack("<4H3sB", 0xFFFF, 0xDF11, 0x0483, 0x011A, b"UFD", 16)
    return image + struct.pack("<I", ~zlib.crc32(image) & 0xFFFF_FFFF)


SEGMENTS = [Segment(0x0800_0000, b"vectors!"), Segment(0x0802_0000, bytes(range(256)))]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_dfu_and_bin(tmp_path: Path) -> None:
    assert read_image(write(tmp_path / "a.dfu", dfu(SEGMENTS))) == SEGMENTS
    assert read_image(write(tmp_path / "a.bin", b"abcd")) == [Segment(0x0800_0000, b"abcd")]
    whole = nucleo.whole_flash(tmp_path / "a.dfu")
    assert whole[:8] == b"vectors!" and whole[0x20000:] == bytes(range(256))
    assert set(whole[8:0x20000]) == {0xFF}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.elf", b"", "ending in '.elf', expected .bin or .dfu"),
        ("a.bin", b"", "is empty or not within"),
        ("a.dfu", b"DfuSe", "cut short"),
        ("a.dfu", dfu([Segment(0x2000_0000, b"abcd")]), "0x20000000 to 0x20000004 is empty or not within flash"),
        ("a.dfu", dfu([Segment(0x081F_FFFE, b"abcd")]), "not within flash"),
    ],
)
def test_bad_images(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        read_image(write(tmp_path / name, data))


def test_damaged_dfu_is_never_taken(tmp_path: Path) -> None:
    """Every file cut short or with one bit flipped is refused: the CRC covers all of it."""
    good = dfu(SEGMENTS)
    dice = random.Random(1)
    path = tmp_path / "a.dfu"
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(DitmosError):
            read_image(path)
    for _ in range(200):
        flipped = bytearray(good)
        flipped[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(DitmosError):
            read_image(path)


def test_instructions_are_counted() -> None:
    narrow, wide = b"\x00\xbf", b"\xaf\xf3\x00\x80"  # nop, nop.w
    assert count_instructions(narrow * 3 + wide * 2 + narrow) == 6


def test_places_have_names() -> None:
    assert place(0x0810_0004) == "flash 0x08100004"
    assert place(0x4000_0024) == "TIM2+0x24 (0x40000024)"
    assert place(0x4001_2008) == "ADC+0x8 (0x40012008)"
    assert place(0x6000_0000) == "nothing (0x60000000)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an image, and no flash tool anywhere."""
    folder = tmp_path / "image"
    folder.mkdir()
    write(folder / "firmware.dfu", dfu(SEGMENTS))
    write(folder / "firmware.bin", b"whole")
    monkeypatch.setattr(flashing, "_MOUNTS", (str(tmp_path / "media"),))
    monkeypatch.setattr(flashing.find_volume, "__defaults__", ((str(tmp_path / "media"),),))
    monkeypatch.setattr(flashing.shutil, "which", lambda name: None)
    return folder


def test_flash_without_a_tool(folder: Path) -> None:
    with pytest.raises(DitmosError, match="NODE_F767ZI is mounted, or install stlink-tools, openocd or dfu-util"):
        flashing.flash(folder, None, lambda plan: True)
    with pytest.raises(DitmosError, match="method 'jtag', expected one of stlink, st-flash, openocd, dfu-util"):
        flashing.flash(folder, "jtag", lambda plan: True)


def test_flash_by_mass_storage_asks_first(folder: Path, tmp_path: Path) -> None:
    volume = tmp_path / "media" / "user" / "NODE_F767ZI"
    volume.mkdir(parents=True)
    assert flashing.flash(folder, None, lambda plan: False) is None
    assert not list(volume.iterdir())
    done = flashing.flash(folder, None, lambda plan: "/flash are erased" in plan.remark)
    assert done and done.method == "ST-LINK mass storage"
    assert (volume / "firmware.bin").read_bytes() == b"whole"


def test_flash_by_st_flash_writes_each_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def run(command: list[str], timeout: float) -> subprocess.CompletedProcess:
        assert Path(command[-2]).read_bytes() == SEGMENTS[len(commands)].data
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(flashing.shutil, "which", lambda name: name if name == "st-flash" else None)
    monkeypatch.setattr(flashing.subprocess, "run", run)
    flashing.flash(folder, None, lambda plan: True)
    assert [(c[:-2], c[-1]) for c in commands] == [
        (["st-flash", "write"], "0x08000000"),
        (["st-flash", "--reset", "write"], "0x08020000"),
    ]


def test_package_lists_what_is_there() -> None:
    device = release.SOURCES / "device"
    halves = [json.loads(text)["urls"] for text in release.packages(device).values()]
    assert [["ditmos/engine.py", "ditmos/engine.py"] in urls for urls in halves] == [True, False]
    listed = [source for urls in halves for _, source in urls]
    assert sorted(listed) == sorted(f"ditmos/{path.name}" for path in (device / "ditmos").glob("*.py"))


def test_release_is_repeatable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = tmp_path / "micropython", tmp_path / "nucleo"
    for where in release._LICENCES.values():
        (source / where).parent.mkdir(parents=True, exist_ok=True)
        (source / where).write_text("/* title */\n/* Licence: this */\nint not_this;\n")
    output.mkdir()
    for name in release._IMAGES:
        (output / name).write_bytes(name.encode())
    monkeypatch.setattr(release, "NUCLEO_IMAGE", output)
    monkeypatch.setattr(targets, "NUCLEO_IMAGE", output)
    archives = [release.release(source, tmp_path / out).read_bytes() for out in ("a", "b")]
    assert archives[0] == archives[1]
    with zipfile.ZipFile(next((tmp_path / "a").iterdir())) as archive:
        names = {name.split("/", 1)[1] for name in archive.namelist()}
        assert {"SHA256SUMS", "device/package.json", "firmware/NUCLEO_F767ZI/firmware.dfu"} <= names
        oofatfs = archive.read(next(name for name in archive.namelist() if name.endswith("oofatfs.txt")))
    assert b"Licence: this" in oofatfs and b"not_this" not in oofatfs
