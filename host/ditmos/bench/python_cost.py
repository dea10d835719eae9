"""What MicroPython adds to the C work of one inference: select, top1's choice, classify."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ditmos.bench.measured import Measured
from ditmos.link.board import Board
from ditmos.model.quantized import QuantizedModel
from ditmos.model.writer import encode
from ditmos.simulated.qemu import Simulator

REPEAT = 5

SCRIPT = """
import time, gc
from ditmos import load_model
from array import array
from ditmos.routing import top1
model = load_model("/rom/model.dtm")
window = array("b", bytes(model.window * model.channels))
def ticks(call):
    best = None
    for _ in range({repeat}):
        gc.collect()
        before = time.ticks_cpu()
        call()
        taken = time.ticks_diff(time.ticks_cpu(), before)
        best = taken if best is None else min(best, taken)
    return best
nothing = ticks(lambda: None)
print([ticks(call) - nothing for call in (
    lambda: model.select(window), lambda: model.classify(0), lambda: top1(model, window))])
"""


def measure_python(model: QuantizedModel, fastest: Measured, firmware: Path | None = None) -> dict[str, Any]:
    """Instructions of ``select``, ``classify`` and ``top1`` on the simulated board, and what is not the C module's.

    Raises:
        DitmosError: no firmware (`ditmos firmware build sim`), or the board does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.dtm").write_bytes(encode(model, fastest.plan))
        with Simulator(firmware, icount=True, romfs=Path(folder)) as simulated, Board(simulated.port) as board:
            select, classify, top1 = eval(board.exec(SCRIPT.format(repeat=REPEAT), timeout=60), {"__builtins__": {}})
    return {
        "select": select,
        "classify": classify,
        "top1": top1,
        "c_work": fastest.instructions,
        "overhead": top1 - fastest.instructions,
    }
