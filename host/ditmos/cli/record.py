"""`ditmos record`: labelled windows of a sensor on the board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.errors import DitmosError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ditmos.link.record import Sensor


def add(app: typer.Typer) -> None:
    app.command()(record)


def record(
    labels: Annotated[str, typer.Option(help="what is recorded, in this order: walk,run,...")],
    out: Annotated[Path, typer.Option(help="dataset (.npz) to write, or to add to")],
    port: Annotated[
        str | None, typer.Option(help="serial device or socket://HOST:PORT", show_default="the one board")
    ] = None,
    sensor: Annotated[str, typer.Option(help="driver: FILE.py:Name, or a name in device/sensors.py")] = "Simulated",
    seconds: Annotated[float, typer.Option(min=0.1, help="length of a take")] = 20,
    takes: Annotated[int, typer.Option(min=1, help="takes of each label")] = 3,
    window: Annotated[int, typer.Option(min=8, help="rows of a window")] = 151,
    hop: Annotated[int | None, typer.Option(min=1, help="rows between windows", show_default="half a window")] = None,
    subject: Annotated[int, typer.Option(help="number of the person")] = 0,
    ask: Annotated[bool, typer.Option(help="wait for Enter before each take")] = True,
) -> None:
    """Record takes of each label and write them as a dataset that `ditmos train` reads.

    Ctrl-C ends a session early; what is complete is written.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ditmos.cli import terminate_as_interrupt
    from ditmos.datasets import load, save
    from ditmos.datasets.dataset import SPLIT_NAMES
    from ditmos.datasets.splits import split
    from ditmos.link.board import Board
    from ditmos.link.record import Sensor, Take, join, to_dataset

    names = [name.strip() for name in labels.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) != len(names):
        raise DitmosError(f"labels are {labels!r}, expected at least two different ones: walk,run")
    terminate_as_interrupt()
    console = Console(stderr=True)
    done: list[Take] = []
    with Board(port, soft_reset=False) as board:
        board.require_module()
        device = Sensor(board, sensor)
        rows = max(window, round(seconds * device.signal.rate))
        try:
            for number in range(takes):
                for label in names:
                    if ask:
                        console.input(f"take {number + 1} of {takes}: [bold]{label}[/], {seconds:g} s, Enter to start ")
                    device.expect(label)
                    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
                        task = bar.add_task(label, total=rows)
                        done.append(Take(label, _take(device, rows, lambda n, t=task, b=bar: b.update(t, completed=n))))
        except (KeyboardInterrupt, EOFError):
            console.print("stopped")
    dataset = to_dataset(done, names, device.signal, window, hop or window // 2, subject, out.stem)
    if out.exists():
        dataset = join(load(out), dataset, out)
    # Drawn anew each time, whole takes on one side; with enough people: ditmos train --set data.split=subject.
    try:
        dataset = split(dataset, "group")
        counts = ", ".join(f"{len(dataset.part(part))} {name}" for part, name in enumerate(SPLIT_NAMES))
    except DitmosError:
        counts = "no split yet: too few takes"
    save(dataset, out)
    print(f"{out}: {len(dataset)} windows of {window} x {len(dataset.channels)} ({counts}), {len(names)} classes")


def _take(device: Sensor, rows: int, progress: Callable[[int], None]) -> NDArray[np.int16]:
    import numpy as np

    blocks, count = [], 0
    for block in device.samples(rows):
        blocks.append(block)
        count += len(block)
        progress(count)
    return np.concatenate(blocks)
