"""`ditmos ports`: the boards that are plugged in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    app.command()(ports)


def ports(
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the list to this file.")] = None,
) -> None:
    """List boards on serial ports, without opening them."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.link.ports import how_to_open
    from ditmos.link.ports import ports as found_ports

    found = found_ports()
    if json_file:
        write_json(json_file, [asdict(port) for port in found])
    if not found:
        typer.echo(
            "no board on a serial port; ditmos sim starts a simulated one, ditmos doctor looks for causes", err=True
        )
        return
    table = Table("port", "board", "description", "serial number", "", box=None)
    for port in found:
        remark = "" if port.usable else how_to_open(port.device)
        cells = (port.device, port.board or "?", port.description, port.serial_number, remark)
        table.add_row(*map(escape, cells))
    Console().print(table)
