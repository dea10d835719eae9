"""`ditmos data`: look at a dataset, make a synthetic one, convert a public one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ditmos.datasets import Dataset

JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]


class PublicSet(StrEnum):
    unimib_shar = "unimib-shar"
    sisfall = "sisfall"


class SplitName(StrEnum):
    none = "none"
    subject = "subject"
    group = "group"
    random = "random"


SplitOption = Annotated[SplitName, typer.Option("--split", help="Give the file a train / validation / test split.")]


def add(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Look at, make or convert datasets (.npz).")
    group.command()(info)
    group.command()(synth)
    group.command("import")(import_)
    app.add_typer(group, name="data")


def info(file: Annotated[Path, typer.Argument(help="Dataset (.npz).")], json_file: JsonOption = None) -> None:
    """Check FILE and show what is in it."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.datasets import load

    summary = summarize(load(file))
    console = Console()
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        if isinstance(value, list):
            value = (", " if key == "channels" else " x ").join(map(str, value))
        elif isinstance(value, dict):
            value = ", ".join(f"{part} {count}" for part, count in value.items())
        if key != "per_class":
            table.add_row(key.replace("_", " "), str(value))
    console.print(table)
    classes = Table("class", *next(iter(summary["per_class"].values())), box=None)
    for name, counts in summary["per_class"].items():
        classes.add_row(name, *map(str, counts.values()))
    console.print(classes)
    if json_file:
        write_json(json_file, summary)


def summarize(dataset: Dataset) -> dict[str, Any]:
    """What `ditmos data info` shows, ready for JSON."""
    import numpy as np

    from ditmos.datasets.dataset import SPLIT_NAMES

    parts = {"windows": np.arange(len(dataset))}
    if dataset.split is not None:
        parts |= {name: dataset.part(i) for i, name in enumerate(SPLIT_NAMES)}
    per_class = {
        name: {part: int((dataset.y[index] == c).sum()) for part, index in parts.items()}
        for c, name in enumerate(dataset.class_names)
    }
    summary: dict[str, Any] = {
        "name": dataset.name,
        "windows": len(dataset),
        "shape": [dataset.window, len(dataset.channels)],
        "type": str(dataset.x.dtype),
        "fs_hz": dataset.fs,
        "seconds": round(dataset.window / dataset.fs, 4),
        "scale": dataset.scale,
        "units": dataset.units,
        "real_min": float(dataset.x.min()) * dataset.scale,
        "real_max": float(dataset.x.max()) * dataset.scale,
        "classes": dataset.classes,
        "subjects": len(np.unique(dataset.subject)),
        "groups": len(np.unique(dataset.group)),
        "channels": list(dataset.channels),
        "sha256": dataset.sha256,
        "per_class": per_class,
    }
    if dataset.split is not None:
        summary["split"] = {name: len(dataset.part(i)) for i, name in enumerate(SPLIT_NAMES)}
        sides = [set(dataset.subject[dataset.part(i)].tolist()) for i in range(3)]
        summary["split_subjects"] = {name: len(side) for name, side in zip(SPLIT_NAMES, sides, strict=True)}
        summary["subjects_in_training_and_test"] = len(sides[0] & sides[2])
    return summary


def synth(
    out: Annotated[Path, typer.Argument(help="File to write (.npz).")],
    subjects: Annotated[int, typer.Option(help="People.")] = 24,
    activities: Annotated[int, typer.Option(help="Classes.")] = 14,
    recordings: Annotated[int, typer.Option(help="Recordings of each activity by each person.")] = 3,
    windows: Annotated[int, typer.Option(help="Windows of each recording.")] = 4,
    window: Annotated[int, typer.Option(help="Rows of a window, at 50 Hz.")] = 151,
    noise: Annotated[float, typer.Option(help="Standard deviation of the accelerometer's noise in g.")] = 0.04,
    seed: Annotated[int, typer.Option()] = 0,
    split_kind: SplitOption = SplitName.subject,
) -> None:
    """Simulate people with an accelerometer and a gyroscope at the waist."""
    from ditmos.datasets.synthetic import generate

    _write(
        generate(
            subjects=subjects,
            activities=activities,
            recordings=recordings,
            windows=windows,
            window=window,
            noise=noise,
            seed=seed,
        ),
        out,
        split_kind,
    )


def import_(
    source: Annotated[PublicSet, typer.Argument(help="Which public set.")],
    folder: Annotated[Path, typer.Argument(help="The unpacked official archive.")],
    out: Annotated[Path, typer.Argument(help="File to write (.npz).")],
    split_kind: SplitOption = SplitName.subject,
) -> None:
    """Convert the official files of a public set."""
    from rich.progress import Progress

    if source is PublicSet.unimib_shar:
        from ditmos.datasets import unimib_shar

        dataset = unimib_shar.load(folder)
    else:
        from ditmos.datasets import sisfall

        with Progress(transient=True) as progress:
            task = progress.add_task("recordings", total=None)
            dataset = sisfall.load(folder, lambda done, total: progress.update(task, completed=done, total=total))
    _write(dataset, out, split_kind)


def _write(dataset: Dataset, out: Path, kind: SplitName) -> None:
    from ditmos.datasets import save
    from ditmos.datasets.splits import split

    if kind is not SplitName.none:
        dataset = split(dataset, kind.value)
    save(dataset, out)
    typer.echo(f"{out}: {len(dataset)} windows, {dataset.window} x {len(dataset.channels)}, {dataset.classes} classes")
