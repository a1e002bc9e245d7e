"""A person at the console: headless Chromium against a real server, and what tests of pages share.

Screenshots of every page are left in ``$TMPDIR/twinloop-console`` for somebody to look at.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the console tests need `pip install playwright`")
WAIT_MS = 20_000
"""How long a page may take to show something before a test gives up; a busy machine draws slowly."""
playwright.expect.set_options(timeout=WAIT_MS)

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "src/twinloop/server/static/index.html"
SHOTS = Path(os.environ.get("TMPDIR", tempfile.gettempdir())) / "twinloop-console"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
# Nothing but the tested server may be asked, not even for updates or component lists.
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not STATIC.exists(), reason="the console is not built (make web)"),
]


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "twinloop", "up", "--home", str(home), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert address is not None, f"twinloop up said {said!r}"
            wait_until_ready(address.group())
            yield address.group()
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(url: str) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=5):
            return
        time.sleep(0.1)
    pytest.fail(f"{url} is not ready after ten seconds")


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@contextlib.contextmanager
def looking(browser: Any, base_url: str) -> Iterator[Any]:
    """A page that must not raise, complain in the browser's console, or ask any other host."""
    context = browser.new_context(base_url=base_url, viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: said.type == "error" and problems.append(said.text))
    own = (base_url, "data:", "blob:")
    opened.on("request", lambda asked: asked.url.startswith(own) or problems.append(f"asked {asked.url}"))
    yield opened
    context.close()
    # A refused or missing answer is the browser's own message; the pages say what it means.
    assert [problem for problem in problems if not problem.startswith("Failed to load resource")] == []


def section(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def shoot(page: Any, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
