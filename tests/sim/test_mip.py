"""`mpremote mip install` of the release's device files."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ditmos.firmware import release
from recording import Recording

WHERE = "import ditmos; print(ditmos.__file__, ditmos.routing.__file__)"


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The release without its images."""
    monkeypatch.setattr(release, "nucleo_image", lambda kind: tmp_path)
    monkeypatch.setattr(release, "_IMAGES", ())
    monkeypatch.setattr(release, "_LICENCES", {})
    with zipfile.ZipFile(release.release(tmp_path, tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    return folder


def installed(unpacked: Path, package: str) -> list[str]:
    urls = json.loads((unpacked / "device" / package).read_text())["urls"]
    return [target.removeprefix("ditmos/") for target, _ in urls]


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(unpacked: Path) -> Iterator[str]:
    """Its address on a web server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(unpacked))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("source", ["folder", "server"])
def test_install(mpremote: Callable[..., str], recording: Recording, unpacked: Path, served: str, source: str) -> None:
    """The installed files run, before the frozen ones (device/import_hook.c)."""
    assert "/flash" not in mpremote("exec", WHERE)
    try:
        mpremote("mip", "install", f"{unpacked if source == 'folder' else served}/device/package.json")
        names = sorted(installed(unpacked, "package.json"))
        assert mpremote("exec", "import os; print(sorted(os.listdir('/flash/lib/ditmos')))").strip() == str(names)
        assert mpremote("exec", WHERE).split() == ["/flash/lib/ditmos/__init__.py", "/flash/lib/ditmos/routing.py"]
        used = [0] * 6
        for k in recording.choice:
            used[k] += 1
        answered = ", ".join(f"classifier {k} {count}" for k, count in enumerate(used) if count)
        assert f"answered by {answered}" in mpremote("run", "device/infer.py")
    finally:
        mpremote("fs", "rm", "-r", ":/flash/lib")


def test_what_works_alone_installs_beside_the_firmware(mpremote: Callable[..., str], unpacked: Path) -> None:
    both = installed(unpacked, "package.json") + installed(unpacked, "package-alone.json")
    assert sorted(both) == sorted(path.name for path in (unpacked / "device" / "ditmos").iterdir())
    try:
        mpremote("mip", "install", f"{unpacked}/device/package-alone.json")
        where = "from ditmos import alone, routing; print(alone.__file__, routing.__file__)"
        assert mpremote("exec", where).split() == ["/flash/lib/ditmos/alone.py", "ditmos/routing.py"]
    finally:
        mpremote("fs", "rm", "-r", ":/flash/lib")
