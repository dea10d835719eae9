"""Every plan on the front of random networks: same bytes as the reference, and instructions as estimated.

The long version: `python tests/cmodule/test_fronts.py FIRST_SEED COUNT`, on the host's portable C under sanitizers and
on the simulated Cortex-M7.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from ditmos import golden
from ditmos.bench import baremetal
from ditmos.modelfile import encode
from ditmos.planner import Candidate, front
from rich.progress import track

LIMITS = {"windows": 2, "max_rows": 120, "max_classifiers": 3}
needs_m7 = pytest.mark.skipif(
    bool(baremetal.missing_tools()), reason=f"not installed: {', '.join(baremetal.missing_tools())}"
)


def fronts(seeds: Sequence[int]) -> list[tuple[golden.Case, Candidate]]:
    """Random networks, each with every plan on its front."""
    cases = [golden.case(seed, **LIMITS) for seed in seeds]
    return [(case, candidate) for case in cases for candidate in front(case.model.spec, case.model)]


def files(items: Sequence[tuple[golden.Case, Candidate]]) -> list[tuple[bytes, bytes]]:
    return [(encode(case.model, candidate.plan), golden.vectors(case)) for case, candidate in items]


def test_on_the_host(driver) -> None:
    items = fronts((500, 501, 502, 503, 505, 507))
    for (case, candidate), (model, vectors) in zip(items, files(items), strict=True):
        assert driver.ask(model, vectors) == "ok", f"seed {case.seed}, {candidate.plan.name}"


@needs_m7
def test_on_the_simulated_m7(tmp_path: Path) -> None:
    items = fronts((508, 510, 511, 512, 514, 515))
    runs = baremetal.run_models(baremetal.build_models(folder=tmp_path), files(items))
    for (case, candidate), run in zip(items, runs, strict=True):
        assert run.differing == 0, f"seed {case.seed}, {candidate.plan.name}"
        assert run.arena_bytes == candidate.arena
        # Estimated for the classifier with most channels over the lane bound; the counted one may have fewer.
        assert 0.9 < candidate.instructions / sum(run.slices) < 1.35, f"seed {case.seed}, {candidate.plan.name}"


def main() -> None:
    from conftest import ROOT, SANITIZERS, SOURCES, WARNINGS, Driver

    first, count = int(sys.argv[1]), int(sys.argv[2])
    plans = 0
    with tempfile.TemporaryDirectory() as folder:
        import subprocess

        binary = Path(folder) / "driver"
        source = Path(__file__).parent / "driver.c"
        command = ["gcc", *WARNINGS, *SANITIZERS, "-O1", f"-I{ROOT / 'cmodule'}", *SOURCES, source, "-o", binary]
        subprocess.run(command, check=True, timeout=120)
        driver = Driver(binary)
        elf = baremetal.build_models(folder=Path(folder))
        for seed in track(range(first, first + count), "networks"):
            items = fronts([seed])
            written = files(items)
            for (model, vectors), (_, candidate) in zip(written, items, strict=True):
                answer = driver.ask(model, vectors)
                assert answer == "ok", f"seed {seed}, {candidate.plan.name}: {answer}"
            for run, (_, candidate) in zip(baremetal.run_models(elf, written), items, strict=True):
                assert run.differing == 0, f"seed {seed}, {candidate.plan.name}: {run.differing} bytes differ"
            plans += len(items)
        driver.close()
    print(f"{count} networks from seed {first}, {plans} plans: no difference")


if __name__ == "__main__":
    main()
