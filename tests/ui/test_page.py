"""The page in a real browser, over a simulated board: what it does; every tab by axe-core, light and dark, wide and
narrow; and all of it without a mouse."""

from __future__ import annotations

import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest
from ditmos.atomic import read_json
from ditmos.datasets import load
from ditmos.link.tape import Tape
from ditmos.ui.training_job import DATA, REPORT
from ditmos.ui.visit import TABS
from little import write_little

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("nicegui", reason="nicegui is not installed")

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine


def answers(page) -> int:
    return int(page.facts().get("answers", "0").replace(",", ""))


def test_the_board_is_seen_at_work(page) -> None:
    page.wait(lambda: answers(page) > 10, "answers")
    facts = page.facts()
    assert facts["right, of the last 200"].endswith("%")
    assert float(facts["windows a second"]) > 0
    assert page.find(".scope canvas") and "classifier" in page.text()
    assert page.errors() == [], "the browser complains of nothing: no script of others, nothing that is not there"


def test_pause_scroll_zoom_by_keys_and_go_on(page) -> None:
    from selenium.webdriver.common.keys import Keys

    scope = page.find(".scope")[0]
    scope.send_keys(" ")
    page.wait(lambda: page.button("Go on"), "paused")
    scope.send_keys(Keys.ARROW_LEFT, "-")
    page.wait_for("30 s")
    scope.send_keys(Keys.SHIFT + Keys.ARROW_LEFT + Keys.NULL)
    page.wait(lambda: "by classifier" in page.said(), "what is at the cursor, for screen readers")
    scope.send_keys(Keys.END)
    page.wait(lambda: page.button("Pause"), "following")


def test_a_tape_is_saved(page, server) -> None:
    page.press("Save tape")
    page.wait_for("answers")
    saved = page.wait(lambda: list(server.folder.glob("tape-*.npz")), "tape")
    tape = Tape.load(saved[0])
    assert len(tape.results) > 10 and tape.results[5].confidence is not None
    assert len(tape.samples) == (len(tape.results) - 1) * tape.hop + tape.window


def test_a_second_page_sees_the_same_board_and_a_closed_one_costs_nothing(page) -> None:
    browser = page.browser
    before = answers(page)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(page.browser.current_url if page.browser.current_url.startswith("http") else "about:blank")
    browser.close()
    browser.switch_to.window(first)
    browser.refresh()
    page.wait(lambda: answers(page) > before, "the same stream, further on")


def test_a_policy_is_edited_and_acts(page) -> None:
    """Tried before, put on the board in a moment, seen in the ribbon's figures; a wrong one leaves what answered."""
    page.tab("Policy")
    page.wait_for("instructions a window, planned")
    page.write("def policy(model, window):\n    model.select(window)\n    model.classify(2)\n    return 7, 2\n")
    page.wait_for("other answers")
    page.press("Put on the board")
    page.wait_for("Version 1 answers since window")
    page.tab("Live")
    page.wait(
        lambda: page.find(".answer")[0].text == "class 7" and "by classifier 2" in page.text(), "the policy's answer"
    )
    page.tab("Policy")
    page.write("def policy(model, window):\n    return model.nothing, 0\n")
    page.wait_for("line 2")
    assert page.find(".bad-line")
    page.press("Put on the board")
    page.wait_for("the board raised AttributeError")
    page.wait_for("version 1 answers")
    assert page.errors() == []


def test_takes_are_recorded_trimmed_deleted_and_made_a_set(page, server) -> None:
    page.tab("Record")
    page.fill("Data set", "mine")
    page.fill("Labels", "walk, run")
    page.fill("Seconds", "1.5")
    page.fill("Window, rows", "20")
    page.press("Begin")
    for number, label in enumerate(("walk", "run", "run")):
        page.press(label)
        page.wait_for(f"{number} {label}, 1.5 s")
    assert [path.name for path in sorted((server.folder / "mine.takes").glob("*.npz"))] == [
        "0000-walk.npz",
        "0001-run.npz",
        "0002-run.npz",
    ]
    page.browser.refresh()  # another page, as it were: the session is there, and what was written
    page.tab("Record")
    page.press("Delete take 2")
    page.wait(lambda: not (server.folder / "mine.takes" / "0002-run.npz").exists(), "deleted")
    page.press("Trim take 1")
    page.press("Keep this part")
    page.press("Make the data set")
    page.wait_for("mine.npz: ")
    made = load(server.folder / "mine.npz")
    assert made.class_names == ("walk", "run") and made.window == 20 and set(made.y.tolist()) == {0, 1}
    page.tab("Live")
    before = answers(page)
    page.wait(lambda: answers(page) > before, "the stream goes on")
    assert page.errors() == []


