"""What is shown of the inside of a window, and the drawings of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from ditmos.bench.golden import Style, random_model, random_windows
from ditmos.datasets import load
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model
from ditmos.model.spec import BranchSpec, ConvSpec, NetworkSpec
from ditmos.model.writer import write_model
from ditmos.planner import whole_plan
from ditmos.ui.drawings import Point, lanes, memory, short, trade
from ditmos.ui.inside import Examples, look_inside
from ditmos.ui.plans_shown import plans_of, put_plan


@pytest.fixture(scope="module")
def reference(model: tuple[Path, QuantizedModel]) -> Model:
    return Model(model[1])


def test_everybody_is_asked(reference: Model) -> None:
    window = random_windows(np.random.default_rng(3), reference.spec, 1)[0]
    found = look_inside(reference, window, None, None)
    assert found.k == int(np.argmax(reference.select(window)[: reference.routes]))
    for k in range(reference.classifiers):
        np.testing.assert_array_equal(found.logits[k], np.asarray(reference.classify(k)))
    assert found.selector.sum() == pytest.approx(1) and found.right == []
    assert found.maps[-1][1].shape == (reference.classes, 1) and dict(found.maps)["selector.1"].ndim == 2
    np.testing.assert_array_equal(found.maps[-1][1][:, 0], found.logits[found.k])
    told = look_inside(reference, window, 2, int(found.labels[2]))
    assert told.k == 2 and 2 in told.right


def test_mistakes_lead_to_windows(reference: Model, data: Path) -> None:
    examples = Examples(reference, load(data), "all")
    right = examples.y.copy()
    assert examples.mistakes(right).pairs == ()
    label = right.copy()
    label[5], label[7] = (label[5] + 1) % reference.classes, -1
    found = examples.mistakes(label)
    assert sorted(window for _, _, windows in found.pairs for window in windows) == [5, 7]
    assert found.matrix.sum() == len(label) and (examples.y[7], -1, (7,)) in found.pairs
    np.testing.assert_array_equal(
        reference.classify_batch(
            examples.rows(5)[None], [reference.select_batch(examples.rows(5)[None])[0].argmax()]
        ).argmax(),
        examples.y[5],
    )


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
