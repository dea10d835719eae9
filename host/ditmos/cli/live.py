"""`ditmos live`: a model judged as it is used, on continuous signals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

_FEW = 12  # settings, all of which are shown

if TYPE_CHECKING:
    from rich.console import Console

    from ditmos.live.trial import Listened


def add(app: typer.Typer) -> None:
    app.command()(live)


def live(
    model: Annotated[Path, typer.Argument(help="Model file (.dtm).")],
    track: Annotated[
        Path | None, typer.Option(help="Track (.npz), or .wav with a .txt beside it: start, end, name of what happens.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset (.npz): make tracks of it, choose on validation people, judge on test people."),
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting, e.g. 'events(on=0.9, windows=4)', or FILE.py:name.", show_default="a table of them"
        ),
    ] = None,
    hop: Annotated[
        int | None, typer.Option(min=1, help="Rows from window to window.", show_default="0.08 s; activities 1/4")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="FILE.py, FILE.py:name, or one of routing.py.", show_default="the model's own")
    ] = None,
    calibrate: Annotated[
        float, typer.Option(min=0, help="Seconds at the start that put it on the wearer's scale.")
    ] = 0,
    tolerance: Annotated[float, typer.Option(min=0, help="Seconds that an event may come late.")] = 1.0,
    false_accepts: Annotated[float, typer.Option(min=0, help="An hour, at most, for the chosen setting.")] = 10,
    latency: Annotated[float, typer.Option(min=0, help="Seconds, 95 %, at most, for the chosen setting.")] = 0.7,
    minutes: Annotated[float, typer.Option(min=0, help="Of each track that is made, at least.")] = 30,
    empty: Annotated[float, typer.Option(min=0.1, help="Minutes of silence and noise.")] = 60,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    only: Annotated[
        str | None, typer.Option(help="Classes of the tracks that are made, apart by commas.", show_default="all")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Folder for the tracks that are made, as .wav or .npz.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture: missed against false accepts (.png, .svg, .pdf).")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")] = None,
) -> None:
    """Judge MODEL on continuous signals: missed, false accepts an hour, latency, duty cycle, for event settings.

    Nothing is chosen on test people. How a track is written: docs/howto/live.md.
    """
    from rich.console import Console

    from ditmos.atomic import check_writable, kind_of_picture, write_json
    from ditmos.bench.route import learned
    from ditmos.datasets import load
    from ditmos.errors import DitmosError
    from ditmos.live.choosing import choose
    from ditmos.live.track import load_track, save_track
    from ditmos.live.trial import Conditions, is_words, listened, on_trial, usual_hop
    from ditmos.model.policy import parse_policy
    from ditmos.model.reader import read_model
    from ditmos.model.reference import Model
    from ditmos.progress import Stages

    if (track is None) == (data is None):
        raise DitmosError("expected either --track or --data")
    if plot:
        kind_of_picture(plot)
    for file in (plot, json_file):
        if file:
            check_writable(file)
    quantized, plan = read_model(model)
    reference = Model(quantized)
    for note in learned(reference, "validation") if data else ():
        typer.echo(note, err=True)
    recording, dataset = load_track(track) if track else None, load(data) if data else None
    if recording:
        continuous, rate = recording.continuous, recording.fs
    else:
        assert dataset is not None
        continuous, rate = not is_words(dataset), dataset.fs
    conditions = Conditions(
        hop or usual_hop(reference, rate, continuous=continuous), parse_policy(policy) if policy else None,
        tuple(events or ()), calibrate, tolerance, false_accepts, None if continuous else latency, minutes, empty, seed,
        tuple(name.strip() for name in only.split(",")) if only else (),
    )  # fmt: skip
    tracks: Mapping[str, Listened]
    with Stages(transient=True) as stages:

        def report(what: str, done: float) -> None:
            stages.report(what, round(100 * done), 100)

        if recording:
            one = listened(reference, plan, recording, conditions, conditions.events, report)
            tracks, result = {"track": one}, one.to_dict()
            chosen = choose(one.rows, false_accepts, conditions.latency).setting
        else:
            assert dataset is not None
            result = on_trial(reference, plan, dataset, conditions, report)
            tracks, chosen = result.pop("listened"), result["chosen"]
    console = Console(markup=False)
    for name, heard in tracks.items():
        _show(name, heard, chosen, console)
    console.print(f"chosen: {chosen}", highlight=False)
    if recording and len(tracks["track"].rows) > 1:
        console.print("chosen on this very track, which flatters it: judge it on another one, with --events")
    if levels := result.get("levels"):
        console.print("single test windows, accuracy by level:", ", ".join(f"{k}: {v:.4f}" for k, v in levels.items()))
    if plot:
        from ditmos.live.curve import draw

        first = next(iter(tracks.values()))
        draw(plot, first.rows, chosen, f"{model.name} on {first.track.name}")
    if save and not recording:
        save.mkdir(parents=True, exist_ok=True)
        for name, heard in tracks.items():
            save_track(heard.track, save / f"{name}.{'npz' if heard.track.continuous else 'wav'}")
    if json_file:
        write_json(json_file, {"model": str(model), "hop": conditions.hop} | result)


def _show(name: str, heard: Listened, chosen: str, console: Console) -> None:
    """A table of one track: of many settings those that no other one beats."""
    import re

    from rich.table import Table

    from ditmos.live.choosing import best
    from ditmos.planner import chip

    rows = (
        heard.rows
        if len(heard.rows) <= _FEW
        else [r for r in heard.rows if r in best(heard.rows) or r.setting == chosen]
    )
    first = heard.rows[0].judged
    table = Table(
        "setting", "missed", "false accepts", "an hour", "latency, median", "95 %", box=None, title_justify="left",
        title=f"{name}: {heard.track.seconds / 60:.1f} minutes, {first.events} events",
    )  # fmt: skip

    def seconds(value: float | None) -> str:
        return "" if value is None else f"{value:.2f} s"

    for row in rows:
        j: Any = row.judged
        figures = (f"{j.missed:.1%}", f"{j.false_accepts}", f"{j.per_hour:.1f}")
        late = (seconds(j.latency_median), seconds(j.latency_p95))
        style = "bold" if row.setting == chosen and len(heard.rows) > 1 else None
        table.add_row(re.sub(r", silent=.*?\)", "", row.setting), *figures, *late, style=style)
    console.print(table)
    console.print(
        f"{heard.hearing.rate:.3g} windows a second, {heard.hearing.runs.mean():.2f} classifiers each: the core "
        f"computes {heard.duty:.1%} of the time (planned), about {chip.milliamps(heard.duty):.0f} mA; "
        f"{heard.hearing.clipped:.3%} of the samples are clipped\n",
        highlight=False,
    )
