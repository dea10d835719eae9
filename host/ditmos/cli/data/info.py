"""`ditmos data info`: what is in a dataset, and what looks wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ditmos.datasets import Dataset


def info(
    file: Annotated[Path, typer.Argument(help="Dataset (.npz).")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw windows of each class into this file (.png, .svg, .pdf).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Check FILE and show what is in it, and what looks wrong."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.datasets import load

    dataset = load(file)
    summary = summarize(dataset)
    console = Console(markup=False)
    table = Table(show_header=False, box=None)
    for key, value in summary.items():
        if isinstance(value, list):
            value = (" x " if key == "shape" else ", ").join(map(str, value))
        elif value is None:  # the split
            value = "none; training makes one, and `ditmos data split` writes it into the file"
        elif isinstance(value, dict):
            value = ", ".join(f"{part} {count}" for part, count in value.items())
        if key not in ("per_class", "trouble"):
            table.add_row(key.replace("_", " "), str(value))
    console.print(table)
    classes = Table("class", *next(iter(summary["per_class"].values())), box=None)
    for name, counts in summary["per_class"].items():
        classes.add_row(name, *map(str, counts.values()))
    console.print(classes)
    show_trouble(summary["trouble"])
    if plot:
        from ditmos.datasets.drawing import draw

        draw(dataset, plot)
    if json_file:
        write_json(json_file, summary)


def show_trouble(found: list[str]) -> None:
    """One line for each thing that looks wrong."""
    for text in found:
        typer.echo(f"! {text}")
    if not found:
        typer.echo("nothing looks wrong: no copies, no dead or clipped channels, no class without windows")


def summarize(dataset: Dataset) -> dict[str, Any]:
    """What `ditmos data info` shows, ready for JSON."""
    import numpy as np

    from ditmos.datasets.dataset import SPLIT_NAMES
    from ditmos.datasets.features import lost_as_samples
    from ditmos.datasets.kinds import front_end_of, kind_of
    from ditmos.datasets.trouble import find_trouble

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
        "scale": dataset.scale if isinstance(dataset.scale, float) else list(dataset.scale),
        "units": dataset.units,
        "real_min": float((dataset.x.min((0, 1)) * dataset.scales).min()),
        "real_max": float((dataset.x.max((0, 1)) * dataset.scales).max()),
        "classes": dataset.classes,
        "subjects": len(np.unique(dataset.subject)),
        "groups": len(np.unique(dataset.group)),
        "channels": list(dataset.channels),
        "sha256": dataset.sha256,
        "per_class": per_class,
        "trouble": find_trouble(dataset) + lost_as_samples(dataset, front_end_of(kind_of(dataset)[0], dataset)),
    }
    summary["split"] = None
    if dataset.split is not None:
        summary["split"] = {name: len(dataset.part(i)) for i, name in enumerate(SPLIT_NAMES)}
        sides = [set(dataset.subject[dataset.part(i)].tolist()) for i in range(3)]
        summary["split_subjects"] = {name: len(side) for name, side in zip(SPLIT_NAMES, sides, strict=True)}
        summary["subjects_in_training_and_test"] = len(sides[0] & sides[2])
    return summary
