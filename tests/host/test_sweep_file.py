"""What a sweep file says: wrong keys are refused, and the file behind docs/results.md can be run."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest
from ditmos.errors import DitmosError
from ditmos.study import sweepfile
from ditmos.study.shared import load_parts, pool_config
from ditmos.training.presets import preset
from ditmos.training.space import Budget, candidates

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
        sweepfile.parse({"data": {"set": {"file": "set.npz", key: value}}})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("folds", 1, "folds is 1, expected 0, or 2 or more"),
        ("folds", 2.5, "folds is 2.5, expected an integer"),
        ("views", 0, "views is 0, expected 1 or more"),
        ("mixed", 1.5, "mixed is 1.5, expected 0 to 1"),
        ("teachers", 0, "teachers is 0, expected 1 or more"),
        ("planar_teachers", 3, "planar_teachers is 3, expected at most 2"),
        ("fit", 3, "fit is 3, expected a table"),
    ],
)
def test_a_wrong_number_of_the_data_is_refused(key: str, value: float, message: str) -> None:
    with pytest.raises(DitmosError, match=re.escape(message)):
        sweepfile.parse({"data": {"set": {"file": "set.npz", key: value}}})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rounds", 0.5, "rounds is 0.5, expected a list"),
        ("rounds", [], "rounds is [], expected fractions"),
        ("rounds", [0.2, 0.0], "rounds is [0.2, 0.0], expected fractions of the epochs, each above 0"),
        ("rounds", ["a"], "rounds[0] is 'a', expected a number"),
        ("keep", 0, "keep is 0, expected 1 or more"),
        ("count", 0, "count is 0, expected 1 or more"),
        ("widths", 0, "widths is 0.0, expected a number above 0"),
        ("widths", math.inf, "widths is inf, expected a number above 0"),
        ("fill", -1, "fill is -1.0, expected 0 or more"),
        ("fill", math.nan, "fill is nan, expected 0 or more"),
        ("budget", 0, "budget is 0, expected 1 or more"),
        ("seeds", [], "seeds is [], expected a list of integers"),
        ("seeds", 3, "seeds is 3, expected a list of integers"),
        ("data", [["set"]], "data is ['set'], expected one of set"),
        ("method", "a/b", "expected names without /"),
        ("aggregate", 2, "aggregate is 2, expected a list"),
    ],
)
def test_a_wrong_number_of_a_job_is_refused(key: str, value: object, message: str) -> None:
    job = {"data": "set", "method": "m", "budget": 9000, "family": "exit"}
    with pytest.raises(DitmosError, match=re.escape(f"job 1: {message}") if key != "method" else message):
        sweepfile.parse({"data": {"set": {"file": "set.npz"}}, "job": [{**job, key: value}]})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs", 0, "epochs is 0.0, expected a number above 0"),
        ("lr", math.nan, "lr is nan, expected a number above 0"),
        ("batch", 1, "batch is 1, expected 2 or more"),
        ("dropout", 1.0, "dropout is 1.0, expected 0 to below 1"),
        ("decay", -0.1, "decay is -0.1, expected 0 to below 1"),
        ("distill", 1.5, "distill is 1.5, expected 0 to 1"),
        ("noise", -1, "noise is -1.0, expected 0 or more"),
        ("clusters", math.inf, "clusters is inf, expected 0 or more"),
        ("mixture", [0.6, 0.2], "mixture is [0.6, 0.2], expected fractions of the training"),
        ("epoch", 3, "unknown key epoch"),
    ],
)
def test_a_wrong_setting_of_the_training_is_refused_where_it_stands(key: str, value: object, message: str) -> None:
    job = {"data": "set", "method": "m", "budget": 9000, "family": "exit"}
    table, wrong = {"file": "set.npz"}, {"fit": {key: value}}
    for at, content in (
        ("sweep", {**wrong, "data": {"set": table}, "job": [job]}),
        ("sweep: data.set", {"data": {"set": {**table, **wrong}}, "job": [job]}),
        ("sweep: job 1", {"data": {"set": table}, "job": [{**job, **wrong}]}),
    ):
        with pytest.raises(DitmosError, match=re.escape(f"{at}: fit: {message}")):
            sweepfile.parse(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": 3}, "sweep: data is 3, expected a table"),
        ({"data": {"set": 3}}, "sweep: data.set is 3, expected a table"),
        ({"fit": 3}, "sweep: fit is 3, expected a table"),
        ({"fit": {"mixture": [0.5]}}, "mixture is [0.5], expected a list of 2"),
        ({"job": [3]}, "sweep: job 1 is 3, expected a table"),
    ],
)
def test_what_is_no_table_is_refused(content: dict, message: str) -> None:
    with pytest.raises(DitmosError, match=re.escape(message)):
        sweepfile.parse(content)


def test_the_file_of_the_results_parses() -> None:
    content = sweepfile.read(RESULTS)
    assert max(Counter(map(content.key, content.jobs)).values()) == 1
    for job in content.jobs:
        if not job.recipe:
            assert content.fit_of(job).epochs > 0
            assert pool_config(content.data[job.data]).views > 0


def test_eeg_networks_can_be_found() -> None:
    """At the widths that the file asks for; 13 rows of 19 electrodes x 7 bands."""
    content = sweepfile.read(RESULTS)
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
    source = sweepfile.read(RESULTS).data["eeg"]
    if not (data_dir / source.file).exists():
        pytest.skip(f"{source.file} is not there")
    dataset, parts = load_parts(source, data_dir)
    assert (dataset.window, len(dataset.channels)) == (13, 133)
    assert parts.train.x.shape[1:] == (133, 13)
    assert abs(parts.train.x.mean().item()) < 1e-3 and math.isclose(parts.train.x.std().item(), 1, abs_tol=1e-2)
