"""`ditmos train`: from a data set to a model file that a board runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ditmos.study.trainings import Watcher
    from ditmos.training.choose import Choice
    from ditmos.training.learn import Task


class Method(StrEnum):
    best = "best"
    wide = "wide"
    exit = "exit"
    paper = "paper"
    forest = "forest"
    forest_first = "forest-first"
    specialists = "specialists"
    linear = "linear"


class Effort(StrEnum):
    quick = "quick"
    normal = "normal"
    full = "full"


class Split(StrEnum):
    file = "file"
    subject = "subject"
    group = "group"
    random = "random"


def add(app: typer.Typer) -> None:
    app.command()(train)


def _list_settings(wanted: bool) -> None:
    if wanted:
        from ditmos.paper.config import PaperConfig
        from ditmos.training.listing import listing
        from ditmos.training.settings import Settings

        print(listing((Settings, ""), (PaperConfig, "paper")), end="")
        raise typer.Exit


def train(
    data: Annotated[Path, typer.Argument(help="Dataset (.npz).")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; else runs/<name of the data>.")] = None,
    max_instructions: Annotated[
        float | None, typer.Option(min=1, help="Mean per decision; if nothing is bounded, by the data.")
    ] = None,
    max_us: Annotated[float | None, typer.Option(min=1, help="Microseconds of the dearest decision.")] = None,
    max_macs: Annotated[float | None, typer.Option(min=1, help="Multiply-accumulates, mean per decision.")] = None,
    max_ram: Annotated[int | None, typer.Option(min=1, help="Bytes of arena.")] = None,
    max_flash: Annotated[int | None, typer.Option(min=1, help="Bytes of the model file.")] = None,
    effort: Annotated[Effort, typer.Option(help="Minutes, half an hour, hours.")] = Effort.normal,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Routed; one network; early exit; published; a forest alone, before a network, specialists; linear.",
            show_default="(best; linear for EEG and wristbands of several people)",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file: any choice, e.g. fit.epochs = 80.")] = None,
    settings: Annotated[
        bool,
        typer.Option(
            "--settings", is_eager=True, callback=_list_settings, help="Print all such choices, with defaults, and end."
        ),
    ] = False,
    split: Annotated[Split | None, typer.Option(help="What keeps training and test apart; else by the data.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run.")] = False,
    behind: Annotated[
        Path | None, typer.Option(help="Of forest-first: the run whose network is asked; else one is trained, best.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Also rivals, wide and exit, at the same cost.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Train, quantise, plan and verify the best model within a budget; Ctrl-C stops, --resume goes on."""
    import os

    # Read when torch loads: threads that wait for one another sleep instead of spinning. Where another program wants
    # the same core, spinning makes a step ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from rich.console import Console

    from ditmos.atomic import write_json
    from ditmos.cli import terminate_as_interrupt
    from ditmos.planner import chip
    from ditmos.planner.budget import Budget
    from ditmos.study.trainings import Order, fulfil
    from ditmos.training.run import Request, as_suits
    from ditmos.training.typed_toml import read

    terminate_as_interrupt()
    budget = Budget(max_macs, max_instructions, None if max_us is None else chip.within(max_us), max_ram, max_flash)
    request = Request(
        data, budget, (method or Method.best).value, effort.value, seed, split.value if split else None,
        read(config) if config else None, str(config or "settings"),
    )  # fmt: skip
    if method is None and behind is None:
        request = as_suits(request)
    out = out or Path("runs") / data.stem
    console = Console(stderr=True, markup=False)
    try:
        result = fulfil(Order(request, out, resume, behind, compare), lambda: _on_terminal(console))
    except KeyboardInterrupt:
        console.print(f"\nstopped; {out} holds what is done, go on with --resume")
        raise typer.Exit(130) from None
    show(result, Console(markup=False))
    print(f"{out}/model.dtm")
    if json_file:
        write_json(json_file, result)


@contextmanager
def _on_terminal(console: Console) -> Iterator[Watcher]:
    """Progress of one training."""
    from ditmos.progress import Stages, TimeLeft, in_words
    from ditmos.study.trainings import Watcher, effort_of

    left, said = TimeLeft([]), ("", -1)
    with Stages(console=console) as stages:

        def begun(task: Task, reasons: list[Choice]) -> None:
            nonlocal left
            left = TimeLeft(effort_of(task))
            for what, why, _ in reasons:
                console.print(f"  {what} ({why})", highlight=False)

        def report(stage: str, done: float, note: str) -> None:
            nonlocal said
            if said == (stage, round(100 * done)) and not note:
                return
            said = stage, round(100 * done)
            seconds = left.after(stage, done)
            rest = "" if seconds is None else f"about {in_words(seconds)} left"
            stages.report(stage, round(100 * done), 100, "  ".join(filter(None, (rest, note))))

        yield Watcher(report, begun)


