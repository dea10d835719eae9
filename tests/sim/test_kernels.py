"""What Python adds to an inference, on the simulated board against the same plan without MicroPython."""

from __future__ import annotations

from pathlib import Path

from ditmos.bench import kernels
from ditmos.bench.measured import run_plans
from ditmos.bench.python_cost import measure_python
from ditmos.planner.cost import layer_costs
from ditmos.planner.describe import unsliced


def test_python_adds_little(firmware: Path, models_elf: Path) -> None:
    model = kernels.reference_model()
    costs = layer_costs(model.spec, model)
    plan = unsliced(model.spec, costs).plan
    measured = run_plans(models_elf, model, [plan])[0]
    cost = measure_python(model, measured, firmware)
    assert cost["select"] + cost["classify"] < cost["top1"] + 2000
    assert 0 < cost["overhead"] < 10_000
