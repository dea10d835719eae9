"""`ditmos bench`: what things cost, measured, or estimated where there is nothing to measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ditmos.cli.estimate import estimate


def add(app: typer.Typer) -> None:
    bench = typer.Typer(
        no_args_is_help=True, help="Measure kernels, models, front ends and the line; estimate time and energy."
    )
    app.add_typer(bench, name="bench")
    bench.command()(training)
    bench.command()(kernels)
    bench.command()(models)
    bench.command()(frontend)
    bench.command()(link)
    bench.command()(ui)
    bench.command()(estimate)


def training(
    classes: Annotated[int, typer.Option(min=2)] = 34,
    classifiers: Annotated[int, typer.Option(min=2, max=64)] = 6,
    batch: Annotated[int, typer.Option(min=16)] = 512,
    repetitions: Annotated[int, typer.Option(min=1)] = 15,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """One step of the reference network (METHOD's widths, 151 x 3 windows): grouped, and looped as the authors do."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.bench.training_speed import measure
    from ditmos.model.spec import reference_spec

    rows = measure(reference_spec(classes, classifiers), batch=batch, repetitions=repetitions, threads=threads)
    table = Table("", "batch", "steps/s", "windows/s", "times", box=None)
    for row in rows:
        figures = (f"{row['batch']}", f"{row['steps_per_s']:.1f}", f"{row['windows_per_s']:.0f}")
        table.add_row(row["name"], *figures, f"{row['speedup']:.1f}")
    Console().print(table)
    if json_file:
        write_json(json_file, {"classifiers": classifiers, "threads": threads, "rows": rows})


def link(
    windows: Annotated[int, typer.Option(min=200, help="Streamed whole on a clean line.")] = 20_000,
    frames: Annotated[int, typer.Option(min=100, help="Sent to the board on a disturbed line.")] = 100_000,
    rate: Annotated[float, typer.Option(min=0, max=0.05, help="Faults per byte, both ways.")] = 1e-3,
    interrupts: Annotated[int, typer.Option(min=1, help="Ctrl-C at so many random moments.")] = 20,
    firmware: Annotated[Path | None, typer.Option(help="Of the simulated board.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Streams on the simulated board, clean and disturbed, and what must hold of them (docs/protocol.md)."""
    from rich.console import Console
    from rich.progress import Progress

    from ditmos.atomic import write_json
    from ditmos.bench.link import measure

    with Progress(console=Console(stderr=True), transient=True) as bar:
        tasks: dict = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        figures = measure(firmware, windows=windows, frames=frames, rate=rate, interrupts=interrupts, report=report)
    console = Console()
    for part in ("clean", "faults", "interrupts", "killed", "silent"):
        console.print(f"[bold]{part}[/]", ", ".join(f"{k} {v}" for k, v in figures[part].items()), highlight=False)
    for hop, row in figures["slide"]["hops"].items():
        console.print(f"[bold]hop {hop}[/]", ", ".join(f"{k} {v}" for k, v in row.items()), highlight=False)
    for bar_name, holds in figures["bars"].items():
        console.print("[green]yes[/]" if holds else "[bold red]NO [/]", bar_name, highlight=False)
    if json_file:
        write_json(json_file, figures)
    if not all(figures["bars"].values()):
        raise typer.Exit(1)


def kernels(
    models: Annotated[list[Path] | None, typer.Argument(help="Model files (.dtm) to measure too.")] = None,
    board: Annotated[str, typer.Option(help="sim.")] = "sim",
    firmware: Annotated[Path | None, typer.Option(help="Of the simulated board.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Instructions against arena bytes (.png, .svg, .pdf).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Instructions of the kernels and plans on the simulated Cortex-M7, counted exactly; cycles estimated."""
    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.bench.kernel_tables import print_kernels
    from ditmos.bench.kernels import measure
    from ditmos.errors import DitmosError

    if board != "sim":
        raise DitmosError(f"board {board!r}, expected sim; `device/bench.py` measures on a real board")
    with Console(stderr=True).status("") as status:
        figures = measure(models or [], firmware=firmware, report=status.update)
    print_kernels(Console(), figures)
    if plot:
        from ditmos.bench.kernel_picture import draw

        draw(figures, plot)
    if json_file:
        write_json(json_file, figures)
    if not all(row["value"] is None or row["value"] <= row["bar"] for row in figures["rows"]):
        raise typer.Exit(1)


def models(
    results: Annotated[Path, typer.Argument(help="Folder of a sweep.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="All of them; each is kept in FOLDER/board.")] = None,
) -> None:
    """Instructions of every model of a sweep on the simulated board; goes on where it stopped."""
    from rich.console import Console
    from rich.progress import Progress

    from ditmos.atomic import write_json
    from ditmos.study import counted, onboard
    from ditmos.study.sweep import results as rows_of

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("models", total=len(onboard.pending(results)))

        def report(key: str, problem: str) -> None:
            bar.advance(task)
            bar.console.print(f"{key} {problem}", highlight=False)

        failed = onboard.measure(results, report)
    if json_file:
        rows = counted.merged(results, rows_of(results))
        write_json(json_file, {row["key"]: row["board"] for row in rows if "board" in row})
    if failed:
        raise typer.Exit(1)


def frontend(
    count: Annotated[int, typer.Option(min=1, help="Random front ends.")] = 200,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Raw windows (.npz), through the front end that suits; again for more."),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Model (.dtm) of the set in its place: its front end, and labels that floats change."),
    ] = None,
    windows: Annotated[int, typer.Option(min=0, help="Of each set, on the simulated core; 0: all.")] = 16,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Front ends on the simulated Cortex-M7: instructions, RAM, and values that differ from the specification."""
    from itertools import zip_longest

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ditmos.atomic import check_writable, write_json
    from ditmos.bench.frontends import OnSet, measure
    from ditmos.datasets import load
    from ditmos.errors import DitmosError
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model

    data, model = data or [], model or []
    if len(model) > len(data):
        raise DitmosError(f"{len(model)} times --model, {len(data)} times --data, expected a set for every model")
    if json_file:
        check_writable(json_file)
    sets = [
        OnSet(load(one), Model(read_model(own)[0]) if own else None, windows) for one, own in zip_longest(data, model)
    ]
    with Console(stderr=True).status("front ends"):
        figures = measure(count, sets)
    table = Table("", "instructions", "in portable C", "kept", "work", "differing", "rms, nat", box=None)
    for front in figures["front_ends"]:
        numbers = (f"{front[name]:,}" for name in ("instructions", "portable", "kept", "work", "differing"))
        table.add_row(front["name"], *numbers, f"{front['rms_nat']:.5f}")
    console = Console()
    console.print(table)
    found = figures["random"]
    console.print(f"random: {found['front_ends']} front ends, {found['values']:,} values, {found['differing']} differ")
    for one in figures["sets"]:
        labels = f"; {one['changed']} of {one['labels']:,} labels change" if "changed" in one else ""
        text = f"{one['name']}: {one['windows']:,} windows, {one['values']:,} values, {one['differing']} differ{labels}"
        console.print(text, highlight=False, markup=False)
    for row in figures["rows"]:
        holds = "[green]yes[/]" if row["value"] <= row["bar"] else "[bold red]NO [/]"
        console.print(holds, escape(f"{row['name']}: {row['value']:,.5g} of {row['bar']:,}"), highlight=False)
    if json_file:
        write_json(json_file, figures)
    if not all(row["value"] <= row["bar"] for row in figures["rows"]):
        raise typer.Exit(1)


def ui(
    edits: Annotated[int, typer.Option(min=1, help="Policies that are put on the board.")] = 10,
    seconds: Annotated[float, typer.Option(min=1, help="Of the live view.")] = 20,
    json_file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """The page of `ditmos ui` in a browser: from an edit to its first answer, the live view's load, the first page."""
    from importlib.util import find_spec

    from rich.console import Console

    from ditmos.atomic import check_writable, write_json
    from ditmos.errors import DitmosError

    if find_spec("selenium") is None:
        raise DitmosError("this needs selenium, which drives a browser: pip install selenium")
    if json_file:
        check_writable(json_file)
    from ditmos.ui.timing import measure

    console = Console()
    with Console(stderr=True).status("") as status:
        figures = measure(edits, seconds, status.update)
    edit = figures["edit_s"]
    console.print(f"[bold]edit_s[/] median {edit['median']:.3f}, worst {edit['worst']:.3f}", highlight=False)
    for name in ("motion", "sound", "wide"):
        words = ", ".join(f"{key} {value}" for key, value in figures[name].items())
        console.print(f"[bold]{name}[/] {words}", highlight=False)
    console.print("[bold]load[/]", figures["load"], highlight=False)
    for name, holds in figures["bars"].items():
        console.print("[green]yes[/]" if holds else "[bold red]NO [/]", name, highlight=False)
    if json_file:
        write_json(json_file, figures)
    if not all(figures["bars"].values()):
        raise typer.Exit(1)
