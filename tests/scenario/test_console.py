"""A person looks at the console: what answers, its releases, its traces and where they come from."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import MARKS, ROOT, looking, playwright, section, serving, shoot

TRACE = re.compile("^Trace [0-9a-f]+$")

pytestmark = MARKS


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    data = json.dumps(body).encode()
    asked = urllib.request.Request(f"{url}/api/v1/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answered:
        return json.load(answered)


def register(url: str, ref: str, manifest: dict[str, Any], **parents: list[str]) -> None:
    kind, _, name = ref.partition("/")
    links = [{"role": role, "ref": parent} for role, refs in parents.items() for parent in refs]
    post(url, "revisions", {"kind": kind, "name": name, "manifest": manifest, "parents": links})


def dataset(rows: int) -> dict[str, Any]:
    schema = [{"name": "distance", "type": "int64"}]
    return {"files": {}, "rows": rows, "schema": schema, "row_digest": f"sha256:{rows:064x}"}


def model(probability: float) -> dict[str, Any]:
    facts = {"format": "constant", "task": "binary", "label": "late", "inputs": [{"name": "distance"}]}
    return {**facts, "files": {}, "params": {"value": probability}}


def tell_story(url: str) -> None:
    """Two endpoints with a canary, a model made from many datasets, more traces than a page holds, one of them failed."""
    months = [f"dataset/nycflights13/month-{month}" for month in range(1, 9)]
    for number, month in enumerate(months):
        register(url, month, dataset(1000 + number))
    register(url, "dataset/flight-delay/training", dataset(9000), source=months)
    for probability in (0.21, 0.24):
        register(url, "model/flight-delay", model(probability), trained_on=["dataset/flight-delay/training"])
    pins = {"model": "model/flight-delay@1"}
    newer = {"model": "model/flight-delay@2"}
    post(url, "endpoints/flight-delay/releases", {"type": "predict", "pins": pins, "stage": "live", "reason": "first"})
    post(url, "endpoints/ops/tail-risk/releases", {"type": "predict", "pins": pins, "stage": "live"})
    canary = {"type": "predict", "pins": newer, "stage": "canary", "weight": 0.1, "reason": "adds August"}
    post(url, "endpoints/flight-delay/releases", canary)
    for _ in range(3):
        post(url, "endpoints/ops/tail-risk/predict", {"rows": [{"distance": 400}]})
    for distance in range(60):
        post(url, "endpoints/flight-delay/predict", {"rows": [{"distance": distance}] * (1 + distance % 7)})
    with pytest.raises(urllib.error.HTTPError):
        post(url, "endpoints/flight-delay/predict", {"rows": [{"altitude": 1}]})


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("home")) as url:
        tell_story(url)
        yield url


def why_graph(page: Any) -> Any:
    return page.get_by_role("group", name="Why this answer, as a graph")


def open_newest_trace(page: Any, status: str = "ok") -> None:
    """Of flight-delay: which of its releases answered depends on where the principal falls."""
    page.goto(f"/traces?endpoint=flight-delay&status={status}")
    page.get_by_role("link", name=TRACE).first.click()
    section(page, "Spans").wait_for()


def test_endpoints_are_listed_with_what_answers_now(page: Any) -> None:
    page.goto("/")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="flight-delay", exact=True))
    playwright.expect(row).to_contain_text("predict")
    playwright.expect(row).to_contain_text("live")
    playwright.expect(row.get_by_role("link", name="flight-delay@1")).to_be_visible()
    playwright.expect(row).to_contain_text("canary 10 %")
    shoot(page, "endpoints")


def test_an_endpoint_shows_its_traffic_releases_history_and_latency(page: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="flight-delay", exact=True).click()
    playwright.expect(section(page, "Traffic")).to_contain_text("90 %")
    playwright.expect(section(page, "Releases").get_by_role("link", name="model/flight-delay@2")).to_be_visible()
    playwright.expect(section(page, "History")).to_contain_text("release to canary, 10 %")
    playwright.expect(section(page, "History")).to_contain_text("adds August")
    chart = section(page, "Recent traces").get_by_role("img", name="Latency of")
    playwright.expect(chart.locator("canvas")).to_be_visible()
    shoot(page, "endpoint")


def test_an_endpoint_with_a_slash_in_its_name_has_a_page(page: Any) -> None:
    page.goto("/endpoints/ops/tail-risk")
    playwright.expect(section(page, "Traffic").get_by_role("link", name="ops/tail-risk@1")).to_be_visible()


def test_releases_of_every_endpoint_are_on_one_page(page: Any) -> None:
    page.goto("/releases")
    for release in ("flight-delay@1", "flight-delay@2", "ops/tail-risk@1"):
        playwright.expect(page.get_by_role("link", name=release, exact=True)).to_be_visible()
    shoot(page, "releases")


def test_traces_are_filtered_and_the_filter_survives_a_reload(page: Any) -> None:
    page.goto("/traces")
    page.get_by_role("combobox", name="Endpoint").click()
    page.get_by_role("option", name="ops/tail-risk").click()
    page.wait_for_url("**/traces?endpoint=ops*tail-risk")
    page.reload()
    playwright.expect(page.get_by_role("link", name=TRACE)).to_have_count(3)
    shoot(page, "traces")


def test_older_traces_are_on_the_next_page(page: Any) -> None:
    page.goto("/traces")
    traces = page.get_by_role("link", name=TRACE)
    playwright.expect(traces).to_have_count(50)
    first = {link.get_attribute("href") for link in traces.all()}
    page.get_by_role("button", name="Older").click()
    playwright.expect(traces).to_have_count(14)
    assert first.isdisjoint({link.get_attribute("href") for link in traces.all()})
    page.get_by_role("button", name="Newest").click()
    playwright.expect(traces).to_have_count(50)


def test_a_trace_shows_its_spans_and_what_each_recorded(page: Any) -> None:
    open_newest_trace(page)
    page.get_by_role("treeitem", name="predict flight-delay").click()
    playwright.expect(section(page, "Selected span")).to_contain_text("twinloop.release")


def test_a_failed_request_says_why_in_its_trace(page: Any) -> None:
    open_newest_trace(page, "error")
    playwright.expect(section(page, "Selected span").get_by_role("alert")).to_contain_text("There is no input")
    shoot(page, "error")


def test_spans_are_walked_and_folded_with_the_keyboard(page: Any) -> None:
    open_newest_trace(page)
    spans = page.get_by_role("treeitem")
    before = spans.count()
    assert before > 1
    spans.first.focus()
    page.keyboard.press("ArrowDown")
    playwright.expect(spans.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    playwright.expect(spans).to_have_count(1)
    page.keyboard.press("ArrowRight")
    playwright.expect(spans).to_have_count(before)


def test_why_draws_the_ancestry_of_an_answer_as_a_graph(page: Any) -> None:
    open_newest_trace(page)
    for kind in ("trace", "release", "model", "dataset"):
        playwright.expect(why_graph(page).locator(".graph-kind", has_text=kind).first).to_be_visible()
    why_graph(page).get_by_label(re.compile("^model flight-delay@")).click()
    details = section(page, "Node details")
    playwright.expect(details).to_contain_text("trained on: flight-delay/training@1")
    shoot(page, "why")
    details.get_by_role("link", name="Open revision").click()
    section(page, "Manifest").wait_for()
    shoot(page, "revision")


def test_a_node_of_the_graph_is_opened_with_the_keyboard(page: Any) -> None:
    open_newest_trace(page)
    why_graph(page).get_by_label(re.compile("^release flight-delay@")).focus()
    page.keyboard.press("Enter")
    playwright.expect(section(page, "Node details")).to_contain_text("model: flight-delay@")


def test_a_crowd_of_datasets_is_one_node_that_lists_them(page: Any) -> None:
    open_newest_trace(page)
    why_graph(page).get_by_label("8 × dataset").click()
    playwright.expect(section(page, "Node details").get_by_role("link")).to_have_count(8)


def test_why_is_also_a_list(page: Any) -> None:
    open_newest_trace(page)
    section(page, "Why this answer").get_by_text("List", exact=True).click()
    items = section(page, "Why this answer").get_by_role("listitem")
    playwright.expect(items.filter(has_text="nycflights13/month-3@1")).to_be_visible()


def test_impact_of_a_dataset_is_on_its_revision_page(page: Any) -> None:
    page.goto("/revisions/dataset/nycflights13/month-3@1")
    playwright.expect(section(page, "What it touched")).to_contain_text("3 releases and 64 traces")
    page.locator(".graph-node").first.wait_for()
    shoot(page, "impact")


def test_a_new_home_says_what_to_run(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as url, looking(browser, url) as page:
        page.goto("/")
        playwright.expect(page.get_by_text("twinloop apply")).to_be_visible()
        shoot(page, "empty")
        page.goto("/traces")
        playwright.expect(page.get_by_text("No trace yet")).to_be_visible()


def test_an_unknown_trace_is_an_error_with_a_way_out(page: Any) -> None:
    page.goto(f"/traces/{'0' * 32}")
    playwright.expect(page.get_by_role("alert")).to_contain_text("Not here")


def test_a_server_that_went_away_is_said_and_old_data_kept(page: Any) -> None:
    page.goto("/")
    page.get_by_role("link", name="flight-delay", exact=True).wait_for()
    page.route("**/api/**", lambda route: route.abort())
    playwright.expect(page.get_by_role("alert")).to_contain_text("twinloop up", timeout=20_000)
    playwright.expect(page.get_by_role("link", name="flight-delay", exact=True)).to_be_visible()


def test_the_dark_theme_survives_a_reload(page: Any) -> None:
    page.goto("/")
    page.get_by_role("button", name="Switch to the dark theme").click()
    page.reload()
    playwright.expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.get_by_role("link", name="flight-delay", exact=True).click()
    section(page, "Recent traces").locator("canvas").wait_for()
    shoot(page, "endpoint-dark")
    open_newest_trace(page)
    page.locator(".graph-node").first.wait_for()
    shoot(page, "why-dark")


def test_the_lock_file_names_no_place_of_download() -> None:
    assert '"resolved"' not in (ROOT / "web/package-lock.json").read_text()
