"""`ditmos data split` and `ditmos data synth`: a split for a dataset, and simulated people."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ditmos.datasets import Dataset


class SplitName(StrEnum):
    auto = "auto"
    none = "none"
    subject = "subject"
    group = "group"


class SplitKind(StrEnum):
    subject = "subject"
    group = "group"


SplitOption = Annotated[
    SplitName,
    typer.Option(
        "--split",
        help="Train, validation and test: whole people (subject) or whole recordings (group); auto takes people where "
        "there are three or more, else recordings.",
    ),
]


def split(
    file: Annotated[Path, typer.Argument(help="Dataset (.npz); it gets the split unless --out is given.")],
    by: Annotated[SplitKind, typer.Option(help="What stays on one side.")] = SplitKind.subject,
    test: Annotated[float, typer.Option(help="Share of the windows.")] = 0.2,
    validation: Annotated[float, typer.Option(help="Share of the windows that are not test.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Another draw.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write this file instead.")] = None,
) -> None:
    """Write a train / validation / test split into FILE."""
    from ditmos.datasets import load, save
    from ditmos.datasets.splits import split as draw

    dataset = draw(load(file), by.value, test=test, validation=validation, seed=seed)
    save(dataset, out or file)
    show_split(dataset)


def synth(
    out: Annotated[Path, typer.Argument(help="File to write (.npz).")],
    subjects: Annotated[int, typer.Option(help="People.")] = 24,
    activities: Annotated[int, typer.Option(help="Classes.")] = 14,
    recordings: Annotated[int, typer.Option(help="Recordings of each activity by each person.")] = 3,
    windows: Annotated[int, typer.Option(help="Windows of each recording.")] = 4,
    window: Annotated[int, typer.Option(help="Rows of a window, at 50 Hz.")] = 151,
    noise: Annotated[float, typer.Option(help="Standard deviation of the accelerometer's noise in g.")] = 0.04,
    seed: Annotated[int, typer.Option(help="Other people.")] = 0,
    split_kind: SplitOption = SplitName.subject,
) -> None:
    """Simulate people with an accelerometer and a gyroscope at the waist."""
    from ditmos.datasets.synthetic import generate

    dataset = generate(
        subjects=subjects,
        activities=activities,
        recordings=recordings,
        windows=windows,
        window=window,
        noise=noise,
        seed=seed,
    )
    write(dataset, out, split_kind)


def write(dataset: Dataset, out: Path, kind: SplitName) -> None:
    """Save the dataset with a split, and say what is in it; ``auto`` keeps a split that it has."""
    import numpy as np

    from ditmos.datasets import save
    from ditmos.datasets.splits import split as draw
    from ditmos.errors import DitmosError

    if kind is SplitName.auto and dataset.split is None:
        people = len(np.unique(dataset.subject))
        try:
            dataset = draw(dataset, "subject" if people >= 3 else "group")
        except DitmosError as error:
            typer.echo(f"no split: {error}")
    elif kind not in (SplitName.auto, SplitName.none):
        dataset = draw(dataset, kind.value)  # type: ignore[arg-type]
    save(dataset, out)
    typer.echo(f"{out}: {len(dataset)} windows, {dataset.window} x {len(dataset.channels)}, {dataset.classes} classes")
    show_split(dataset)


def show_split(dataset: Dataset) -> None:
    """Windows and people of each part."""
    import numpy as np

    from ditmos.datasets.dataset import SPLIT_NAMES

    if dataset.split is not None:
        parts = [dataset.part(i) for i in range(3)]
        text = (
            f"{len(index)} {name} (people: {len(np.unique(dataset.subject[index]))})"
            for name, index in zip(SPLIT_NAMES, parts, strict=True)
        )
        typer.echo(f"split: {', '.join(text)}")
