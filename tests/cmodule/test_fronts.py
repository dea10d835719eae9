"""Every plan on the front of random networks: same bytes as the reference, and instructions as estimated.

The long version: `python tests/cmodule/test_fronts.py FIRST_SEED COUNT [--log FILE]`, on the host's portable C under
sanitizers and on the simulated Cortex-M7; started again, it goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ditmos.bench import baremetal, golden
from ditmos.model.plan import NONE, Plan
from ditmos.model.writer import encode
from ditmos.planner import Candidate, front
from rich.progress import Progress

if TYPE_CHECKING:
    from drivers import Driver

LIMITS = {"windows": 2, "max_rows": 120, "max_classifiers": 3}
needs_m7 = pytest.mark.skipif(
    bool(baremetal.missing_tools()), reason=f"not installed: {', '.join(baremetal.missing_tools())}"
)


def fronts(seeds: Sequence[int], kinds: bool | None = None) -> list[tuple[golden.Case, Candidate]]:
    """Random networks, each with every plan on its front; for odd seeds also plans that use up the window. kinds: as in
    `golden.case`."""
    cases = [golden.case(seed, **LIMITS, kinds=kinds) for seed in seeds]
    return [(c, candidate) for c in cases for candidate in front(c.model.spec, c.model, once=c.seed % 2 == 1)]


def files(items: Sequence[tuple[golden.Case, Candidate]]) -> list[tuple[bytes, bytes]]:
    return [(encode(case.model, candidate.plan), golden.vectors(case)) for case, candidate in items]


def test_on_the_host(driver) -> None:
    items = fronts((500, 501, 502, 503, 505, 507))
    for (case, candidate), (model, vectors) in zip(items, files(items), strict=True):
        assert driver.ask(model, vectors) == "ok", f"seed {case.seed}, {candidate.plan.name}"


@needs_m7
def test_on_the_simulated_m7(models_elf: Path) -> None:
    items = fronts((508, 510, 511, 512, 514, 515))
    runs = baremetal.run_models(models_elf, files(items))
    for (case, candidate), run in zip(items, runs, strict=True):
        assert run.differing == 0, f"seed {case.seed}, {candidate.plan.name}"
        assert run.arena_bytes == candidate.arena
        # Estimated for the classifier with most channels over the lane bound; the counted one may have fewer.
        assert 0.9 < candidate.instructions / sum(run.slices) < 1.35, f"seed {case.seed}, {candidate.plan.name}"


def main() -> None:
    """Check networks one by one. The log lists seed, convolutions, plans, those for one classify a window, those in
    which something takes the place of rows that are used up, and commit; what it lists is not run again."""
    import argparse
    import subprocess

    from drivers import ROOT, Driver, compile_driver

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument(
        "--convs", type=int, default=12, help="skip networks with more convolutions: planning takes long"
    )
    parser.add_argument(
        "--kinds", action="store_true", help="draw depthwise convolutions, averages and padding for all of them"
    )
    parser.add_argument("--log", type=Path, help="goes on where this file ends")
    options = parser.parse_args()
    log = options.log or Path(tempfile.gettempdir()) / f"fronts-{options.first}.log"
    done = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    checked = {int(line[0]) for line in done}
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder, log.open("a") as out:
        driver = Driver(compile_driver("driver.c", Path(folder)))
        elf = baremetal.build_models(folder=Path(folder))
        seed = options.first
        with Progress() as bar:
            task = bar.add_task("networks", total=options.count, completed=len(checked))
            while len(checked) < options.count:
                convs = _convolutions(seed, options.kinds or None)
                if seed not in checked and convs <= options.convs:
                    line = [str(n) for n in (seed, convs, *_check_everywhere(seed, options.kinds or None, driver, elf))]
                    checked.add(seed)
                    done.append(line)
                    print(*line, commit.stdout.strip(), file=out, flush=True)
                    bar.update(task, completed=len(checked))
                seed += 1
        driver.close()
    plans, once, nested = (sum(int(line[i]) for line in done) for i in (2, 3, 4))
    print(f"{len(done)} networks from seed {options.first}, {plans} plans, {once} for one classify a window,", end=" ")
    print(f"{nested} with rows that are used up: no difference")


def _convolutions(seed: int, kinds: bool | None) -> int:
    spec = golden.case(seed, **LIMITS, kinds=kinds).model.spec
    return len(spec.classifier.convs) + (len(spec.selector.convs) if spec.selector else 0)


def _takes_places(plan: Plan) -> bool:
    """Whether a slice writes an output or a carry over a map that it reads."""
    for part in plan.slices:
        stages = plan.stages[part.first : part.first + part.count]
        written = {b for s in stages for b in (s.out, s.carry) if b != NONE}
        read = {b for s in stages for b in (s.in0, s.in1) if b != NONE} - written
        pairs = [(plan.buffers[a], plan.buffers[b]) for a in written for b in read]
        if any(a.offset < b.end and b.offset < a.end for a, b in pairs):
            return True
    return False


def _check_everywhere(seed: int, kinds: bool | None, driver: Driver, elf: Path) -> tuple[int, int, int]:
    """All plans of a network's front on the host's portable C and on the simulated M7; returns how many they are, for
    one classify a window, with rows that are used up."""
    items = fronts([seed], kinds)
    written = files(items)
    for (model, vectors), (_, candidate) in zip(written, items, strict=True):
        answer = driver.ask(model, vectors)
        assert answer == "ok", f"seed {seed}, {candidate.plan.name}: {answer}"
    for run, (_, candidate) in zip(baremetal.run_models(elf, written), items, strict=True):
        assert run.differing == 0, f"seed {seed}, {candidate.plan.name}: {run.differing} bytes differ"
    plans = [candidate.plan for _, candidate in items]
    return len(plans), sum(plan.once for plan in plans), sum(map(_takes_places, plans))


if __name__ == "__main__":
    main()
