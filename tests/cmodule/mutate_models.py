"""Mutated model files, C against host verdict, under sanitizers: the long version of a test in ``test_parser.py``.

    python tests/cmodule/mutate_models.py COUNT [--json FILE]

Each seed is one model (plans, front ends, forests, layers of all kinds) and `MUTATIONS` mutations of it. FILE counts
the verdicts; started again, it goes on until COUNT files have been judged. What is judged differently, or makes the
driver die, ends the run, with the seed and the number of the mutation.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import Driver, compile_driver
from ditmos.atomic import read_json, write_json
from test_parser import judged_alike, mutated, some_model

MUTATIONS = 400  # of each model
FIRST = 1_000_000  # seed; those of the short version are smaller


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int, help="files to judge, those of earlier runs included")
    parser.add_argument("--json", type=Path, default=Path("build/mutated-models.json"), help="what was judged")
    options = parser.parse_args()
    verdicts: Counter[str] = Counter(read_json(options.json)["verdicts"] if options.json.is_file() else {})
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(compile_driver("driver.c", Path(folder)))
        while verdicts.total() < options.count:
            seed = FIRST + verdicts.total() // MUTATIONS
            case, data = some_model(seed)
            rng = np.random.default_rng(seed)
            for i in range(MUTATIONS):
                damaged = mutated(rng, data)
                try:
                    verdicts[judged_alike(driver, case, damaged, i % 4)] += 1
                except (AssertionError, pytest.fail.Exception) as error:
                    raise SystemExit(f"seed {seed}, mutation {i}: {error}") from error
            write_json(options.json, {"next_seed": seed + 1, "verdicts": verdicts})
        driver.close()
    print(f"{verdicts.total():,} files, " + ", ".join(f"{count:,} {word}" for word, count in verdicts.items()))


if __name__ == "__main__":
    main()
