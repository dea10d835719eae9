"""`ditmos report`: results of sweeps and training runs as one page, a JSON summary, and tables in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add(app: typer.Typer) -> None:
    app.command()(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of trainings or of sweeps.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The page.")] = Path("report.html"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Mean and spread of every method.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The same as tables in Markdown.")] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures: accuracy against instructions and flash, a file a data set."),
    ] = None,
    title: str = "DiTMoS results",
) -> None:
    """One self-contained HTML page: classes, confusion, learning curves, routing, cost against accuracy."""
    from ditmos import atomic
    from ditmos.atomic import write_json
    from ditmos.study import page
    from ditmos.study.pictures import svg
    from ditmos.study.summary import summarise
    from ditmos.study.tables import markdown as tables

    rows = page.gather(runs)
    atomic.write(out, page.page(rows, title).encode())
    entries = summarise(rows)
    if json_file:
        write_json(json_file, entries)
    if markdown:
        atomic.write(markdown, tables(entries, rows).encode())
    if plots:
        for data in sorted({row["data"] for row in rows}):
            for axis, name in (("instructions", "instructions"), ("flash_bytes", "flash")):
                if (figure := page.against(entries, data, axis)) is not None:
                    atomic.write(plots / f"{data}-{name}.svg", svg(figure).encode())
    typer.echo(f"{out}: number of trainings: {len(rows)}, of methods: {len({e['method'] for e in entries})}")
