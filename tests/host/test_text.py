"""Text that people write, in any encoding: policies, JSON, and what a board can hold of names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ditmos import atomic
from ditmos.atomic import read_json
from ditmos.errors import DitmosError
from ditmos.link.romfs import romfs_image
from ditmos.model.policy import parse_policy
from ditmos.text import guess_encoding, read_text
from ditmos.training import typed_toml

POLICY = "def policy(model, window):\n    # größer als das\n    return 0, 0\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_as_it_was_written(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "p.py").write_bytes(POLICY.replace("\n", end).encode(encoding))
    assert read_text(tmp_path / "p.py")[0] == POLICY
    assert parse_policy(f"{tmp_path}/p.py").source == POLICY


@pytest.mark.parametrize("raw", [b"", b"a", b"\xff\xfe", b"\0", b"\x81\x8d", bytes(range(256)), b"\xef\xbb\xbf"])
def test_any_bytes_are_text_or_said_not_to_be(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    try:
        read_text(tmp_path / "x")
    except DitmosError as error:
        assert "not text" in str(error) or "at byte" in str(error)
    assert guess_encoding(raw)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def policy(:\n", "line 1: "),
        (b"x = '\0'\n", "not text|no Python"),
        (b"x = " + b"-" * 99999 + b"1\n", "no Python|line"),
    ],
)
def test_policies_that_are_no_python(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "p.py").write_bytes(content)
    with pytest.raises(DitmosError, match=message):
        parse_policy(f"{tmp_path}/p.py")


@pytest.mark.parametrize("content", ['{"a": 1}', '\ufeff{"a": 1}'])
def test_json_with_and_without_a_mark(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content, "utf-8")
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize("content", ["{", "", "[" * 100000])
def test_no_json_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DitmosError, match="not JSON"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_toml_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.toml").write_bytes('name = "Füße"\r\n'.encode(encoding))
    assert typed_toml.read(tmp_path / "a.toml") == {"name": "Füße"}


@pytest.mark.parametrize("content", [b"a = ", b"a = " + b"[" * 20000, b"\0\1"])
def test_no_toml_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(DitmosError, match=r"a\.toml: ") as caught:
        typed_toml.read(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)


def test_two_threads_write_one_file(tmp_path: Path) -> None:
    """It holds what one of them wrote, whole, and nobody fails."""
    file, size = tmp_path / "x", 200_000
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda i: atomic.write(file, bytes((65 + i % 4,)) * size), range(24)))
    content = file.read_bytes()
    assert content in [bytes((65 + i,)) * size for i in range(4)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["ü.npy", "Ordner ä/x.npy", "\U0001f600.py", "a/b/ü/c.txt"])
def test_romfs_refuses_names_that_it_cannot_hold(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(DitmosError, match="a ROMFS has names in ASCII only, rename it"):
        romfs_image(tmp_path)


def test_romfs_takes_blanks_and_a_folder_with_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "Ordner ü"
    folder.mkdir()
    (folder / "a, b.npy").write_bytes(b"x")
    assert romfs_image(folder)
    with pytest.raises(DitmosError, match="no such folder or ROMFS image"):
        romfs_image(tmp_path / "absent")
