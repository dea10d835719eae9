"""`ditmos data windows`: windows of a dataset for a board to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def windows(
    file: Annotated[Path, typer.Argument(help="Dataset (.npz).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write into.")],
    model: Annotated[
        Path | None, typer.Option(help="Also put this model file there; the windows must be what it was made for.")
    ] = None,
    part: Annotated[str, typer.Option(help="Of the dataset: train, validation, test or all.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="Windows at most, evenly spaced.")] = 100,
) -> None:
    """Write windows.npy, labels.npy and windows.json, which device/infer.py reads on a board."""
    import numpy as np

    from ditmos import atomic
    from ditmos.bench.route import as_sent, part_of, quantized_windows
    from ditmos.datasets import load
    from ditmos.datasets.board_files import write_windows
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model

    dataset = load(file)
    index = part_of(dataset, part)
    index = index[np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int)]
    if model:
        reference = Model(read_model(model)[0])
        quantized_windows(reference, dataset, index[:1])  # refuses what the model was not made for
        dataset = as_sent(reference, dataset)
    write_windows(out, dataset, index)
    if model:
        atomic.write(out / "model.dtm", model.read_bytes())
    typer.echo(f"{out}: {len(index)} windows{' and the model' if model else ''}")
    typer.echo(f"mpremote connect PORT mount {out} run device/infer.py")
