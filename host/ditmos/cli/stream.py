"""`ditmos stream`: samples to a board, results back."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ditmos.errors import DitmosError
from ditmos.routing import name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ditmos.link.stream import Result, Stream
    from ditmos.link.tape import Tape
    from ditmos.link.view import View


def add(app: typer.Typer) -> None:
    app.command()(stream)


def stream(
    source: Annotated[
        str | None,
        typer.Option(
            help="A file that data import reads, - (rows of numbers on stdin), module:function; sensor: on the board."
        ),
    ] = None,
    sensor: Annotated[
        str, typer.Option(help="Of --source sensor: FILE.py:Name, or a driver in device/.")
    ] = "Simulated",
    port: Annotated[
        str | None, typer.Option(help="Serial device or socket://HOST:PORT.", show_default="the one board")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Path on the board.", show_default="model.dtm where the board finds it")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="FILE.py, FILE.py:name, or one of routing.py.", show_default="the model's own"),
    ] = None,
    hop: Annotated[
        int | None,
        typer.Option(min=1, help="Rows (raw: samples) from window to window.", show_default="whole windows"),
    ] = None,
    rate: Annotated[
        str, typer.Option(help="real (the source's own rate), max (what the line takes), or rows per second.")
    ] = "max",
    count: Annotated[
        int | None, typer.Option(min=1, help="At most so many windows of a data set, else rows (samples of sound).")
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Live view instead of a line per result.")] = False,
    record: Annotated[Path | None, typer.Option(help="Keep samples, results and times in this file (.npz).")] = None,
    replay: Annotated[Path | None, typer.Option(help="Show what --record kept, without a board.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write a summary to this file.")] = None,
) -> None:
    """Stream samples to a board and print its results; Ctrl-C ends it and leaves the board at its REPL."""
    from ditmos.link.tape import Tape

    if (source is None) == (replay is None):
        raise DitmosError("expected either --source or --replay")
    if replay:
        _show(Tape.load(replay), view)
        return
    if source == "sensor":
        if record or view or model:
            raise DitmosError("--source sensor: the samples stay on the board; --record, --view and --model need them")
        _sense(port, sensor, policy, hop, count, json_file)
        return
    import numpy as np

    from ditmos.atomic import check_writable, write_json
    from ditmos.cli import terminate_as_interrupt
    from ditmos.link.arrival import Arrival
    from ditmos.link.board import Board
    from ditmos.link.sent import in_steps, sent_as
    from ditmos.link.sources import open_source
    from ditmos.link.stream import Stream
    from ditmos.model.signal import fit

    for path in (record, json_file):
        if path:
            check_writable(path)
    terminate_as_interrupt()
    opened = open_source(str(source), count)
    for note in opened.notes:
        typer.echo(note, err=True)
    rows_per_second = _rate(rate, opened.fs)
    with Board(port, soft_reset=False) as board:
        running = Stream(
            board, model=model, policy=policy, hop=hop, rate=rows_per_second, logits=view or record is not None
        )
        dtype = sent_as(opened.dtype, opened.signal, Stream(board, model=model, policy=policy))
        running.prepare(dtype)
        fitted = fit(running.signal, opened.signal, str(source), raw=opened.dtype == np.int16)
        for note in fitted.notes:
            typer.echo(note, err=True)

        def taken(x: NDArray) -> NDArray:
            x = fitted.taken(x)
            return x if x.dtype == dtype else in_steps(x, running.signal)

        whole = opened.blocks if isinstance(opened.blocks, np.ndarray) else None
        blocks: Iterable = map(taken, opened.blocks) if whole is None else taken(whole)
        if hop is None and opened.window and isinstance(blocks, np.ndarray):
            blocks = running.cut(blocks)
        labels = None if opened.labels is None else np.array(fitted.classes)[opened.labels]
        names = running.signal.class_names
        tape = Tape(running.window, running.hop, names, rows_per_second or opened.fs, keep=record)
        arrival = Arrival(blocks)
        other_rate: str | None = None
        failure: DitmosError | None = None
        right = 0
        began = time.monotonic()
        try:
            for result in _watched(running, arrival if opened.live else blocks, dtype, tape, view):
                if other_rate is None and (other_rate := arrival.problem(running.signal.rate)):
                    typer.echo(f"{source}: {other_rate}", err=True)
                if labels is not None and running.hop == running.window:
                    right += result.label == labels[result.number]
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
        except DitmosError as error:  # what came before is kept
            failure = error
        seconds = time.monotonic() - began
    summary = _summary(tape, running, seconds)
    if arrival.rate is not None:
        summary["rows_per_second"] = round(arrival.rate, 2)
    if other_rate is None and (other_rate := arrival.problem(running.signal.rate)):
        typer.echo(f"{source}: {other_rate}", err=True)
    if opened.labels is not None and running.hop == running.window and tape.results:
        summary["accuracy"] = right / len(tape.results)
    typer.echo(", ".join(f"{key} {value}" for key, value in summary.items() if key != "device"), err=True)
    if not tape.results and not failure:
        rows = f"; --count {count} is of rows here, not of windows" if count and not opened.window else ""
        typer.echo(f"{source}: no result, a window takes {running.window} rows{rows}", err=True)
    if record:
        tape.save(record)
    if json_file:
        write_json(json_file, summary | ({"error": str(failure)} if failure else {}))
    if failure:
        raise failure


def _sense(
    port: str | None, sensor: str, policy: str | None, hop: int | None, count: int | None, json_file: Path | None
) -> None:
    """Results of a sensor on the board, ``count`` of them at most."""
    from ditmos.atomic import check_writable, write_json
    from ditmos.cli import terminate_as_interrupt
    from ditmos.link.board import Board
    from ditmos.link.record import Sensor
    from ditmos.link.sensing import SensorStream

    if json_file:
        check_writable(json_file)
    terminate_as_interrupt()
    with Board(port, soft_reset=False) as board:
        board.require_module()
        Sensor(board, sensor)
        running = SensorStream(board, policy=policy, hop=hop)
        number = 0
        try:
            for number, result in enumerate(running.results(), 1):
                _print(result)
                if number == count:
                    running.finish()
                    break
        except KeyboardInterrupt:
            running.finish()
            typer.echo("stopped", err=True)
    said = running.counts.device  # nothing, where Ctrl-C came while the board was waited for
    lost = f", clipped {said['clipped']}, lost {said['lost']}" if said else ""
    typer.echo(f"results {number}{lost}", err=True)
    if json_file:
        write_json(json_file, {"results": number, "sensor": sensor, "device": said})


def _rate(text: str, fs: float | None) -> float | None:
    if text == "max":
        return None
    if text == "real":
        if fs is None:
            raise DitmosError("rate is real, but the source does not say how fast it is: give rows per second")
        return fs
    try:
        number = float(text)
        if not 0 < number < math.inf:
            raise ValueError
        return number
    except ValueError:
        raise DitmosError(f"rate is {text!r}, expected real, max, or rows per second") from None


def _watched(running: Stream, blocks: Iterable, dtype: object, tape: Tape, view: bool) -> Iterator[Result]:
    """Results, shown and taped as they come."""
    from rich.live import Live

    began = time.monotonic()
    tape.counts = running.counts
    results = running.run(tape.pass_on(blocks), dtype)  # type: ignore[arg-type]
    if not view:
        for result in results:
            tape.add(result, time.monotonic() - began)
            _print(result)
            yield result
        return
    screen = _view(tape, running.policy.text if running.policy else "")
    with Live(refresh_per_second=10, screen=sys.stdout.isatty()) as live:
        drawn = 0.0
        for result in results:
            now = time.monotonic()
            tape.add(result, now - began)
            screen.add(result)
            if now - drawn > 0.1:
                drawn = now
                live.update(screen.render(tape.window_of(result.number), running.counts))
            yield result
        if tape.results:
            live.update(screen.render(tape.window_of(tape.results[-1].number), running.counts), refresh=True)


def _view(tape: Tape, title: str) -> View:
    from ditmos.link.view import View

    return View([], 0, title)


def _print(result: Result) -> None:
    print(
        f"{result.number:6d}  {result.name or '-':24s} {name_of(result.who):14s} "
        f"{result.microseconds:6d} us on the device  {result.latency * 1000:7.1f} ms",
        flush=True,
    )


def _show(tape: Tape, view: bool) -> None:
    """A tape at the pace at which it was recorded."""
    from rich.live import Live

    if not view:
        for result in tape.results:
            _print(result)
        return
    screen = _view(tape, "replay")
    began = time.monotonic()
    with Live(refresh_per_second=10, screen=sys.stdout.isatty()) as live:
        for result, when in zip(tape.results, tape.times, strict=True):
            screen.add(result)
            if (wait := when - (time.monotonic() - began)) > 0:
                live.update(screen.render(tape.window_of(result.number), tape.counts))
                time.sleep(wait)
        if tape.results:
            live.update(screen.render(tape.window_of(tape.results[-1].number), tape.counts), refresh=True)


def _summary(tape: Tape, running: Stream, seconds: float) -> dict:
    import numpy as np

    counts = running.counts
    summary = {
        "results": len(tape.results),
        "seconds": round(seconds, 2),
        "damaged": counts.bad + counts.device.get("bad", 0),
        "repeated": counts.resent,
        "restarts": counts.restarts,
        "device": counts.device,
    }
    if tape.results:
        p50, p99 = np.percentile([r.latency * 1000 for r in tape.results], (50, 99))
        summary |= {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1)}
    return summary
