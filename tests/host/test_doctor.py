"""What `ditmos doctor` finds, on a machine and boards that are made up."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ditmos import __version__, doctor, extras
from ditmos.cli import application
from ditmos.doctor import Finding, State
from ditmos.errors import DitmosError
from ditmos.firmware import targets, tools
from ditmos.link.ports import Port
from ditmos.link.repl import Probe
from typer.testing import CliRunner

STLINK = Port("/dev/ttyACM7", "NUCLEO (ST-LINK)", "STM32 STLink", "066", usable=True)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing built, nothing plugged in, every program there."""
    monkeypatch.setattr(targets, "BUILD", tmp_path)
    monkeypatch.setattr(doctor, "NUCLEO_IMAGE", tmp_path / "nucleo")
    monkeypatch.setattr(doctor, "ports", lambda: [])
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(tools, "version", lambda tool: "12.2.1")
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    return tmp_path


def look(**options: Any) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.examine(**options)}


def board(probe: Probe | None) -> Any:
    @contextmanager
    def opened(port: str):
        if probe is None:
            raise DitmosError(f"{port}: the board does not answer")
        yield type("Board", (), {"probe": lambda self: probe})()

    return opened


def test_a_bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: None)
    monkeypatch.setattr(extras, "missing", lambda extra: list(extras.EXTRAS[extra]))
    found = look()
    assert found.pop("ditmos").state is State.ok
    assert {finding.state for finding in found.values()} == {State.absent}
    assert all(finding.do for finding in found.values())
    assert found["extra train"].do == 'pip install "ditmos[train]"'
    assert found["arm-none-eabi-gcc"].do == "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    assert "CN1" in found["board"].do and "CN1" in found["way to flash"].do


def test_the_table_says_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "missing", lambda extra: list(extras.EXTRAS[extra]))
    result = CliRunner(env={"COLUMNS": "200"}).invoke(application(), ["doctor"])
    assert result.exit_code == 0 and 'pip install "ditmos[train]"' in result.output
    monkeypatch.setattr(doctor, "ports", lambda: [Port("/dev/ttyACM7", "NUCLEO (ST-LINK)", "", "", usable=False)])
    assert CliRunner().invoke(application(), ["doctor", "--no-ask"]).exit_code == 1


def test_nothing_to_do_where_all_is_there(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in (targets.SIM, targets.UNIX):
        target.folder.mkdir(parents=True)
        (target.folder / target.output).touch()
        target.version_file.write_text(__version__)
    (machine / "nucleo").mkdir()
    (machine / "nucleo" / "firmware.json").write_text(f'{{"ditmos": "{__version__}"}}')
    monkeypatch.setattr(extras, "missing", lambda extra: [])
    monkeypatch.setattr(doctor, "ports", lambda: [STLINK])
    found = look(open_board=board(Probe("NUCLEO-F767ZI", "1.25.0", True, __version__)))
    assert {finding.state for finding in found.values()} == {State.ok}
    assert not any(finding.do for finding in found.values())
    assert found["board"].found == f"NUCLEO-F767ZI, MicroPython 1.25.0, ditmos {__version__}"


def test_firmware_of_another_version(machine: Path) -> None:
    targets.SIM.folder.mkdir(parents=True)
    (targets.SIM.folder / targets.SIM.output).touch()
    targets.SIM.version_file.write_text("0.0.1")
    found = look()["firmware sim"]
    assert found == Finding(
        "firmware sim", State.wrong, f"of ditmos 0.0.1, this is {__version__}", "ditmos firmware build sim"
    )
    (machine / "nucleo").mkdir()
    (machine / "nucleo" / "firmware.json").write_text("{")
    assert look()["firmware nucleo"].state is State.wrong


def test_a_compiler_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "version", lambda tool: "9.3.1")
    found = look()
    cross = found["arm-none-eabi-gcc"]
    assert cross.state is State.wrong and "expected 10 or later" in cross.found
    assert found["gcc"].state is State.ok


def test_a_port_that_may_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ports", lambda: [Port("/dev/ttyACM7", "NUCLEO (ST-LINK)", "", "", usable=False)])
    found = look(ask=False)
    assert found["port /dev/ttyACM7"].state is State.wrong and "usermod" in found["port /dev/ttyACM7"].do
    assert "board" not in found


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (None, "does not answer"),
        (Probe("NUCLEO-F767ZI", "1.25.0", False, ""), "without the _ditmos module"),
        (Probe("NUCLEO-F767ZI", "1.25.0", True, "0.0.1"), f"ditmos 0.0.1; this is {__version__}"),
    ],
)
def test_a_board_that_is_of_no_use_as_it_is(monkeypatch: pytest.MonkeyPatch, probe: Probe | None, said: str) -> None:
    monkeypatch.setattr(doctor, "ports", lambda: [STLINK])
    found = look(open_board=board(probe))["board"]
    assert found.state is State.wrong and said in found.found and "ditmos firmware flash nucleo" in found.do


def test_of_several_boards_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Port("/dev/ttyACM8", "NUCLEO (ST-LINK)", "", "", usable=True)
    monkeypatch.setattr(doctor, "ports", lambda: [STLINK, other])
    assert "--port" in look()["board"].do
    asked = []
    look(port="/dev/ttyACM8", open_board=lambda port: asked.append(port) or board(None)(port))
    assert asked == ["/dev/ttyACM8"]