def show(result: dict[str, Any], console: Console) -> None:
    """The one table of a training."""
    from rich.table import Table

    from ditmos.planner import chip

    table = Table("", "validation", "test", box=None)
    parts = result["validation"], result["test"]
    table.add_row("windows, people", *(f"{p['windows']:,}, {p['people']}" for p in parts))
    table.add_row(
        "accuracy, int8", *(f"{p['accuracy']:.4f} [{p['interval'][0]:.3f}, {p['interval'][1]:.3f}]" for p in parts)
    )
    table.add_row("balanced, int8", *(f"{p['balanced']:.4f}" for p in parts))
    name = "balanced" if result["metric"] == "balanced" else "accuracy"
    other = "the forest alone" if "forest" in result else "float"
    table.add_row(f"{name}, {other}", *(f"{p['float']:.4f}" for p in parts))
    if "asked" in parts[0]:
        table.add_row("the network is asked", *(f"{p['asked']:.1%}" for p in parts))
    if "gain" in parts[0]:
        gains = ([100 * part for part in p["gain"]] for p in parts)
        table.add_row("int8 against float, points", *(f"{g[0]:+.2f} [{g[1]:+.2f}, {g[2]:+.2f}]" for g in gains))
    if parts[0]["union"] is not None:
        table.add_row("a classifier is right", *(f"{p['union']:.4f}" for p in parts))
    if result["margins"]["early"] is not None:
        table.add_row("selector answers", *(f"{p['exits']:.1%}" for p in parts))
    table.add_row("instructions, mean", *(f"{p['instructions']:,}" for p in parts))
    table.add_row("instructions, worst", "", f"{result['worst_instructions']:,}")
    table.add_row("MACs, mean", *(f"{p['macs']:,}" for p in parts))
    table.add_row(
        "time at 216 MHz, estimated", "", f"{result['microseconds']:,.0f} us, worst {result['worst_microseconds']:,.0f}"
    )
    if front := result.get("front_end"):
        time = f"{chip.microseconds(front['instructions']):,.0f} us"
        table.add_row("front end, a row", "", f"{front['instructions']:,} instructions, {time}, beside the above")
    table.add_row("energy, from data sheets", "", f"{result['microjoules']:,.0f} uJ")
    table.add_row("arena, model file", "", f"{result['arena_bytes']:,} B, {result['flash_bytes']:,} B")
    for known, figure in result.get("strangers", {}).items():
        table.add_row(f"{name}, scale: {known}", "", f"{figure:.4f}")
    for rival, row in result.get("rivals", {}).items():
        cost = f"{row['instructions']:,} instructions"
        table.add_row(f"rival {rival}, int8", f"{row['validation']['int8']:.4f}", f"{row['int8']:.4f}, {cost}")
    console.print(table)
    console.print(_brackets(result), highlight=False)
    _classes(result, console)
    console.print(f"network: {result['shape']}", highlight=False)
    if "asked" in result["test"] and not any(p["asked"] for p in parts):
        console.print("the network is never asked: --method forest answers alike, in a smaller file")
    if result["loses"]:
        layer, part, lost = result["loses"]
        console.print(
            f"integers lose {100 * lost:.1f} points on validation, most in {layer} ({part:.0%} of its values)"
        )


def _brackets(result: dict[str, Any]) -> str:
    """What the intervals of the table stand for."""
    from ditmos.training.results import FEWEST_PEOPLE

    few = [part for part in ("validation", "test") if result[part]["people"] < FEWEST_PEOPLE]
    if not few:
        return "in brackets 95 %, people drawn anew with all their windows"
    rest = "" if len(few) == 2 else "people drawn anew; "
    return (
        f"in brackets 95 %, {rest}of {' and '.join(few)}, with fewer than {FEWEST_PEOPLE} people, windows drawn anew: "
        "of other people that says nothing"
    )


def _classes(result: dict[str, Any], console: Console) -> None:
    """Recall and precision of every class, and what it is taken for most often; for few classes, the whole matrix."""
    from rich.table import Table

    names, matrix = result["class_names"], result["confusion"]
    few = len(names) <= 8
    table = Table("class", "windows", "recall", "precision", *(names if few else ["most often taken for"]), box=None)

    def part(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    for i, row in enumerate(result["per_class"]):
        others = [(count, names[j]) for j, count in enumerate(matrix[i]) if j != i]
        worst = max(others, default=(0, ""))
        last = [str(count) for count in matrix[i]] if few else [f"{worst[1]} ({worst[0]})" if worst[0] else ""]
        table.add_row(row["name"], str(row["windows"]), part(row["recall"]), part(row["precision"]), *last)
    console.print(table)
