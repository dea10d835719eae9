"""The page as a person has it: tabs, buttons, fields by what they are called."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.keys import Keys

PATIENCE = 90.0  # seconds, on a busy machine

_FIND = """
    const [css, text] = arguments;
    const shown = (e) => e.getClientRects().length && getComputedStyle(e).visibility !== "hidden";
    const called = (e) => text === null || [e.innerText.trim(), e.getAttribute("aria-label")].includes(text);
    return Array.from(document.querySelectorAll(css)).filter((e) => shown(e) && called(e));
"""


class Page:
    def __init__(self, browser: Any, address: str) -> None:
        self.browser = browser
        browser.set_window_size(1400, 1000)
        browser.get(address)
        self.wait(lambda: self.find("[role=tab]"), "tabs")
        browser.get_log("browser")  # what the page before complained of when its server ended

    def wait(self, what: Callable[[], Any], name: str, seconds: float = PATIENCE) -> Any:
        """The first value of ``what`` that is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := what():
                    return found
            except (StaleElementReferenceException, IndexError):
                pass
            time.sleep(0.2)
        raise AssertionError(f"{name}: not in {seconds:.0f} s; the page says {self.text()[:1500]!r}")

    def find(self, css: str, text: str | None = None) -> list[Any]:
        """Elements that are shown; ``text``: what they say, or are called."""
        return self.browser.execute_script(_FIND, css, text)

    def text(self) -> str:
        return self.browser.execute_script("return document.body.innerText")

    def wait_for(self, text: str, seconds: float = PATIENCE) -> None:
        self.wait(lambda: text in self.text(), text, seconds)

    def tab(self, name: str) -> None:
        self.wait(lambda: self._click(self.find("[role=tab]", name)[0]), name)
        self.wait(lambda: self.find("[role=tab][aria-selected=true]", name), f"{name} is chosen")

    def button(self, name: str) -> Any:
        return self.wait(lambda: self.find("button:enabled", name), f"button {name}")[0]

    def press(self, name: str) -> None:
        self.wait(lambda: self._click(self.button(name)), f"press {name}")

    @staticmethod
    def _click(element: Any) -> bool:
        try:
            element.click()
        except StaleElementReferenceException:
            raise
        except WebDriverException:
            return False
        return True

    def field(self, label: str) -> Any:
        return self.wait(lambda: self.find(f"[aria-label='{label}']"), label)[0]

    def fill(self, label: str, text: str) -> None:
        field = self.field(label)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text, Keys.TAB)

    def choose(self, label: str, text: str) -> None:
        """An entry of a list."""
        script = """
            const named = Array.from(document.querySelectorAll(`[aria-label='${arguments[0]}']`));
            return named.map((e) => e.closest('.q-select')).find((e) => e && e.offsetParent);
        """
        field = self.wait(lambda: self.browser.execute_script(script, label), label)
        self.wait(lambda: self._click(field), f"open {label}")
        self.wait(lambda: self._click(self.find(".q-item", text)[0]), f"{text} in {label}")

    def write(self, text: str) -> None:
        """Put a text into the editor, as pasting it would."""
        script = """
            const view = document.querySelector('.cm-content').cmView.view;
            view.dispatch({changes: {from: 0, to: view.state.doc.length, insert: arguments[0]}});
        """
        self.wait(lambda: self.find(".cm-content"), "editor")
        self.browser.execute_script(script, text)

    def facts(self) -> dict[str, str]:
        """Names and values beside the signal."""
        script = "return Array.from(document.querySelectorAll('.facts > *'), e => e.textContent)"
        texts = self.browser.execute_script(script)
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def said(self) -> str:
        """What a screen reader has been told of the signal."""
        return self.browser.execute_script("return document.querySelector('[aria-live=polite]').textContent")

    def errors(self) -> list[str]:
        """What the browser complained about since it was asked last."""
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
