"""Every tab by axe-core, light and dark, wide and narrow: no serious fault. All of it without a mouse."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from ditmos.ui.visit import TABS

pytest.importorskip("selenium", reason="selenium is not installed")
pytest.importorskip("nicegui", reason="nicegui is not installed")

pytestmark = pytest.mark.timeout(900)  # a firmware may have to be built, on a busy machine


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
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
