"""A tape in the browser, without a board."""

from __future__ import annotations

from pathlib import Path

import pytest
from ditmos.bench.route import decide
from ditmos.datasets import load
from ditmos.link.stream import Result
from ditmos.link.tape import Tape
from ditmos.model.policy import own_policy
from ditmos.model.quantized import QuantizedModel
from ditmos.model.reference import Model

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("nicegui", reason="nicegui is not installed")

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, QuantizedModel], data: Path) -> Path:
    """Of whole windows, as a board would have answered them."""
    x = load(data).x[:20]
    found = decide(own_policy(model[1]), Model(model[1]), Model(model[1]).quantize(x))
    made = Tape(151, 151, model[1].class_names, 50.0)
    list(made.pass_on(x))
    for i, (label, who) in enumerate(zip(found.label, found.who, strict=True)):
        made.add(Result(i, int(label), made.class_names[label], int(who), 1, 900, 0.004, None, 0.75), 3.0 * i)
    path = tmp_path_factory.mktemp("tape") / "tape.npz"
    made.save(path)
    return path


def test_a_tape_is_seen_tried_and_looked_into(
    browser, serve, tape: Path, model: tuple[Path, QuantizedModel], data: Path
) -> None:
    from page import Page
    from selenium.webdriver.common.keys import Keys

    server = serve("--replay", tape, "--model", model[0], "--data", data, "--part", "all")
    page = Page(browser, server.address)
    page.wait(lambda: page.facts().get("answers") == "20", "all answers of the tape")
    page.wait_for("a tape, replayed")
    page.tab("Policy")
    page.write("from ditmos import routing\npolicy = routing.top1\n")
    page.wait_for("the stream, 20 windows")
    page.press("Put on the board")
    page.wait_for("this is a tape")
    page.tab("Live")
    scope = page.wait(lambda: page.find(".scope"), "the signal")[0]  # the tab takes a moment to be drawn
    scope.send_keys(Keys.SHIFT + Keys.ARROW_LEFT + Keys.NULL, Keys.ENTER)
    page.wait(lambda: page.find(".maps canvas"), "its inside")
    assert page.errors() == []
