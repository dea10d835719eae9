"""What is shown of the inside of a window, and the drawings of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.bench.golden_forests import forest_model, random_rows
from ditmos.datasets import load
from ditmos.frontends.window_summary import Summary
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from ditmos.ui.drawings import Point, lanes, memory, short, trade
from ditmos.ui.inside import Examples, Seen, look_inside, seen_of
from ditmos.ui.plans_shown import plans_of, put_plan


@pytest.fixture(scope="module")
def reference(model: tuple[Path, QuantizedModel]) -> Model:
    return Model(model[1])


def test_everybody_is_asked(reference: Model) -> None:
    window = random_windows(np.random.default_rng(3), reference.spec, 1)[0]
    found = look_inside(reference, Seen(window), None)
    assert found.k == int(np.argmax(reference.select(window)[: reference.routes]))
    for k in range(reference.classifiers):
        np.testing.assert_array_equal(found.logits[k], np.asarray(reference.classify(k)))
    assert found.selector.sum() == pytest.approx(1) and found.right == [] and not len(found.votes)
    assert found.maps[-1][1].shape == (reference.classes, 1) and dict(found.maps)["selector.1"].ndim == 2
    np.testing.assert_array_equal(found.maps[-1][1][:, 0], found.logits[found.k])
    told = look_inside(reference, Seen(window, truth=int(found.labels[2])), 2)
    assert told.k == 2 and 2 in told.right


@pytest.mark.parametrize("alone", [True, False])
def test_a_forest_votes_on_what_it_reads(alone: bool) -> None:
    """Votes and features of a window of samples are the reference's, as it is fed; a forest alone has no maps."""
    seed = 0
    while True:
        made = forest_model(np.random.default_rng(seed), alone=alone, most_window=64)
        if [type(operation) for operation in made.front_end.operations] == [Summary]:
            break
        seed += 1
    reference = Model(made)
    samples = random_rows(np.random.default_rng(5), 1, made.spec.window, made.spec.channels)[0]
    reference.feed(samples)
    votes = np.asarray(reference.votes(None))
    found = look_inside(reference, seen_of(reference, samples, int(votes.argmax())), None)
    np.testing.assert_allclose(found.votes, votes / votes.sum())
    assert found.forest_right and [value for _, value in found.features] == np.asarray(reference.summary()).tolist()
    names = [name for name, _ in found.features]
    assert len(set(names)) == len(names) and names[0].endswith(": least")
    assert (found.k is None and not found.maps and not len(found.labels)) == alone


def test_a_cell_of_the_matrix_leads_to_its_windows(reference: Model, data: Path) -> None:
    y = Examples(reference, load(data), "all", np.zeros(60, np.int64)).y
    label = y.copy()
    label[5], label[7] = (y[5] + 1) % reference.classes, -1
    examples = Examples(reference, load(data), "all", label)
    assert examples.wrong == 2 and examples.counts.sum() == len(y)
    assert examples.windows(y[5], label[5]) == [5] and examples.windows(y[7], reference.classes) == [7]
    for c in range(reference.classes):
        row = [examples.windows(c, t) for t in range(reference.classes + 1)]
        assert [len(windows) for windows in row] == examples.counts[c].tolist()
    found = look_inside(reference, examples.seen(5), None)
    assert found.labels[found.k] == y[5] == found.seen.truth, "the example's classes are what the model says"


def test_a_plan_is_drawn_and_written(tmp_path: Path) -> None:
    path, rng = tmp_path / "m.dtm", np.random.default_rng(4)
    trunk = BranchSpec((ConvSpec(4, 5, 2, 1), ConvSpec(6, 3, 1, 2)))
    spec = NetworkSpec(48, 3, 4, 2, trunk, trunk)
    write_model(path, random_model(rng, spec, Style.TRAINED), whole_plan(spec))
    found = plans_of(path)
    sizes = [size for size, _ in found["front"]]
    assert sizes == sorted(sizes) and len(sizes) > 1
    smallest = put_plan(path, sizes[0])
    assert smallest["arena_bytes"] == sizes[0] == plans_of(path)["now"]["arena_bytes"]
    picture = ET.fromstring(memory(smallest, 0))
    assert len(picture.findall("rect")) == len(smallest["buffers"])
    faint = [rect for rect in picture.findall("rect") if rect.get("opacity") == "0.25"]
    assert 0 < len(faint) < len(smallest["buffers"])


def test_drawings_are_whole() -> None:
    points = [Point(1000.0, 0.5, "a<b>&"), Point(5000.0, 0.9, "b", True)]
    drawn = ET.fromstring(trade(points, "instructions", "accuracy", line=True))
    assert len(drawn.findall("circle")) == 2 and drawn.find("polyline") is not None
    assert trade([], "x", "y") == ""
    ET.fromstring(trade([Point(7.0, 1.0, "one")], "x", "y"))
    assert len(ET.fromstring(lanes(np.zeros((9, 60), np.int8), ["<c>"] * 60)).findall("polyline")) == 60
    assert [short(v) for v in (0.8123, 7.0, 512.4, 123_456.0)] == ["0.812", "7", "512", "123 k"]
