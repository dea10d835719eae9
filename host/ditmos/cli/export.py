"""`ditmos export`: a trained run to a model file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def add(app: typer.Typer) -> None:
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or its model.pt.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Model file; else model.dtm in the run.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Dataset, if it is not where it was when training.")] = None,
    epochs: Annotated[int, typer.Option(min=0, help="Of fine-tuning in integers.")] = 4,
    threads: Annotated[int, typer.Option(min=1, help="More than the free cores is much slower.")] = 2,
    ram: Annotated[int | None, typer.Option(min=1, help="Plan: the fastest within so many bytes of arena.")] = None,
    fastest: Annotated[
        bool, typer.Option("--fastest", help="Plan: the fastest; else the fastest within the board's DTCM, 32 KiB.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Plan: each window has one classify, which may use it up.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Figures; else next to the model file.")] = None,
) -> None:
    """Quantise to int8 and write a model file, with float and integer accuracy beside it.

    How it is to run on the board can be changed later: `ditmos plan`.
    """
    import torch
    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.errors import DitmosError
    from ditmos.model.writer import write_model
    from ditmos.planner import balanced, choose, default, front
    from ditmos.progress import Stages
    from ditmos.quantize.export import export_run

    if fastest and ram is not None:
        raise DitmosError("export: --ram and --fastest exclude each other")

    torch.set_num_threads(threads)
    output = output or (run if run.is_dir() else run.parent) / "model.dtm"
    with Stages(transient=True) as stages:
        stages.report("calibration")
        model, figures = export_run(
            run, data, epochs=epochs, progress=lambda done: stages.report("fine-tuning", int(done * 100), 100)
        )
        stages.report("planning")
        candidates = front(model.spec, model, once=once)
    chosen = choose(candidates, ram) if fastest or ram is not None else default(candidates)
    size = write_model(output, model, chosen.plan)
    figures |= {"model": str(output), "model_bytes": size, "plan": chosen.plan.name, "arena_bytes": chosen.arena}
    named = {"chosen": chosen, "default": default(candidates), "balanced": balanced(candidates)}
    figures["plans"] = {n: {"arena_bytes": c.arena, "instructions": c.instructions} for n, c in named.items()}
    write_json(json_file or output.with_suffix(".json"), figures)
    _show(figures, Console())


def _show(figures: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table("", "float", "int8", box=None, title=figures["model"])
    for part in ("validation", "test"):
        for key in ("accuracy", "union", "used"):
            values = (figures[part][kind][key] for kind in ("float", "integer"))
            table.add_row(f"{part} {key}", *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)
    plans = Table("plan", "arena bytes", "instructions, estimated", box=None)
    for name, plan in figures["plans"].items():
        plans.add_row(name, str(plan["arena_bytes"]), str(plan["instructions"]))
    console.print(plans)
    console.print(f"{figures['model_bytes']} bytes of model; other plans: ditmos plan {figures['model']}")
