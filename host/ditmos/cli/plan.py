"""`ditmos plan`: memory against instructions, and the plan that a model file carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ditmos.model.spec import NetworkSpec
    from ditmos.planner.front import Candidate


def add(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    model: Annotated[Path, typer.Argument(help="Model file (.dtm).")],
    ram: Annotated[int | None, typer.Option(min=1, help="Take the fastest plan within so many bytes of arena.")] = None,
    fastest: Annotated[bool, typer.Option("--fastest", help="Take the fastest plan.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="For overlapping windows: what one leaves, the next one uses.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Also plans by which each window has one classify: it uses the window up.")
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Model file to write; else the same.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Front, chosen plan and baselines.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of memory over the run (.png, .svg, .pdf).")] = None,
) -> None:
    """Show what plans a model can run by; with --ram, --fastest or --stream, put one into the model file.

    Instructions are estimates for the Cortex-M7; `ditmos bench` counts them.
    """
    from dataclasses import replace

    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.errors import DitmosError
    from ditmos.model.reader import read_model
    from ditmos.model.writer import write_model
    from ditmos.planner import candidate, choose, feed_of, front, stream_plan
    from ditmos.planner.cost import layer_costs
    from ditmos.planner.describe import describe, summary, unsliced
    from ditmos.planner.fed import describe_forest, describe_front, forest_lines, lines

    picked = fastest + stream + (ram is not None)
    if picked > 1:
        raise DitmosError("plan: --ram, --fastest and --stream exclude each other")
    if output is not None and not picked:
        raise DitmosError("plan: --output needs --ram, --fastest or --stream")
    quantized, current = read_model(model)
    spec = quantized.spec
    with Console(stderr=True).status("planning"):
        candidates = front(spec, quantized, once=once)
    costs = layer_costs(spec, quantized)
    if stream or not picked:
        chosen = candidate(spec, stream_plan(spec, feed_of(quantized)) if stream else current, costs)
    else:
        chosen = choose(candidates, ram)
    plain = replace(spec, aggregate=())
    baselines = {"unsliced": unsliced(spec, costs)}
    if spec.aggregate:
        baselines["without aggregation"] = unsliced(plain, layer_costs(plain), "without aggregation")
    _show(spec, candidates, chosen, baselines)
    front_end = quantized.front_end
    if front_end:
        Console(markup=False).print("\n".join(lines(front_end, spec.window)), highlight=False)
    if forest := describe_forest(quantized):
        Console(markup=False).print("\n".join(forest_lines(forest)), highlight=False)
    if picked:
        write_model(output or model, quantized, chosen.plan)
        Console(markup=False).print(f"{output or model}: written, with this plan", highlight=False, soft_wrap=True)
    if json_file:
        result = {
            "model": str(model),
            "front_end": describe_front(front_end, spec.window) if front_end else None,
            "forest": forest,
            "front": [summary(spec, c) for c in candidates],
            "chosen": describe(spec, chosen.plan, costs) | {"instructions": chosen.instructions, "macs": chosen.macs},
            "baselines": [summary(spec if name == "unsliced" else plain, c) for name, c in baselines.items()],
        }
        write_json(json_file, result)
    if plot:
        panels = [("sliced", spec, chosen.plan, costs), ("unsliced", spec, baselines["unsliced"].plan, costs)]
        if spec.aggregate:
            panels.append(("without aggregation", plain, baselines["without aggregation"].plan, layer_costs(plain)))
        from ditmos.planner.picture import draw

        draw(plot, panels)


def _short(names: Iterable[str]) -> str:
    """Slices and maps as a line of 80 columns holds them: selector.1-classifier.3 is s1-c3, selector.head sh."""
    return " ".join(names).replace("selector.", "s").replace("classifier.", "c").replace("head", "h")


def _show(
    spec: NetworkSpec, candidates: Sequence[Candidate], chosen: Candidate, baselines: Mapping[str, Candidate]
) -> None:
    from rich.console import Console
    from rich.table import Table

    from ditmos.planner import balanced, default
    from ditmos.planner.describe import kept_names, second_classify

    table = Table("arena", "instructions", "MACs", "kept", "second classify", "slices", "", box=None, pad_edge=False)
    names = {balanced(candidates): "balanced", default(candidates): "default"}

    def row(c: Candidate, name: str = "") -> None:
        here = c.arena == chosen.arena and c.instructions == chosen.instructions
        table.add_row(
            str(c.arena),
            str(c.instructions),
            str(c.macs),
            _short(kept_names(spec, c.plan)) or "-",
            second_classify(spec, c.plan),
            name or _short(part.name for part in c.plan.slices),
            names.get(c, ""),
            style="bold" if here else None,
        )

    for c in candidates:
        row(c)
    for name, c in baselines.items():
        table.add_row(str(c.arena), str(c.instructions), str(c.macs), "", "", name, style="dim")
    console = Console(markup=False)
    console.print(table)
    console.print("s selector, c classifier, with numbers of layers; h fully connected layers")
    console.print(f"{chosen.plan.name}: {chosen.arena} bytes of arena, about {chosen.instructions} instructions")
