"""The C engine with portable kernels against the reference, byte for byte, under ASan and UBSan."""

from __future__ import annotations

from ditmos.bench import golden
from ditmos.model.writer import encode
from ditmos.planner import whole_plan


def test_random_networks(driver):
    for case in golden.cases(120):
        model = encode(case.model, whole_plan(case.model.spec))
        assert driver.ask(model, golden.vectors(case), offset=case.seed % 4) == "ok", case.seed
