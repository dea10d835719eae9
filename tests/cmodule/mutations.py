"""Model files with faults in their structure, and what both loaders say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from struct import pack_into, unpack_from
from zlib import crc32

import numpy as np
from ditmos.bench import golden
from ditmos.bench.golden_feeds import feed_case
from ditmos.model.plan_tables import PlanError
from ditmos.model.reader import ModelFileError, decode
from ditmos.model.writer import encode
from ditmos.planner import front, whole_plan
from drivers import Driver
from random_plans import random_plan

# How often a section is chosen; the table of sections counts as one.
OFTEN = {b"PLAN": 3, b"FRNT": 4, b"FRST": 4}
NUMBERS = (0, 1, 2, 127, 128, 254, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


@dataclass(frozen=True)
class Original:
    """A model file that is right, and the golden vectors of one window of it."""

    data: bytes
    vectors: bytes


def original(seed: int, max_rows: int = 60) -> Original:
    """A random plan, or the smallest of the planner's, in which maps grow over others, or one with a front end."""
    if seed % 5 == 3:
        fed = feed_case(seed)
        windows = golden.random_windows(np.random.default_rng(seed), fed.model.spec, 1)
        return Original(encode(fed.model, fed.plan), golden.vectors(golden.Case(seed, fed.model, windows)))
    case = golden.case(seed, windows=1, max_rows=max_rows, max_classifiers=2)
    if seed % 4 == 0:
        plans = [candidate.plan for candidate in front(case.model.spec, case.model, once=seed % 8 == 0)]
        data = encode(case.model, min(plans, key=lambda plan: plan.arena_size))
    else:
        try:
            data = encode(case.model, random_plan(np.random.default_rng(seed), case.model.spec))
        except PlanError:
            data = encode(case.model, whole_plan(case.model.spec))
    return Original(data, golden.vectors(case))


def sections(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Offset and length by tag, and of the table itself under b"table"."""
    count = unpack_from("<H", data, 6)[0]
    entries = [unpack_from("<4sII", data, 16 + 16 * i) for i in range(count)]
    return {b"table": (16, 16 * count), **{tag: (offset, length) for tag, offset, length in entries}}


def repaired(data: bytearray) -> bytes:
    """With the length and checksum that the header should have."""
    if len(data) >= 16:
        pack_into("<I", data, 8, len(data))
        pack_into("<I", data, 12, crc32(memoryview(data)[16:]))
    return bytes(data)


def targets(data: bytes) -> list[tuple[int, int]]:
    """Offset and length of each section that `mutated` chooses from, as often as it shall be chosen."""
    return [span for tag, span in sections(data).items() if span[1] for _ in range(OFTEN.get(tag, 1))]


def mutated(chance: Random, data: bytes, targets: Sequence[tuple[int, int]]) -> bytes:
    """One or two faults in sections, or the end cut off; checksum right. A fault is a byte, a bit, a number of two or
    four bytes at the edge of a range, or bytes that were copied from elsewhere in the section."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 2))):
        begin, size = chance.choice(targets)
        at = begin + chance.randrange(size)
        kind = chance.randrange(8)
        if kind < 3:
            damaged[at] = chance.randrange(256)
        elif kind < 6:
            damaged[at] ^= 1 << chance.randrange(8)
        else:
            width = chance.choice((2, 4))
            at -= at % width
            if at + width > begin + size:
                continue
            if kind == 6:
                damaged[at : at + width] = (chance.choice(NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, "little")
            else:
                other = begin + chance.randrange(size - width + 1)
                damaged[at : at + width] = data[other : other + width]
    if chance.random() < 0.1:
        del damaged[chance.randrange(len(damaged)) :]
    return repaired(damaged)


def verdict(damaged: bytes, read=decode) -> tuple[str, str]:
    """Of the host: ``refused``, ``accepted``, or ``grouped`` where only the host refuses: it takes its own grouping of
    channels alone, the device any safe one. And its message."""
    try:
        read(damaged)
    except ModelFileError as error:
        return "grouped" if "groups of channels" in str(error) else "refused", str(error)
    return "accepted", ""


def check_alike(judged: tuple[str, str], answer: str) -> str:
    """The host's verdict, which the device's answer must fit. Whatever is accepted also ran, inside of its buffers."""
    word, message = judged
    if word == "refused":
        assert answer.startswith("bad"), f"the host refuses ({message}), the device says {answer}"
    elif word == "accepted":
        assert answer == "ok", f"the host accepts, the device says {answer}"
    return word


def judged_alike(driver: Driver, original: Original, damaged: bytes, offset: int) -> str:
    """The verdict of both."""
    return check_alike(verdict(damaged), driver.ask(damaged, original.vectors, must_match=False, offset=offset))
