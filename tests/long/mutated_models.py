"""Model files with faults in their structure: the C loader, under ASan and UBSan, and the host's judge them alike."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from drivers import Driver, compile_driver, model_request
from longrun import LongRun, Piece
from mutations import check_alike, mutated, original, targets, verdict
from quick_reader import quick_reader

MUTATIONS = 2000  # of each model
BATCH = 50  # files on their way to the driver at once
PLAIN = 40  # one in so many is also read by the reader as it is
ROWS = 24  # of a window at most, but for models with a front end
FIRST = 1_000_000  # seed; those of the short version are smaller


def judge(driver: Driver, number: int) -> tuple[int, dict[str, Any]]:
    """All mutations of the model of one number."""
    made, chance = original(FIRST + number, ROWS), Random(number)
    at, verdicts, again = targets(made.data), Counter[str](), []
    with quick_reader(made.data):
        for first in range(0, MUTATIONS, BATCH):
            files = [mutated(chance, made.data, at) for _ in range(BATCH)]
            driver.send(
                [model_request(data, made.vectors, must_match=False, offset=i % 4) for i, data in enumerate(files)]
            )
            for i, (data, judged) in enumerate([(data, verdict(data)) for data in files], first):
                answer = driver.answer()
                try:
                    verdicts[check_alike(judged, answer)] += 1
                except AssertionError as error:
                    raise AssertionError(f"mutation {i}: {error}") from None
                if i % PLAIN == 0:
                    again.append((data, judged))
    for data, judged in again:
        assert verdict(data) == judged, "the quick reader and the reader differ"
    return MUTATIONS, dict(verdicts)


@contextmanager
def opened(_: Path) -> Iterator[Piece]:
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(compile_driver("driver.c", Path(folder)))
        try:
            yield lambda number: judge(driver, number)
        finally:
            driver.close()


RUNS = [LongRun("mutated-models", 10_000_000, "files", opened, shared=True)]
