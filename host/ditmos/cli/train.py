"""`ditmos train`: one configuration, one data set, one run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def add(app: typer.Typer) -> None:
    app.command()(train)


def train(
    config: Annotated[str, typer.Argument(help="TOML file, or activity, keywords, workload.")],
    data: Annotated[
        Path | None, typer.Option(help="Dataset (.npz); else the one that the configuration names.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; else runs/<task>.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the configuration, e.g. quick.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key, e.g. data.split=random.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Train selector and classifiers; Ctrl-C stops, --resume goes on."""
    import os
    from functools import reduce

    # Read when torch loads: threads that wait for one another sleep instead of spinning. Where another program wants
    # the same core, spinning makes a step ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.paper.train import train_run
    from ditmos.progress import Stages
    from ditmos.training import config as configuration
    from ditmos.training.data import load_data
    from ditmos.training.run import with_file

    nothing: Mapping[str, Any] = {}
    overrides = reduce(configuration.merge, map(configuration.setting, change or []), nothing)
    settings = configuration.load(config, profile, overrides)
    if data is not None:
        settings = with_file(settings, data)
    dataset = load_data(settings.data)
    name = settings.task or Path(config).stem
    out = out or Path("runs") / (f"{name}-{profile}" if profile else name)
    console = Console(stderr=True)
    try:
        with Stages(console=console) as stages:
            run = train_run(
                settings,
                dataset,
                out,
                resume=resume,
                report=lambda stage, epoch, epochs, metrics: stages.report(stage, epoch, epochs, _figures(metrics)),
            )
    except KeyboardInterrupt:
        console.print(f"\nstopped; {out} holds a checkpoint, go on with --resume")
        raise typer.Exit(130) from None
    metrics = run.metadata["metrics"]
    _show(metrics, out, Console())
    if json_file:
        write_json(json_file, metrics | {"run": str(out)})


def _figures(metrics: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics.items())


def _show(metrics: dict[str, Any], out: Path, console: Console) -> None:
    from rich.table import Table

    table = Table("", "validation", "test", box=None, title=str(out))
    for key in ("accuracy", "balanced", "union"):
        table.add_row(key, *(f"{metrics[part][key]:.4f}" for part in ("validation", "test")))
    if "strong" in metrics:
        table.add_row("strong network", *(f"{metrics['strong'][part]:.4f}" for part in ("validation", "test")))
    for k in range(len(metrics["test"]["usage"])):
        cells = (f"{metrics[p]['classifier'][k]:.4f}, {metrics[p]['usage'][k]:.0%}" for p in ("validation", "test"))
        table.add_row(f"classifier {k}: accuracy, chosen", *cells)
    console.print(table)
    chosen = metrics["chosen"]
    console.print(f"chosen: {chosen['stage']} {chosen['epoch']}; {metrics['macs']} MACs; {metrics['seconds']} s")
