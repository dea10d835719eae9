"""The emulated board, running a program of our own: exceptions, line, flash, counters, kernels."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Case, Style, random_model, random_windows, vectors
from ditmos.emulator import Segment
from ditmos.emulator.clock import CORE_HZ
from ditmos.emulator.rcc import Pwr
from ditmos.errors import DitmosError
from ditmos.firmware.memorymap import ROMFS, sector_start
from ditmos.model.spec import reference_spec
from ditmos.model.writer import encode
from ditmos.planner import whole_plan
from program import Program


def test_boots_and_answers(program: Program) -> None:
    assert program.greeting == "ready"
    assert program.ask("p") == "pong"
    assert program.reports == []


def test_milliseconds_are_milliseconds(program: Program) -> None:
    """The SysTick count and the emulated clock agree: 100 ms asked for, a byte of 87 us sent, a line received."""
    start = program.board.clock.now
    assert 100 <= int(program.ask("t")) <= 103
    assert 0.1 <= (program.board.clock.now - start) / CORE_HZ <= 0.103


def test_exceptions_nest_by_priority(program: Program) -> None:
    """PendSV runs after the handler that raised it; PRIMASK and BASEPRI hold both back; floats survive."""
    assert program.ask("x") == "()P|()P|()P 1"


def test_bytes_are_lost_when_nobody_takes_them(program: Program) -> None:
    """A ring of 31 bytes and one byte in the USART: of 100, the rest is lost and counted, as on the real line."""
    assert program.ask("s" + "-" * 100) == "31"
    assert program.board.usart.overruns == 100 - 31 - 1
    for _ in range(40):  # the program drains its ring
        program.board.run(CORE_HZ // 1000)
        program.board.sleep(CORE_HZ // 1000)
    assert int(program.ask("o")) >= 1


def test_bytes_take_their_time(program: Program) -> None:
    """20 bytes at 115200 baud, 10 bits each, are there after 1.74 ms and not before."""
    board = program.board
    start = board.clock.now
    board.incoming.extend(b"-" * 20)
    while board.incoming or board.usart.receiving:
        if board.run(1000):
            board.sleep(1000)
    assert (board.clock.now - start) / CORE_HZ == pytest.approx(200 / 115200, rel=0.02)
    assert board.usart.overruns == 0


def test_flash_erases_programs_and_is_kept(make_program: Callable[..., Program], tmp_path: Path) -> None:
    kept = tmp_path / "flash.bin"
    first = make_program((), kept)
    assert first.ask("f").split()[:3] == ["ffffffff", "ffffffff", "12345678"]
    assert first.board.flash.dirty
    first.board.flash.save(kept)
    assert not first.board.flash.dirty
    again = make_program((), kept)
    before, erased, after, took = again.ask("f").split()
    assert (before, erased, after) == ("12345678", "ffffffff", "12345677")
    assert int(took) > 100  # milliseconds: an erase is not instant
    assert again.reports == []


def test_flash_file_of_another_size_is_refused(make_program: Callable[..., Program], tmp_path: Path) -> None:
    kept = tmp_path / "flash.bin"
    kept.write_bytes(b"short")
    with pytest.raises(DitmosError, match="5 bytes, expected 2097152"):
        make_program((), kept)


def test_store_to_flash_that_cannot_work_is_reported(program: Program) -> None:
    address = sector_start(11)
    program.board.flash.programmed(address, 4, 0)
    assert "while CR.PG is not set" in program.reports[0]
    program.board.core.flash[address - 0x0800_0000] = 0
    program.board.flash.programmed(address, 1, 0xFF)
    assert "bits can only be cleared" in program.reports[-1]


def test_unknown_register_is_reported_by_name_once(program: Program) -> None:
    assert program.ask("u") == "0"
    assert program.ask("u") == "0"
    assert len(program.reports) == 1
    assert program.reports[0].startswith("read of 0x0, TIM2+0x24 (0x40000024): not modelled, pc 0x0800")


def test_access_to_nothing_is_a_hard_fault(program: Program) -> None:
    assert program.ask("h") == "fault"
    assert program.reports[0].startswith("HardFault: nothing (0x60000000), pc 0x0800")
    assert program.line() == "ready again"


def test_software_reset_keeps_flash_and_says_so(program: Program) -> None:
    program.ask("f")
    assert program.ask("r") == "ready again"
    assert program.ask("f").startswith("12345678")


def test_the_backup_regulator_is_ready_when_it_is_on() -> None:
    """The preview of MicroPython 1.29 waits a second for it at every start where it is not."""
    power = Pwr()
    assert power.read(0x04) & 1 << 3 == 0
    power.write(0x04, 1 << 9)
    assert power.read(0x04) & 1 << 3
    power.write(0x04, 0)
    assert power.read(0x04) & 1 << 3 == 0


def test_cycle_counter_counts_instructions(program: Program) -> None:
    """3 x 1000 instructions and the few between the two reads; the same each time."""
    counts = {int(program.ask("c")) for _ in range(3)}
    assert len(counts) == 1
    assert 3000 <= counts.pop() <= 3010


@pytest.fixture
def with_model(make_program: Callable[..., Program]) -> Program:
    rng = np.random.default_rng(3)
    spec = reference_spec()
    model = random_model(rng, spec, Style.TRAINED)
    plan = whole_plan(spec)
    file = encode(model, plan)
    golden = vectors(Case(3, model, random_windows(rng, spec, 2)))
    data = struct.pack("<I", len(file)) + file + bytes(-len(file) % 4) + golden
    return make_program((Segment(ROMFS.start, data),))


def test_models_run_as_the_reference(with_model: Program) -> None:
    results: list[dict] = []
    with_model.board.profile.on_result = results.append
    assert with_model.ask("m") == "2 windows, 0 wrong"
    (select,) = results
    assert select["instructions"] > 10_000
    assert select["flash"]["read"] > 1000  # the selector's weights
    assert select["DTCM"]["write"] > 1000  # the arena
    assert select["flash"]["fetch"] + select.get("ITCM", {}).get("fetch", 0) > 2 * select["instructions"]
    assert with_model.reports == []
