"""`ditmos record`: labelled windows of a sensor on the board."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.errors import DitmosError

if TYPE_CHECKING:
    from rich.console import Console

    from ditmos.datasets.takes import Take, Takes
    from ditmos.link.record import Sensor


def add(app: typer.Typer) -> None:
    app.command()(record)


def record(
    labels: Annotated[str, typer.Option(help="What is recorded, in this order: walk,run,...")],
    out: Annotated[Path, typer.Option(help="Dataset (.npz) to write, or to add to; its takes are kept beside it.")],
    port: Annotated[
        str | None, typer.Option(help="Serial device or socket://HOST:PORT.", show_default="the one board")
    ] = None,
    sensor: Annotated[str, typer.Option(help="Driver: FILE.py:Name, or a name in device/sensors.py.")] = "Simulated",
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a take.")] = 20,
    takes: Annotated[
        int, typer.Option(min=0, help="Takes of each label; 0: make the set anew from the takes there are.")
    ] = 3,
    window: Annotated[int, typer.Option(min=8, help="Rows of a window.")] = 151,
    hop: Annotated[int | None, typer.Option(min=1, help="Rows between windows.", show_default="half a window")] = None,
    subject: Annotated[int, typer.Option(help="Number of the person.")] = 0,
    again: Annotated[
        int | None, typer.Option(min=0, help="Record this take once more, in the place of the old.")
    ] = None,
    ask: Annotated[bool, typer.Option(help="Wait for Enter before each take, and show it.")] = True,
) -> None:
    """Record takes of each label and write them as a dataset that `ditmos train` reads.

    Each take is a file in OUT.takes once it is complete, whatever happens afterwards. Ctrl-C ends a session early.
    """
    from rich.console import Console

    from ditmos.cli import terminate_as_interrupt
    from ditmos.datasets.takes import Takes
    from ditmos.link.board import Board
    from ditmos.link.record import Sensor

    names = [name.strip() for name in labels.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) != len(names):
        raise DitmosError(f"labels are {labels!r}, expected at least two different ones: walk,run")
    if not math.isfinite(seconds):
        raise DitmosError(f"seconds is {seconds}, expected the length of a take")
    if out.suffix != ".npz" or out.is_dir():
        raise DitmosError(f"out is {out}, expected the name of a dataset: FILE.npz")
    store = Takes(out)
    store.check(names, window)
    terminate_as_interrupt()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    failure: DitmosError | None = None
    if takes or again is not None:
        todo = _plan(store, names, takes, again)
        try:
            with Board(port, soft_reset=False) as board:
                board.require_module()
                device = Sensor(board, sensor)
                store.check(names, window, device.signal)
                store.prepare()
                seconds = max(window / device.signal.rate, seconds)
                if device.longest is not None and seconds > device.longest:
                    todo, seconds = _in_pieces(console, todo, seconds, device.longest, window / device.signal.rate)
                failure = _record(console, store, device, todo, seconds, subject, ask)
        except (KeyboardInterrupt, EOFError):
            console.print("stopped")
    _write(store, names, window, hop or window // 2, failure)


def _plan(store: Takes, names: list[str], takes: int, again: int | None) -> list[tuple[str, int | None]]:
    """(label, number of the take that is replaced) of each take to come."""
    from ditmos.datasets.takes import load_take

    if again is None:
        return [(label, None) for _ in range(takes) for label in names]
    if again not in store.files():
        raise DitmosError(
            f"{store.folder}: no take {again}, expected one of {', '.join(map(str, store.files())) or '-'}"
        )
    return [(load_take(store.files()[again]).label, again)]


def _in_pieces(
    console: Console, todo: list[tuple[str, int | None]], seconds: float, longest: float, least: float
) -> tuple[list[tuple[str, int | None]], float]:
    """Takes so short that the board can keep each in RAM until the line has taken it: (what is to do, seconds)."""
    if longest < least:
        raise DitmosError(f"the board can keep {longest:.2f} s of this sensor in RAM, a window is {least:.2f} s")
    pieces = math.ceil(seconds / longest)
    seconds = max(least, seconds / pieces)
    if any(number is not None for _, number in todo):  # one take in the place of another
        pieces = 1
    said = f"{pieces} takes of {seconds:.1f} s each, which are sent when they are recorded"
    if pieces == 1:
        said = f"a take of {seconds:.1f} s, which is sent when it is recorded"
    console.print(f"the sensor is faster than the line, and the board's RAM takes {longest:.1f} s of it: {said}")
    return [each for each in todo for _ in range(pieces)], seconds


def _record(
    console: Console,
    store: Takes,
    device: Sensor,
    todo: list[tuple[str, int | None]],
    seconds: float,
    subject: int,
    ask: bool,
) -> DitmosError | None:
    """Record what is to do; what ended it early, if it was no interrupt."""
    from rich.markup import escape

    last: tuple[str, int] | None = None
    try:
        for i, (label, number) in enumerate(todo):
            while ask and _again(
                console, f"take {i + 1} of {len(todo)}: [bold]{escape(label)}[/], {seconds:g} s, Enter starts", last
            ):
                last = _one(console, store, device, last, seconds, subject, ask)
            last = _one(console, store, device, (label, number), seconds, subject, ask)
        while ask and _again(console, "Enter ends", last):
            last = _one(console, store, device, last, seconds, subject, ask)
    except DitmosError as error:
        return error
    return None


def _again(console: Console, question: str, last: tuple[str, int] | None) -> bool:
    """Ask; whether the take before is to be recorded again."""
    more = ", r records the last one again " if last else " "
    return console.input(question + more).strip().lower().startswith("r") and last is not None


def _one(
    console: Console,
    store: Takes,
    device: Sensor,
    which: tuple[str, int | None] | None,
    seconds: float,
    subject: int,
    ask: bool,
) -> tuple[str, int]:
    """Record and keep a take, in the place of another one if it has a number; its label and number."""
    assert which
    label, number = which
    take = _take(console, device, label, seconds, subject)
    if take.slow:
        console.print(
            f"[yellow]{take.rate:.1f} of {device.signal.rate:g} rows a second[/]: the driver or its bus is slower than "
            f"the rate it names. The take is kept with {take.rate:.1f}"
        )
    if device.clipped:
        console.print(f"[yellow]{device.clipped} values were clipped[/]: the signal is larger than the sensor's range")
    path = _keep(console, store, take, number, ask)
    if ask:
        _show(console, take)
    console.print(f"{path}: {len(take.samples)} rows of {label}", markup=False)
    return label, int(path.name.partition("-")[0])


def _take(console: Console, device: Sensor, label: str, seconds: float, subject: int) -> Take:
    import numpy as np
    from rich.markup import escape
    from rich.progress import Progress

    from ditmos.datasets.takes import Take

    device.expect(label)
    rows = max(2, round(seconds * device.signal.rate))
    blocks, count = [], 0
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(label), total=rows)
        for block in device.samples(rows):
            blocks.append(block)
            count += len(block)
            bar.update(task, completed=count)
    return Take(label, np.concatenate(blocks), device.signal, subject, device.rate)


def _show(console: Console, take: Take) -> None:
    """A line for each channel."""
    from rich.markup import escape

    from ditmos.link.view import sparkline

    signal = take.signal
    for i, (name, values) in enumerate(zip(signal.channels, take.samples.T, strict=True)):
        low, high = int(values.min()), int(values.max())
        units = signal.units if isinstance(signal.units, str) else signal.units[i]
        ends = f"{low * signal.scales[i]:g} to {high * signal.scales[i]:g} {units}"
        console.print(f"{escape(f'{name:>8}')} [cyan]{sparkline(values, 60, low, high)}[/] {escape(ends)}")


def _keep(console: Console, store: Takes, take: Take, number: int | None, ask: bool) -> Path:
    """Write a take; where that fails and somebody is there, they may make room."""
    from rich.markup import escape

    while True:
        try:
            return store.keep(take, number)
        except DitmosError as error:
            if not ask:
                raise
            console.input(f"[red]{escape(str(error))}[/]; Enter tries again, Ctrl-C gives this take up ")


def _write(store: Takes, names: list[str], window: int, hop: int, failure: DitmosError | None) -> None:
    """The dataset of all takes; then what went wrong on the way."""
    from ditmos.datasets.dataset import SPLIT_NAMES

    count = len(store.files())
    if failure is not None and not count:
        raise failure
    said = str(failure).rstrip(".")
    try:
        dataset = store.write(names, window, hop)  # with enough people: ditmos train --split subject
    except DitmosError as error:
        if failure is None:
            raise
        raise DitmosError(f"{said}; {count} complete takes are in {store.folder}; no set of them: {error}") from None
    if dataset.split is None:
        counts = "no split yet: too few takes"
    else:
        counts = ", ".join(f"{len(dataset.part(part))} {name}" for part, name in enumerate(SPLIT_NAMES))
    print(f"{store.out}: {len(dataset)} windows of {window} x {len(dataset.channels)} ({counts}), {len(names)} classes")
    if failure is not None:
        raise DitmosError(f"{said}; {count} complete takes are in {store.folder} and in {store.out}")
