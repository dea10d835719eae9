"""`ditmos sweep`: many trainings from one file, in parallel, resumable; `ditmos search`: shapes within a budget."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data-folder", help="Where data sets lie; else DITMOS_DATA.")]


def add(app: typer.Typer) -> None:
    app.command()(sweep)
    app.command()(search)
    app.command()(tree)


def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file (TOML); see docs/training.md.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of results, models and pools.")] = Path("runs/sweep"),
    data_folder: Data = None,
    processes: Annotated[int, typer.Option("-j", "--processes", min=1, help="In parallel, one thread each.")] = 2,
    ray: Annotated[str | None, typer.Option(help="Address of a Ray cluster, or local.")] = None,
    nice: Annotated[int, typer.Option(min=0, max=19, help="Niceness of the workers.")] = 0,
    only: Annotated[str, typer.Option(help="Only jobs whose key matches this regular expression.")] = "",
) -> None:
    """Run every job of a sweep that has no result yet. One that fails does not stop the others."""
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ditmos.cli import terminate_as_interrupt
    from ditmos.study import sweepfile
    from ditmos.study.sweep import pending, result_file, run

    execute = None
    if ray:
        from ditmos.study.cluster import on_cluster

        execute = on_cluster(ray, processes)
    terminate_as_interrupt()
    content = sweepfile.read(file)
    content = replace(content, jobs=tuple(job for job in content.jobs if re.search(only, content.key(job))))
    console = Console(stderr=True)
    waiting = len(pending(content, out))
    console.print(f"{len(content.jobs)} jobs, {len(content.jobs) - waiting} done before")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("jobs", total=waiting)

        def report(key: str, ok: bool) -> None:
            bars.advance(task)
            where = "" if ok else f" failed: {result_file(out, key).with_suffix('.error')}"
            bars.console.print(f"{key}{where}", highlight=False)

        failed = run(
            content,
            sweepfile.data_folder(data_folder),
            out.resolve(),
            processes=processes,
            execute=execute,
            nice=nice,
            report=report,
        )
    if failed:
        raise typer.Exit(1)


def search(
    file: Annotated[Path, typer.Argument(help="Sweep file that defines the data.")],
    data: Annotated[str, typer.Argument(help="Its name there.")],
    max_macs: Annotated[int, typer.Option(help="MACs per inference; the mean where the cost varies.")],
    method: Annotated[list[str] | None, typer.Option(help="wide, ensemble, exit, routed, routed-exit.")] = None,
    max_ram: Annotated[int | None, typer.Option(help="Bytes of arena, from the planner.")] = None,
    max_flash: Annotated[int | None, typer.Option(help="Bytes of the model file.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Candidates per method.")] = 12,
    epochs: Annotated[float | None, typer.Option(min=0.1, help="Of the last round", show_default="the file's")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder that keeps pools and trials.")] = Path("runs/sweep"),
    data_folder: Data = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Every trial.")] = None,
) -> None:
    """Look for the best architecture within a budget, on validation data, by successive halving."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.errors import DitmosError
    from ditmos.study import sweepfile
    from ditmos.study.entries import Job
    from ditmos.study.shared import ensure_search
    from ditmos.training.search import Trial
    from ditmos.training.space import known_family

    content = sweepfile.read(file)
    if data not in content.data:
        raise DitmosError(f"{file}: no data {data!r}, expected one of {', '.join(content.data)}")
    torch.set_num_threads(1)
    folder = sweepfile.data_folder(data_folder)
    console, trials, table = Console(), [], Table("method", "value", "MACs", "union", "shape", box=None)

    def report(trial: Trial) -> None:
        console.print(f"{trial.epochs:5.1f} epochs  {trial.value:.4f}  {trial.to_dict()['shape']}", highlight=False)

    for name in method or ["wide", "ensemble", "exit", "routed", "routed-exit"]:
        known_family(name)
        job = Job(
            data, name, max_macs, family=name, count=count, ram=max_ram or 0, flash=max_flash or 0,
            fit={"epochs": epochs} if epochs else {},
        )  # fmt: skip
        found = ensure_search(content, job, folder, out.resolve(), report)
        trials += found
        best = found[0]
        union = "" if best["union"] is None else f"{best['union']:.4f}"
        table.add_row(name, f"{best['value']:.4f}", f"{best['macs']}", union, best["shape"])
        if json_file:
            write_json(json_file, trials)
    console.print(table)


def tree(
    file: Annotated[Path, typer.Argument(help="Sweep file (TOML) whose results are there.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the results.")] = Path("runs/sweep"),
    data_folder: Data = None,
    only: Annotated[str, typer.Option(help="Only jobs whose key contains this.")] = "",
) -> None:
    """A decision tree in the place of the selector, for every routed model: a row of results and a policy file each."""
    from dataclasses import replace

    from rich.console import Console

    from ditmos.study import sweepfile
    from ditmos.study.tree import run

    content = sweepfile.read(file)
    content = replace(content, jobs=tuple(job for job in content.jobs if only in content.key(job)))
    console = Console(stderr=True)
    count = run(content, sweepfile.data_folder(data_folder), out, lambda key: console.print(key, highlight=False))
    console.print(f"{count} trees; policies: {out}/models/*-tree.py")
