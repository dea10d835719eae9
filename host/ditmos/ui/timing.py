"""What `ditmos bench ui` measures, with a browser without a window and a simulated board.

From an edit to the first answer under the new policy; the processor's time of a live view at 50 windows a second; the
first page; how long the page stands still at most, with sound at 16 kHz and with 60 channels.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from ditmos.datasets import load
from ditmos.errors import DitmosError
from ditmos.ui.desk import Desk
from ditmos.ui.example import DATA, MODEL, write_example, write_sound, write_wide
from ditmos.ui.folder import Folder
from ditmos.ui.live_board import LiveBoard
from ditmos.ui.openers import Simulated

EDIT, VIEW, FIRST, STILL = 1.0, 0.5, 2.0, 0.5  # bars: seconds, share of one core, seconds
WINDOWS = 50  # a second, of the live view
_PATIENCE = 60.0  # seconds that anything may take
_POLICY = "def policy(model, window):\n    model.select(window)\n    model.classify({0})\n    return {1}, {0}\n"

# The longest time between two pictures that the browser could draw.
_WATCH = """
    let last = performance.now();
    window.longestStill = 0;
    const next = (now) => {
      window.longestStill = Math.max(window.longestStill, now - last);
      last = now;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
"""


def measure(edits: int, seconds: float, report: Callable[[str], None]) -> dict[str, Any]:
    """All figures, and which bars they keep.

    Raises:
        DitmosError: no browser, no simulated board.
    """
    figures: dict[str, Any] = {}
    for name, write in (("motion", write_example), ("sound", write_sound), ("wide", write_wide)):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write(folder)
            if name == "motion":
                report("edits")
                edit = _edits(folder, edits)
                figures["edit_s"] = {"median": statistics.median(edit), "worst": max(edit), "all": edit}
            report(f"the page, {name}")
            figures[name] = _page(folder, seconds, WINDOWS if name == "motion" else None)
    page = figures["motion"]
    bars = {
        f"from edit to first answer, the slowest of {edits}: under {EDIT:g} s": figures["edit_s"]["worst"] < EDIT,
        f"live view at {WINDOWS} windows a second: under {VIEW:g} of a core": page["server_cores"] < VIEW,
        f"first page: under {FIRST:g} s": page["first_page_s"] < FIRST,
    }
    for name, what in (("sound", "sound at 16 kHz"), ("wide", "60 channels")):
        bars[f"{what}: the page never stands still for {STILL:g} s"] = figures[name]["longest_still_s"] < STILL
    return figures | {"load": os.getloadavg()[0], "bars": bars}


def _edits(folder: Path, count: int) -> list[float]:
    """Seconds from asking for a policy to its first answer, each time."""
    desk = Desk(Folder(folder), [], folder / MODEL, folder / DATA, "all")
    board = LiveBoard("simulated", Simulated(folder / MODEL), desk.supply()).start()
    try:
        _wait(lambda: board.history is not None and board.history.count > 5, f"answers ({board.message})")
        found = []
        for i in range(count):
            number = desk.versions.keep(_POLICY.format(i % 6, i % 30))
            began = time.monotonic()
            board.apply(desk.versions.policy(number), number).result(_PATIENCE)
            found.append(round(time.monotonic() - began, 3))
        return found
    finally:
        board.close()
        desk.close()


def _page(folder: Path, seconds: float, windows: int | None) -> dict[str, float]:
    """Of a server as a process of its own: its first page, and the processor's time that it takes. ``windows`` a second
    instead of the usual ones."""
    command = [sys.executable, "-m", "ditmos", "ui", "--sim", "--no-browser", "--folder", str(folder)]
    command += ["--model", str(folder / MODEL), "--data", str(folder / DATA), "--part", "all"]
    if windows:
        hop = 2
        command += ["--hop", str(hop), "--rate", str(max(load(folder / DATA).fs, hop * windows))]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout
    try:
        address = server.stdout.readline().strip()
        with browser() as page:
            began = time.monotonic()
            page.get(address)
            _wait(lambda: page.find_elements(By.CSS_SELECTOR, ".scope canvas"), "the page")
            first = time.monotonic() - began
            _wait(lambda: _facts(page).get("answers"), "answers")
            time.sleep(5)
            page.execute_script(_WATCH)
            before, began = _used(server.pid), time.monotonic()
            counted = _answers(page)
            time.sleep(seconds)
            spent = time.monotonic() - began
            cores = (_used(server.pid) - before) / spent
            rate = (_answers(page) - counted) / spent
            still = page.execute_script("return window.longestStill / 1000")
    finally:
        server.terminate()
        server.wait(_PATIENCE)
    return {
        "first_page_s": round(first, 2),
        "server_cores": round(cores, 3),
        "windows_per_s": round(rate, 1),
        "longest_still_s": round(still, 3),
    }


@contextmanager
def browser() -> Iterator[WebDriver]:
    """Chromium of the system, without a window.

    Raises:
        DitmosError: there is none.
    """
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not chromium or not driver:
        raise DitmosError("no browser: this takes chromium and chromedriver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield made
    finally:
        made.quit()


def _facts(page: WebDriver) -> dict[str, str]:
    texts = page.execute_script("return Array.from(document.querySelectorAll('.facts > *'), e => e.textContent)")
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _answers(page: WebDriver) -> int:
    return int(_facts(page)["answers"].replace(",", ""))


def _used(pid: int) -> float:
    """Seconds of the processor that a process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait(what: Callable[[], Any], name: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not what():
        if time.monotonic() > end:
            raise DitmosError(f"{name}: not in {_PATIENCE:.0f} s")
        time.sleep(0.02)
