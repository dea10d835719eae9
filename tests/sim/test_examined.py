"""`ditmos doctor` asks a board that runs."""

from __future__ import annotations

import json
from pathlib import Path

from ditmos import __version__
from ditmos.cli import application
from ditmos.simulated.qemu import Simulator
from typer.testing import CliRunner


def test_a_simulated_board_is_found_well(simulated: Simulator, tmp_path: Path) -> None:
    arguments = ["doctor", "--port", simulated.port, "--json", str(tmp_path / "found.json")]
    output = CliRunner(env={"COLUMNS": "200"}).invoke(application(), arguments).output
    found = {line["what"]: line for line in json.loads((tmp_path / "found.json").read_text())}
    assert found["board"]["state"] == "ok" and found["board"]["found"].endswith(f"ditmos {__version__}")
    assert found["firmware sim"]["state"] == "ok" and "qemu-system-arm" in output
