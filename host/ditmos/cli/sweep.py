"""`ditmos sweep`: many trainings from one file, in parallel, resumable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer


def add(app: typer.Typer) -> None:
    app.command()(sweep)


def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file (TOML); see ditmos/study/sweepfile.py.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the runs.")] = Path("runs/sweep"),
    data_folder: Annotated[
        Path | None, typer.Option("--data-folder", help="Where data sets lie; else DITMOS_DATA.")
    ] = None,
    processes: Annotated[int, typer.Option("-j", "--processes", min=1, help="In parallel.")] = 1,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster, or local.")] = None,
    nice: Annotated[int, typer.Option(min=0, max=19, help="Niceness of the workers.")] = 0,
    only: Annotated[str, typer.Option(help="Only jobs whose key matches this regular expression.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the summary to this file.")] = None,
) -> None:
    """Train every job of a sweep that has no result yet, as `ditmos train` does. One that fails does not stop the
    others. The summary at the end is of all jobs (of `--only`) that have a result: what each method scores and costs,
    and what those that route are better by than each rival on the same windows."""
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ditmos.atomic import write_json
    from ditmos.cli import terminate_as_interrupt
    from ditmos.errors import DitmosError
    from ditmos.study.counted import merged
    from ditmos.study.summary import summarise
    from ditmos.study.sweep import error_file, pending, result_file, results, run
    from ditmos.study.sweepfile import data_folder as folder_of
    from ditmos.study.sweepfile import read_sweep

    execute = None
    if ray:
        from ditmos.study.cluster import on_cluster

        execute = on_cluster(ray, processes)
    terminate_as_interrupt()
    content = read_sweep(file)
    try:
        wanted = re.compile(only)
    except re.error as error:
        raise DitmosError(f"only is {only!r}, expected a regular expression ({error})") from None
    content = replace(content, jobs=tuple(job for job in content.jobs if wanted.search(content.key(job))))
    console = Console(stderr=True, markup=False)
    waiting = len(pending(content, out))
    console.print(f"{len(content.jobs)} jobs, {len(content.jobs) - waiting} done before")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("jobs", total=waiting)

        def report(key: str, ok: bool) -> None:
            bars.advance(task)
            where = "" if ok else f" failed: {error_file(out, key)}"
            bars.console.print(f"{key}{where}", highlight=False)

        failed = run(
            content,
            folder_of(data_folder),
            out.resolve(),
            processes=processes,
            execute=execute,
            nice=nice,
            report=report,
        )
    keys = {content.key(job) for job in content.jobs}
    entries: list[dict[str, Any]] = []
    if any(result_file(out, key).exists() for key in keys):
        entries = summarise(row for row in merged(out, results(out)) if row["key"] in keys)
    _show(entries)
    if json_file:
        write_json(json_file, entries)
    if failed:
        raise typer.Exit(1)


_LEFT_OUT = ("float", "union", "MACs (mean)", "arena B", "network")  # of the tables of `ditmos report`


def _show(entries: list[dict[str, Any]]) -> None:
    """Results and pairs of every data set and budget."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.study.tables import overview

    console = Console(markup=False)
    for data in dict.fromkeys(entry["data"] for entry in entries):
        for table in overview([entry for entry in entries if entry["data"] == data]):
            kept = table.only([name for name in table.head if name not in _LEFT_OUT])
            shown = Table(*kept.head, title=kept.title, title_justify="left", box=None)
            for row in kept.rows:
                shown.add_row(*row)
            console.print(shown, highlight=False)
