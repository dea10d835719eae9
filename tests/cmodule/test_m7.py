"""Cortex-M7 kernels on the simulated core, single layers, against docs/arithmetic.md; writes outside the output and
reads outside the input are seen (m7/layers.c).

The long version: `python tests/cmodule/test_m7.py FIRST_SEED LAST_SEED`, a thousand cases a seed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "m7"))

from bench import Case, build, conv_shape, run
from cases import random_cases, random_layer, random_maps
from ditmos.bench.baremetal import M4, M7, M33, Core
from ditmos.model import packings

MISSING = [tool for tool in ("arm-none-eabi-gcc", "qemu-system-arm") if not shutil.which(tool)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("m7"))


def describe(case: Case) -> str:
    shape = case.shape
    return (
        f"{shape.kind} {shape.input_channels}->{shape.channels_out} kernel {shape.kernel} stride {shape.stride} pool "
        f"{shape.pool} rows {shape.rows_in} packing {case.packing} chunk {case.chunk} carry {case.carry} scratch "
        f"{case.scratch} gap {case.gap} offset {case.offset}"
    )


def check(elf: Path, cases: list[Case], core: Core = M7) -> None:
    wrong = [(c, r) for c, r in zip(cases, run(elf, cases, core), strict=True) if r.differing]
    assert not wrong, "\n".join(f"{describe(c)}: {r.differing} bytes differ" for c, r in wrong[:5])


def test_random_layers(elf: Path) -> None:
    check(elf, random_cases(0, 600))


@pytest.mark.parametrize("core", [M4, M33], ids=lambda core: core.cpu)
def test_random_layers_of_other_cores(tmp_path: Path, core: Core) -> None:
    """Others with the DSP extension."""
    check(build(tmp_path, core=core), random_cases(2, 150), core)


def test_random_layers_of_the_portable_build(tmp_path: Path) -> None:
    check(build(tmp_path, "-DDITMOS_PORTABLE"), random_cases(1, 150))


@pytest.mark.parametrize("kernel", range(1, 32))
def test_every_kernel_size(elf: Path, kernel: int) -> None:
    """Packed and unpacked, chunked and whole, one plane, an odd number of planes and two operands."""
    rng = np.random.default_rng(kernel)
    cases = []
    for channels in ((1,), (3,), (2, 3)):
        shape = conv_shape(channels, 5, kernel, kernel + 15)
        layer = random_layer(rng, shape, 4)
        maps = random_maps(rng, [(c, shape.rows_in) for c in channels])
        for chunk, carry, scratch in ((0, False, 0), (0, False, 9000), (3, True, 0), (1, False, 0), (4, True, 1500)):
            cases.append(Case(shape, layer, maps, packings.LANES, chunk=chunk, carry=carry, scratch=scratch, gap=1))
    check(elf, cases)


def test_reference_layers_stay_under_the_smlad_limit(elf: Path) -> None:
    """Whole layers of the reference network; instructions per multiply-accumulate (an SMLAD does two)."""
    rng = np.random.default_rng(3)
    limits = {(3, 8, 15, 151): 0.63, (8, 8, 9, 68): 0.64, (16, 8, 9, 68): 0.58, (32, 32, 9, 128): 0.5}
    cases = []
    for inputs, outputs, kernel, rows in limits:
        shape = conv_shape((inputs,), outputs, kernel, rows)
        maps = random_maps(rng, [(inputs, rows)])
        cases.append(Case(shape, random_layer(rng, shape, 8), maps, packings.LANES, scratch=20_000))
    for case, result, limit in zip(cases, run(elf, cases), limits.values(), strict=True):
        assert result.differing == 0
        assert result.instructions <= limit * case.shape.macs, describe(case)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for seed in range(int(sys.argv[1]), int(sys.argv[2]) + 1):
            check(program, random_cases(seed, 1000))
            print(f"seed {seed}: 1000 layers equal", flush=True)