def test_a_window_is_looked_into(page) -> None:
    from selenium.webdriver.common.keys import Keys

    page.tab("Live")
    scope = page.find(".scope")[0]
    scope.send_keys(Keys.SHIFT + Keys.ARROW_LEFT + Keys.NULL)
    scope.send_keys(Keys.ENTER)
    page.wait(lambda: len(page.find(".maps canvas")) > 8, "maps of every layer")
    assert "classifier.fc2" in page.text() and page.find("svg.drawing")
    page.press("Count")
    page.wait_for("of 60 windows are wrong")
    cell = page.wait(lambda: page.find(".matrix button"), "a cell of the matrix")[0]
    said = cell.get_attribute("aria-label").rpartition(":")[0]
    cell.click()
    page.wait_for(said)
    page.wait(lambda: "of the data set" in page.find(".answer")[0].text, "the first window of the cell")
    assert page.errors() == []


def test_a_model_is_trained_deployed_and_verified(page, server) -> None:
    """On data of its own, stopped in between; then the board answers by it."""
    write_little(server.folder)
    page.browser.refresh()
    page.tab("Train")
    page.choose("Data set", "motion.npz")
    page.choose("Settings", "small.toml")
    page.fill("Name", "mine")
    page.press("Train")
    page.wait_for("teachers")
    page.press("Stop")
    page.wait_for("goes on where it was")
    page.press("Train")
    page.wait_for("mine: trained", 240)
    row = read_json(server.folder / "mine" / "run.json")
    assert f"{row['test']['accuracy']:.4f}" in page.text() and row["seed"] == 0
    assert read_json(server.folder / "mine" / DATA)["data"] == str(server.folder / "motion.npz")
    assert "<table" in (server.folder / "mine" / REPORT).read_text()
    page.wait(lambda: "Working out" not in page.text() and len(page.find("svg.drawing")) >= 2, "plans", 120)
    page.press("Deploy")
    page.wait_for("as the board computed it", 60)
    page.press("Verify")
    page.wait_for("Equal, byte for byte", 120)
    page.tab("Live")
    names = load(server.folder / "motion.npz").class_names
    page.wait(lambda: page.find(".answer")[0].text in names, "the new model's answers")
    assert page.errors() == []


def test_who_has_no_cookie_is_told_nothing(server) -> None:
    root = server.address.partition("?")[0]
    for path in ("", "_nicegui_ws/socket.io/?EIO=4&transport=polling", "favicon.ico"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(root + path, timeout=10)
        assert refused.value.code == 403
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(server.address, timeout=10)  # the token is spent


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, which comes with a package and is not ours."""
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(found.origin).parent / "axe.min.js").read_text()


def faults(page, axe: str) -> list[str]:
    page.browser.execute_script(axe)
    found = page.browser.execute_async_script("const done = arguments[0]; axe.run().then(done)")
    return [
        f"{fault['id']}: {node['target']} {node['html'][:150]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_axe_finds_no_serious_fault(page, axe: str, scheme: str, width: int) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for tab in TABS:
            page.tab(tab)
            if tab == "Policy":
                page.wait(lambda: page.find(".cm-content[aria-label]"), "the editor")
            assert not faults(page, axe), tab
            assert page.browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), tab
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


SHOWN = """
    const of = (e) => e.getAttribute("aria-label") || e.innerText.trim();
    const shown = Array.from(document.querySelectorAll(".page button:enabled, .page [role=slider], .page input"));
    return shown.filter((e) => e.getClientRects().length && e.tabIndex >= 0).map(of);
"""
HAS = """
    const has = document.activeElement, whole = has.closest("[role=slider]") || has;
    const name = whole.getAttribute("aria-label") || whole.innerText.trim();
    return [name, has.matches(":focus-visible"), has.classList.contains("cm-content")];
"""


@pytest.mark.parametrize("tab", TABS)
def test_everything_is_reached_by_the_tab_key(page, tab: str) -> None:
    """Each button, field and slider that is shown has the focus once, and is seen to have it."""
    from selenium.webdriver.common.keys import Keys

    page.tab(tab)
    page.wait(lambda: page.browser.execute_script(SHOWN), "controls")
    page.browser.execute_script("document.activeElement.blur()")
    reached: set[str] = set()
    for _ in range(150):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        name, seen, editor = page.browser.execute_script(HAS)
        assert seen, name
        reached.add(name)
        if editor:
            page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        missed = set(page.browser.execute_script(SHOWN)) - reached - {""}
        if not missed:
            return
    raise AssertionError(f"not reached: {missed}")
