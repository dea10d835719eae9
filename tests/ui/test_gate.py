"""Who is let in: the gate around the page's server, and the folder that it works in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ditmos.atomic import write_json
from ditmos.datasets.takes import Takes
from ditmos.errors import DitmosError
from ditmos.ui.desk import POLICIES, Desk
from ditmos.ui.folder import Folder
from ditmos.ui.gate import Gate
from ditmos.ui.training_job import DATA

HOST = (b"host", b"127.0.0.1:8000")


async def inside(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"in"})


def ask(gate: Gate, query: str = "", *headers: tuple[bytes, bytes], kind: str = "http", path: str = "/") -> dict:
    """The first message of the answer."""
    sent: list = []

    async def send(message) -> None:
        sent.append(message)

    scope = {"type": kind, "headers": headers, "query_string": query.encode(), "path": path}
    asyncio.run(gate(scope, None, send))
    return sent[0]


def headers(message: dict) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in message["headers"]}


def test_a_token_is_good_for_one_visit_and_its_cookie_for_all() -> None:
    gate = Gate(inside, 8000)
    token = gate.token()
    first = ask(gate, f"token={token}", HOST)
    assert first["status"] == 303 and headers(first)["location"] == "/"
    cookie = headers(first)["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    held = (b"cookie", cookie.split(";")[0].encode())
    answer = ask(gate, "", HOST, held)
    assert answer["status"] == 200
    policy = headers(answer)["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy and "*" not in policy
    assert ask(gate, f"token={token}", HOST)["status"] == 403, "it is spent"
    assert ask(gate, f"token={token}", HOST, held)["status"] == 200
    assert ask(gate, f"token={gate.token()}", HOST)["status"] == 303, "another browser, another token"


@pytest.mark.parametrize(
    "path", ["/", "/_nicegui_ws/socket.io/", "/favicon.ico", "/_nicegui/3.18.0/static/nicegui.css"]
)
def test_nothing_is_answered_without(path: str) -> None:
    gate = Gate(inside, 8000)
    gate.token()
    for query in ("", "token=", "token=x", "token=%00"):
        assert ask(gate, query, HOST, path=path)["status"] == 403
        assert ask(gate, query, HOST, (b"cookie", b"ditmos-8000=guess; ;=\xff"), path=path)["status"] == 403
    assert ask(gate, "", HOST, kind="websocket", path=path)["type"] == "websocket.close"


def test_other_names_and_foreign_pages_are_kept_out() -> None:
    gate = Gate(inside, 8000)
    held = (b"cookie", headers(ask(gate, f"token={gate.token()}", HOST))["set-cookie"].split(";")[0].encode())
    assert ask(gate, "", (b"host", b"evil.example:8000"), held)["status"] == 403
    assert ask(gate, "", (b"host", b"127.0.0.1:9000"), held)["status"] == 403
    assert ask(gate, "", HOST, held, (b"origin", b"http://evil.example"))["status"] == 403
    assert ask(gate, "", HOST, held, (b"origin", b"http://127.0.0.1:8000"))["status"] == 200
    refused = ask(gate, "", HOST, held, (b"origin", b"null"), kind="websocket")
    assert refused == {"type": "websocket.close", "code": 1008}


def test_a_folder_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "secret.dtm").write_bytes(b"")
    (tmp_path / "work" / "a.dtm").write_bytes(b"")
    (tmp_path / "work" / "link.dtm").symlink_to(tmp_path / "secret.dtm")
    folder = Folder(tmp_path / "work")
    assert folder.path("a.dtm") == tmp_path / "work" / "a.dtm"
    for name in ("../secret.dtm", str(tmp_path / "secret.dtm"), "link.dtm", "", ".", "a/../../secret.dtm", "x\0y"):
        with pytest.raises(DitmosError):
            folder.path(name)
    assert folder.models() == ["a.dtm"]
    assert folder.new("my set", ".npz").name == "my set.npz"
    for name in ("", "../x", "a/b", ".hidden", "x" * 200):
        with pytest.raises(DitmosError, match="expected letters"):
            folder.new(name, ".npz")
    with pytest.raises(DitmosError, match="no such folder"):
        Folder(tmp_path / "nowhere")


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    """Policies, drivers, models, takes and what a training says it was made of: a link, or a path, to elsewhere."""
    (tmp_path / "work" / "run").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.py").write_text("class D:\n    pass\n")
    work = tmp_path / "work"
    folder = Folder(work)
    desk = Desk(folder, [], None, None, "all")
    assert desk.data_of(work / "run") is None
    for data in (tmp_path / "elsewhere" / "d.npz", "/etc/passwd", "../../elsewhere/d.npz"):
        write_json(work / "run" / DATA, {"data": str(data)})
        with pytest.raises(DitmosError, match="expected a file in"):
            desk.data_of(work / "run")
    write_json(work / "run" / DATA, {"data": str(work / "d.npz")})
    assert desk.data_of(work / "run") == work / "d.npz"
    for link in ("mine.takes", "run2", "link.py"):
        (work / link).symlink_to(tmp_path / "elsewhere" / ("d.py" if link == "link.py" else ""))
    for name in ("link.py:D", "../elsewhere/d.py:D", f"{tmp_path}/elsewhere/d.py:D", "mine.takes/d.py:D"):
        with pytest.raises(DitmosError, match="expected a file in"):
            desk.named(f"sensor {name}")
    with pytest.raises(DitmosError, match="a name, or name"):
        desk.named("sensor /etc/passwd")
    with pytest.raises(DitmosError, match="expected a file in"):
        folder.inside(Takes(folder.new("mine", ".npz")).folder)
    with pytest.raises(DitmosError, match="expected a file in"):
        folder.new("run2", "")
    (work / POLICIES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DitmosError, match="expected a file in"):
        Desk(folder, [], None, None, "all")
