"""`ditmos bench estimate MODEL`: memory traffic, time and energy of an inference on the NUCLEO-F767ZI, without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def estimate(
    model: Annotated[Path, typer.Argument(help="Model file (.dtm).")],
    milliamps: Annotated[
        float | None,
        typer.Option(min=0.1, help="Run current at 216 MHz, measured or the data sheet's.", show_default="99"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the result to this file.")] = None,
) -> None:
    """Estimate what MODEL costs on the real board, from the emulated one: bytes by memory, time, energy."""
    from rich.console import Console
    from rich.table import Table

    from ditmos.atomic import write_json
    from ditmos.bench.estimate import estimate as run
    from ditmos.planner.chip import CORE_HZ
    from ditmos.progress import Stages

    with Stages(transient=True) as stages:
        result = run(model, milliamps, stages.report)
    table = Table("part", "placement", "instructions", "cycles (est.)", "memory", "fetched", "read", "written")
    for row in result.traffic:
        head = [row.part, row.placement, f"{row.instructions:,}", f"{row.cycles:,}"]
        for memory, counts in row.bytes.items():
            table.add_row(*head, memory, *(f"{counts.get(kind, 0):,}" for kind in ("fetch", "read", "write")))
            head = [""] * 4
        table.add_section()
    Console().print(table)
    us = f"{result.microseconds:.0f} us"
    print(
        "estimate, not a measurement, for one of each part:\n"
        f"    time   = {result.cycles:,} cycles ({result.method}, no wait states) / 216 MHz = {us}\n"
        f"    energy = {result.volts} V * {result.milliamps:g} mA * {us} = {result.microjoules:.0f} uJ"
    )
    if result.row_cycles:
        share = result.row_cycles * result.rows_per_second / CORE_HZ
        print(
            f"    front end: {result.row_cycles:,} cycles a row on top, {result.rows_per_second:g} rows a second: "
            f"{share:.2%} of the core"
        )
    if result.milliamps_assumed:
        print(
            f"{result.milliamps:g} mA is the typical run current of the STM32F722, a sister of the F767 "
            "(same core and clock, TCM, peripherals off); give the board's own with --milliamps"
        )
    if json:
        write_json(json, result.to_dict())
