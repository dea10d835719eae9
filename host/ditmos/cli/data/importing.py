"""`ditmos data import`: recordings as people have them, to a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.cli.data.make import SplitName, SplitOption

if TYPE_CHECKING:
    from ditmos.datasets import Dataset
    from ditmos.datasets.importers import Report

_LABELS = "Labels and people"
_FILES = "What the files are like"
_WINDOWS = "What is made of them"
_MOST = 60  # lines of a table


def _option(text: str, panel: str, *names: str) -> typer.models.OptionInfo:
    return typer.Option(*names, help=text, rich_help_panel=panel)


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders that are searched for them.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Dataset to write (.npz).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and the first rows.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A public set: pamap2, sisfall, speech-commands, uci-har, unimib-shar or wisdm. Options say what is "
            "wanted otherwise."
        ),
    ] = None,
    pattern: Annotated[
        str | None, _option("What paths say: '{label}/{subject}_{take}.csv'; also {sensor}, {split}, *.", _LABELS)
    ] = None,
    label: Annotated[str | None, _option("Class of everything.", _LABELS)] = None,
    subject: Annotated[str | None, _option("Person of everything.", _LABELS)] = None,
    label_column: Annotated[str | None, _option("Column of labels, by name or number.", _LABELS)] = None,
    subject_column: Annotated[str | None, _option("Column of people.", _LABELS)] = None,
    take_column: Annotated[str | None, _option("Column of takes.", _LABELS)] = None,
    labels: Annotated[
        Path | None, _option("CSV of labels by time: start, stop, label, and subject or file.", _LABELS)
    ] = None,
    unlabelled: Annotated[str | None, _option("Class of what no label covers; else it is left out.", _LABELS)] = None,
    rename: Annotated[
        list[str] | None, _option("OLD=NEW,...: rename or merge classes; OLD= leaves one out.", _LABELS)
    ] = None,
    columns: Annotated[str | None, _option("Channels, by name or number: ax,ay,az.", _FILES)] = None,
    names: Annotated[str | None, _option("Names for the channels: ax,ay,az.", _FILES)] = None,
    time_column: Annotated[str | None, _option("Column of time stamps; none if there is none.", _FILES)] = None,
    time_unit: Annotated[str | None, _option("Of the time stamps: s, ms, us or ns.", _FILES)] = None,
    sensor_column: Annotated[str | None, _option("Column(s) that say which sensor a row is from.", _FILES)] = None,
    rate: Annotated[float | None, _option("Rows per second, of files that do not say it.", _FILES)] = None,
    units: Annotated[
        str | None, _option("Of the dataset: g, or one each: g,g,g,deg/s. Files that say theirs are converted.", _FILES)
    ] = None,
    scale: Annotated[float | None, _option("Real units per number in the files.", _FILES)] = None,
    encoding: Annotated[str | None, _option("Of text: utf-8, utf-16, latin-1, ...", _FILES)] = None,
    separator: Annotated[str | None, _option("Between columns: , ; tab or blank.", _FILES)] = None,
    decimal: Annotated[str | None, _option("Decimal mark, a point or a comma.", _FILES)] = None,
    key: Annotated[str | None, _option("Variable of .mat and .npz files.", _FILES)] = None,
    resample: Annotated[float | None, _option("Rows per second of the dataset.", _WINDOWS)] = None,
    window: Annotated[str | None, _option("Length: 128 (rows) or 2.5s.", _WINDOWS)] = None,
    hop: Annotated[str | None, _option("From one window to the next: rows or time; half a window.", _WINDOWS)] = None,
    pad: Annotated[str | None, _option("Fill up short recordings: zero or edge.", _WINDOWS)] = None,
    peak: Annotated[
        str | None, _option("Classes whose recordings give one window, around the largest magnitude.", _WINDOWS)
    ] = None,
    fill: Annotated[float, _option("Bridge gaps in time up to so many seconds.", _WINDOWS)] = 0.0,
    split_kind: SplitOption = SplitName.auto,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the report to this file.")] = None,
) -> None:
    """Make a dataset from recordings: CSV and other text, sound, Empatica E4, EDF, NumPy, MATLAB, Edge Impulse.

    What is not said is guessed, and shown: look at --dry-run first.
    """
    from ditmos.atomic import check_writable, write_json
    from ditmos.datasets.importers import Options, import_recordings
    from ditmos.datasets.importers.labels import parse_rename
    from ditmos.errors import DitmosError
    from ditmos.progress import Stages

    if out is None and not dry_run:
        raise DitmosError("expected --out FILE.npz, or --dry-run")
    for file in (None if dry_run else out, json_file):
        if file:
            check_writable(file)
    options = Options(
        pattern=pattern,
        label=label,
        subject=subject,
        label_column=label_column,
        subject_column=subject_column,
        take_column=take_column,
        sensor_column=sensor_column,
        labels=labels,
        unlabelled=unlabelled,
        columns=_list(columns),
        names=_list(names),
        time_column=time_column,
        time_unit=time_unit,
        encoding=encoding,
        separator={"tab": "\t", "blank": " "}.get(separator or "", separator),
        decimal=decimal,
        rate=rate,
        resample=resample,
        units=_list(units),
        scale=scale,
        window=window,
        hop=hop,
        pad=pad,
        peak=_list(peak),
        fill=fill,
        rename=parse_rename(rename or []),
        key=key,
    )
    name = out.stem if out else "dry run"
    with Stages(transient=True) as stages:
        dataset, report = import_recordings(paths, options, stages.report, name, preset)
    show(dataset, report)
    if dry_run:
        typer.echo("dry run: nothing was written")
    elif out is not None:
        from ditmos.cli.data.make import write

        write(dataset, out, split_kind)
    if json_file:
        write_json(json_file, report.summary(dataset))


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def show(dataset: Dataset, report: Report) -> None:
    """Guesses, the first rows, windows per class, and everything that is not as it should be."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.cli.data.info import show_trouble
    from ditmos.datasets.importers.report import counts
    from ditmos.datasets.trouble import find_trouble

    console = Console(soft_wrap=True, markup=False)
    for guess in report.guesses:
        typer.echo(f"  {guess}")
    for line in report.lines():
        typer.echo(f"  {line}")
    if any(str(number) not in name for number, name in report.subjects.items()):
        typer.echo(f"  people: {', '.join(f'{number} is {name}' for number, name in report.subjects.items())}")
    units = f" in {dataset.units}" if dataset.units else ", units unknown: --units"
    typer.echo(f"first rows{units}, at {dataset.fs:g} Hz:")
    rows = Table(*dataset.channels, box=None)
    for row in report.first_rows:
        rows.add_row(*(f"{value:.6g}" for value in row))
    console.print(rows)
    for what, counted in counts(dataset, report.subjects):
        if what == "person" and len(counted) == 1:
            continue
        table = Table(what, "windows", "people" if what == "class" else "classes", "takes", box=None)
        for name, *numbers in counted[:_MOST]:
            table.add_row(name, *map(str, numbers))
        console.print(table)
        if len(counted) > _MOST:
            typer.echo(f"  and {len(counted) - _MOST} more")
    show_trouble(find_trouble(dataset))
