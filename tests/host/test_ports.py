"""Which boards are plugged in, on ports that are made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ditmos.cli import application
from ditmos.errors import DitmosError
from ditmos.link import ports, repl
from serial.tools.list_ports_common import ListPortInfo
from typer.testing import CliRunner


def plugged(device: Path, vendor: int | None, number: str = "") -> ListPortInfo:
    info = ListPortInfo(str(device))
    info.vid, info.description, info.serial_number = vendor, "a port", number or None
    return info


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A modem, a board of another kind, an ST-LINK, and a port that is not on USB."""
    names = {"modem": 0x1234, "pico": 0x2E8A, "stlink": ports.ST_VENDOR, "ttyS0": None}
    for name in names:
        (tmp_path / name).touch()
    found = [plugged(tmp_path / name, vendor, "066" if name == "stlink" else "") for name, vendor in names.items()]
    monkeypatch.setattr(ports.list_ports, "comports", lambda: found)
    return tmp_path


def test_boards_come_first(machine: Path) -> None:
    found = ports.ports()
    assert [Path(port.device).name for port in found] == ["stlink", "pico", "modem"]
    assert [port.board for port in found] == ["NUCLEO (ST-LINK)", "Raspberry Pi Pico", ""]
    assert [port.stlink for port in found] == [True, False, False]
    assert found[0].serial_number == "066" and all(port.usable for port in found)
    assert repl.find_port() == str(machine / "stlink")


def test_one_board_or_a_name(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [plugged(machine / name, ports.ST_VENDOR) for name in ("stlink", "modem")]
    monkeypatch.setattr(ports.list_ports, "comports", lambda: two)
    with pytest.raises(DitmosError, match=r"several boards \(.*modem, .*stlink\): name one with --port"):
        repl.find_port()
    monkeypatch.setattr(ports.list_ports, "comports", lambda: [])
    with pytest.raises(DitmosError, match="no NUCLEO board is plugged in"):
        repl.find_port()


def test_a_port_of_another_user(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.os, "access", lambda path, mode: False)
    assert not any(port.usable for port in ports.ports())
    group = (machine / "stlink").group()
    assert ports.how_to_open(str(machine / "stlink")) == f"sudo usermod -aG {group} $USER, then log in again"
    assert "dialout" in ports.how_to_open("/dev/no-such-port")


def test_command(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, file = CliRunner(env={"COLUMNS": "200"}), machine / "ports.json"
    output = runner.invoke(application(), ["ports", "--json", str(file)]).output
    assert "NUCLEO (ST-LINK)" in output and "ttyS0" not in output
    assert [Path(port["device"]).name for port in json.loads(file.read_text())] == ["stlink", "pico", "modem"]
    monkeypatch.setattr(ports.list_ports, "comports", lambda: [])
    result = runner.invoke(application(), ["ports"])
    assert result.exit_code == 0 and "ditmos doctor" in result.stderr
