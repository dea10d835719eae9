"""What a sweep file says: wrong keys are refused, and the file behind docs/results.md can be run."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.study import plan
from ditmos.study.presets import preset
from ditmos.study.shared import load_parts, pool_config
from ditmos.study.space import Budget, candidates

RESULTS = Path(__file__).parents[2] / "docs/results/sweep.toml"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("features", "log-mle", "features is 'log-mle', expected one of none, log-mel, log-bands"),
        ("standardise", "subjects", "standardise is 'subjects', expected one of none, subject"),
        ("split", "person", "split is 'person', expected one of file, subject, group, random"),
        ("metric", "recall", "metric is 'recall', expected one of accuracy, balanced"),
        ("preset", "ecg", "preset is 'ecg', expected one of motion, "),
    ],
)
def test_a_wrong_word_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(DitmosError, match=message):
        plan.parse({"data": {"set": {"file": "set.npz", key: value}}})


def test_the_file_of_the_results_parses() -> None:
    content = plan.read(RESULTS)
    assert max(Counter(map(content.key, content.jobs)).values()) == 1
    for job in content.jobs:
        if not job.recipe:
            assert content.fit_of(job).epochs > 0
            assert pool_config(content.data[job.data]).views > 0


def test_eeg_networks_can_be_found() -> None:
    """At the widths that the file asks for; 13 rows of 19 electrodes x 7 bands."""
    content = plan.read(RESULTS)
    jobs = {(job.family, job.budget): job for job in content.jobs if job.data == "eeg" and job.family}
    assert {family for family, _ in jobs} >= {"exit", "wide"}
    for job in jobs.values():
        budget = Budget(job.budget, job.ram or None, job.flash or None, job.widths, job.fill)
        spectral = preset(content.data["eeg"].preset).spectral
        found = [
            spec
            for spec, _ in zip(
                candidates(job.family, (13, 133, 2), budget, 0, spectral=spectral), range(job.count), strict=False
            )
        ]
        assert len(set(found)) == job.count


def test_rivals_get_the_same_features(data_dir: Path) -> None:
    source = plan.read(RESULTS).data["eeg"]
    if not (data_dir / source.file).exists():
        pytest.skip(f"{source.file} is not there")
    dataset, parts = load_parts(source, data_dir)
    assert (dataset.window, len(dataset.channels)) == (13, 133)
    assert parts.train.x.shape[1:] == (133, 13)
    assert abs(parts.train.x.mean().item()) < 1e-3 and math.isclose(parts.train.x.std().item(), 1, abs_tol=1e-2)
