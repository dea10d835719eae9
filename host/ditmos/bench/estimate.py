"""What an inference would cost on the real chip, from what the emulated one did: memory traffic, time, energy.

The emulated board runs the very image, one instruction a cycle, and counts the bytes that each memory served. Cycles
are then estimated with llvm-mca's model of the Cortex-M7, without wait states; where it is missing, an instruction is
taken for a cycle. Nothing here was measured on a chip.

    time   = cycles / clock
    energy = supply voltage * run current * time
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ditmos.bench.cycles import cycles, find_mca
from ditmos.emulator import EmulatedBoard
from ditmos.errors import DitmosError
from ditmos.firmware.targets import nucleo_image
from ditmos.link.board import Board
from ditmos.link.romfs import romfs_image
from ditmos.model.reader import read_model
from ditmos.paths import SOURCES
from ditmos.planner.chip import CORE_HZ, TYPICAL_MILLIAMPS, VOLTS, microjoules

TIMEOUT = 300.0  # seconds without output: counting every access is slow
FRONT_END = "front end, a row"  # as device/bench.py names it
_MEMORIES = ("flash", "ITCM", "DTCM", "SRAM")


@dataclass(frozen=True)
class Traffic:
    """One part of an inference with one placement.

    placement: "dtcm" (kernels in ITCM, model and arena in DTCM, as the board has them) or "flash" (code and model in
    flash, arena in SRAM: the same run, with what ITCM served put down to flash). bytes: fetched, read and written, by
    memory. cycles: estimated, without wait states.
    """

    part: str
    placement: str
    instructions: int
    cycles: int
    bytes: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Estimate:
    """Select and one classify together, as the board has them placed; all but ``traffic`` is estimated.

    row_cycles: of the front end, a row, on top of them; 0 without one. rows_per_second: that it makes.
    """

    model: str
    traffic: list[Traffic]
    cycles: int
    microseconds: float
    milliamps: float
    milliamps_assumed: bool
    volts: float
    microjoules: float
    method: str
    row_cycles: int = 0
    rows_per_second: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def estimate(model: Path, milliamps: float | None = None, report: Callable[[str], None] = lambda _: None) -> Estimate:
    """Run ``model`` on the emulated board and work out what an inference costs.

    ``milliamps``: the chip's run current at 216 MHz, measured, or from its data sheet (DS11532) for the conditions at
    hand; None: ``TYPICAL_MILLIAMPS``.

    Raises:
        DitmosError: no firmware has been built, or the model does not run.
    """
    elf, front = nucleo_image("elf"), read_model(model)[0].front_end
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "content"
        content.mkdir()
        (content / "model.dtm").write_bytes(model.read_bytes())
        rom, profile = Path(folder) / "rom.img", Path(folder) / "profile.jsonl"
        rom.write_bytes(romfs_image(content))
        report("starting the emulated board")
        with EmulatedBoard(nucleo_image("dfu"), romfs=rom, profile=profile) as emulated, Board(emulated.port) as board:
            report("counting every access")
            printed = board.run(SOURCES / "device" / "bench.py", ["--profile"], timeout=TIMEOUT)
        parts = [line.split(None, 2)[1:] for line in printed.splitlines() if line.startswith("profiled ")]
        if not parts:
            said = (printed.strip().splitlines() or ["it said nothing"])[-1]
            raise DitmosError(f"{model}: the emulated board did not run it, {said}")
        spans = [json.loads(line) for line in profile.read_text().splitlines()]
    report("estimating cycles")
    traffic = [_traffic(elf, part, placement, span) for (placement, part), span in zip(parts, spans, strict=True)]
    here = [part for part in traffic if part.placement == "dtcm"]
    row = sum(part.cycles for part in here if part.part == FRONT_END)
    total = sum(part.cycles for part in here) - row
    seconds = total / CORE_HZ
    current = TYPICAL_MILLIAMPS if milliamps is None else milliamps
    return Estimate(
        model=model.name,
        traffic=traffic,
        cycles=total,
        microseconds=seconds * 1e6,
        milliamps=current,
        milliamps_assumed=milliamps is None,
        volts=VOLTS,
        microjoules=microjoules(seconds * 1e6, current),
        method=find_mca() or "one cycle per instruction",
        row_cycles=row,
        rows_per_second=front.fs / front.hop if front else 0.0,
    )


def _traffic(elf: Path, part: str, placement: str, span: Mapping[str, Any]) -> Traffic:
    served = {memory: dict(span[memory]) for memory in _MEMORIES if memory in span}
    if placement == "flash":
        flash, itcm = served.setdefault("flash", {}), served.pop("ITCM", {})
        for kind, count in itcm.items():
            flash[kind] = flash.get(kind, 0) + count
    blocks = {(address, size): count for address, size, count in span["blocks"]}
    estimated = cycles(elf, blocks) if find_mca() else span["instructions"]
    return Traffic(part, placement, span["instructions"], estimated, served)
