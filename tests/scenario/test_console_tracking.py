"""A person looks at the console: experiments, runs side by side, their files, and the registry with its history."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.browsing import MARKS, looking, playwright, section, serving, shoot
from tests.recording import QUIET, spooling

pytestmark = MARKS


def picture(width: int = 60, height: int = 40) -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x2f\x80\xb0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def train(depth: int) -> str:
    params = {"depth": depth, "model": "tree", "a.b": "<b>bold</b>"}
    with tl.run(f"tree {depth}", experiment="churn & more", params=params, tags={"team": "ops"}, **QUIET) as run:
        for step in range(50):
            run.log({"val/loss": math.exp(-step / 20) * depth, "lr": 0.1}, step=step)
        run.log(auc=0.7 + depth / 100)
        run.artifact(b'{"rows": 28114}', "report/metrics.json")
        run.artifact(b"line\n" * 100_000, "long.txt")
        run.artifact(b"", "empty.txt")
        run.artifact(picture(), "plots/roc.png")
        run.artifact(b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.", "model.pkl")
        if depth == 3:
            with tl.run("fold 1", **QUIET) as child:
                child.log(loss=1.0)
        return run.id


def register(client: tl.Client, run: str) -> None:
    """Two versions of a prompt, and of a model that a run made: one has an alias, one a stage, and both need approval."""
    for word in ("kindly", "briefly"):
        text = f"You are support.\nAnswer {word}.\nQuestion: {{{{question}}}}\n" + "Stay with the documents.\n" * 5
        client.call(
            "POST",
            "/api/v1/revisions",
            {"kind": "prompt", "name": "support", "manifest": {"format": "text", "template": text}},
        )
    manifest = {"format": "constant", "task": "binary", "label": "late", "inputs": [{"name": "x"}], "files": {}}
    for value in (0.1, 0.2):
        made = {"kind": "model", "name": "churn", "manifest": {**manifest, "params": {"value": value}}, "run_id": run}
        client.call("POST", "/api/v1/revisions", made)
    client.call("PUT", "/api/v1/aliases", {"kind": "model", "name": "churn", "alias": "champion", "number": 1})
    client.call("PATCH", "/api/v1/notes/model/churn@2", {"stage": "Staging", "description": "More trees."})
    facts = {"description": "Who will leave.", "tags": {"owner": "ann"}, "approvals": 1}
    client.call("PATCH", "/api/v1/cards/model/churn", facts)


@tl.step
def count(month: int) -> int:
    return month * 1000


@tl.step
def check(rows: int) -> int:
    if rows > 3000:
        raise ValueError(f"{rows} rows are too many")
    return rows


@tl.pipeline
def monthly(month: int) -> int:
    return check(count(month))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The server's URL, and the ids of three runs."""
    folder = tmp_path_factory.mktemp("tracking")
    with serving(folder / "home") as url:
        with pytest.MonkeyPatch.context() as patch, spooling(patch, folder, url, exit_wait_s=30.0):
            runs = [train(depth) for depth in (3, 4, 5)]
        with tl.connect(url) as client:
            register(client, runs[0])
        yield url, runs


@pytest.fixture(scope="module")
def base_url(story: tuple[str, list[str]]) -> str:
    return story[0]


@pytest.fixture(scope="module")
def runs(story: tuple[str, list[str]]) -> list[str]:
    return story[1]


def open_experiment(page: Any) -> None:
    page.goto("/experiments")
    page.get_by_role("link", name="churn & more").click()
    page.get_by_role("row").filter(has_text="tree 5").wait_for()


def names(page: Any) -> list[str]:
    return [link.inner_text() for link in page.locator("tbody").get_by_role("link").all()]


def test_experiments_are_found_by_a_part_of_their_name(page: Any) -> None:
    page.goto("/experiments")
    page.get_by_role("link", name="Default").wait_for()
    page.get_by_label("Name contains").fill("& MORE")
    page.get_by_role("button", name="Search").click()
    playwright.expect(page.get_by_role("link", name="Default")).to_have_count(0)
    playwright.expect(page.get_by_role("link", name="churn & more")).to_be_visible()
    page.get_by_label("Name contains").fill("it's none")
    page.get_by_role("button", name="Search").click()
    playwright.expect(page.get_by_text("No experiment fits")).to_be_visible()
    shoot(page, "experiments")


def test_runs_are_filtered_and_ordered_and_the_choice_survives_a_reload(page: Any) -> None:
    open_experiment(page)
    shoot(page, "experiment")
    row = page.get_by_role("row").filter(has_text="tree 5")
    playwright.expect(row).to_contain_text("finished")
    playwright.expect(row).to_contain_text("0.75")
    playwright.expect(page.get_by_role("row").filter(has_text="fold 1")).to_contain_text("child")
    page.get_by_role("button", name="auc").click()
    playwright.expect(page.get_by_role("columnheader", name="auc ↓")).to_have_attribute("aria-sort", "descending")
    playwright.expect(page.locator("tbody").get_by_role("link").first).to_have_text("tree 5")
    page.get_by_role("button", name="auc ↓").click()
    playwright.expect(page.get_by_role("columnheader", name="auc ↑")).to_be_visible()
    playwright.expect(page.locator("tbody").get_by_role("link").first).to_have_text("tree 3")
    page.get_by_label("Filter").fill("params.`a.b` = '<b>bold</b>' AND metrics.auc > 0.735")
    page.get_by_role("button", name="Search").click()
    playwright.expect(page.get_by_role("link", name="tree 3")).to_have_count(0)
    assert names(page) == ["tree 4", "tree 5"]
    page.reload()
    page.get_by_role("link", name="tree 5").wait_for()
    assert names(page) == ["tree 4", "tree 5"]


def test_a_filter_that_cannot_be_read_is_explained_where_it_was_typed(page: Any) -> None:
    open_experiment(page)
    page.get_by_label("Filter").fill("metrics.auc LIKE 'a'")
    page.get_by_role("button", name="Search").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("LIKE")
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="tree 3").wait_for()


def test_columns_are_chosen_and_kept(page: Any) -> None:
    open_experiment(page)
    playwright.expect(page.get_by_role("columnheader", name="depth")).to_be_visible()
    chosen = page.get_by_role("combobox", name="Columns")
    for _ in range(6):  # of the seven that are shown at first; each takes the last away
        chosen.press("Backspace")
    playwright.expect(page.get_by_role("columnheader", name="depth")).to_have_count(0)
    chosen.fill("loss")
    page.get_by_role("option", name="metrics.val/loss").click()
    playwright.expect(page.get_by_role("columnheader", name="val/loss")).to_be_visible()
    page.reload()
    page.get_by_role("row").filter(has_text="tree 5").wait_for()
    playwright.expect(page.get_by_role("columnheader", name="val/loss")).to_be_visible()


def test_runs_are_compared_side_by_side_with_their_courses(page: Any) -> None:
    open_experiment(page)
    playwright.expect(page.get_by_role("button", name="Compare runs")).to_be_disabled()
    for name in ("tree 4", "tree 5"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare 2 runs").click()
    params = section(page, "Params")
    playwright.expect(params.get_by_role("row").filter(has_text="depth")).to_have_attribute("data-differs", "true")
    playwright.expect(params.get_by_role("row").filter(has_text="model")).not_to_have_attribute("data-differs", "true")
    playwright.expect(params).to_contain_text("<b>bold</b>")
    charts = section(page, "Courses of metrics")
    charts.locator("canvas").first.wait_for()
    drawn = charts.get_by_role("img", name=re.compile("^val.loss by step: tree 5 from 5 to .*; tree 4 from 4 to"))
    other = charts.get_by_role("img", name=re.compile("^val.loss by step: tree 4 from 4 to .*; tree 5 from 5 to"))
    playwright.expect(drawn.or_(other)).to_be_visible()
    shoot(page, "compare")
    page.get_by_label("Only what differs").check(force=True)
    playwright.expect(params.get_by_role("row").filter(has_text="model")).to_have_count(0)
    charts.get_by_text("Time", exact=True).click()
    playwright.expect(charts.get_by_role("img", name=re.compile("^val.loss by time"))).to_be_visible()


def test_a_run_shows_what_it_logged_and_the_runs_within_it(page: Any, runs: list[str]) -> None:
    page.goto(f"/runs/{runs[0]}")
    metrics = section(page, "Metrics")
    playwright.expect(metrics).to_contain_text("0.73")
    metrics.get_by_role("img", name=re.compile("^val.loss by step: tree 3 from 3 to")).wait_for()
    playwright.expect(metrics.get_by_role("figure", name="Metric auc")).to_have_count(0)
    playwright.expect(section(page, "Params")).to_contain_text("<b>bold</b>")
    playwright.expect(section(page, "Tags")).to_contain_text("ops")
    shoot(page, "run")
    section(page, "What it touched").locator(".graph-node").first.wait_for()
    section(page, "Runs within it").get_by_role("link", name="fold 1").click()
    page.get_by_role("heading", name="fold 1").wait_for()
    playwright.expect(page.get_by_role("main")).to_contain_text("Part of")


def test_files_of_a_run_are_browsed_shown_and_downloaded(page: Any, runs: list[str], tmp_path: Path) -> None:
    page.goto(f"/runs/{runs[0]}")
    files = section(page, "Files")
    playwright.expect(files.get_by_role("row").filter(has_text="model.pkl")).to_contain_text("unsafe: pickle")
    files.get_by_role("button", name="model.pkl").click()
    playwright.expect(page.get_by_role("region", name="Preview of model.pkl")).to_contain_text("It is no text")
    files.get_by_role("button", name="empty.txt").click()
    playwright.expect(page.get_by_role("region", name="Preview of empty.txt")).to_contain_text("It is empty")
    files.get_by_role("button", name="long.txt").click()
    preview = page.get_by_role("region", name="Preview of long.txt")
    playwright.expect(preview).to_contain_text("This is its beginning: 256 KiB of 488 KiB")
    with page.expect_download() as caught:
        files.get_by_label("Download long.txt").click()
    caught.value.save_as(tmp_path / "got.txt")
    assert (tmp_path / "got.txt").read_bytes() == b"line\n" * 100_000
    files.get_by_role("button", name="plots/").click()
    files.get_by_role("button", name="roc.png").click()
    shown = page.get_by_role("region", name="Preview of roc.png").get_by_role("img")
    page.wait_for_function("image => image.naturalWidth === 60", arg=shown.element_handle())
    files.get_by_role("button", name="files").click()
    files.get_by_role("button", name="report/").click()
    files.get_by_role("button", name="metrics.json").click()
    playwright.expect(page.get_by_role("region", name="Preview of metrics.json")).to_contain_text('"rows": 28114')
    shoot(page, "files")


def test_a_server_with_keys_asks_for_one_and_its_files_are_downloaded_with_it(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path / "home") as url:
        with tl.connect(url) as client:
            secret = client.call("POST", "/api/v1/keys", {"name": "ann", "role": "admin"})["secret"]
        with pytest.MonkeyPatch.context() as patch, spooling(patch, tmp_path, url, exit_wait_s=30.0):
            patch.setenv("TWINLOOP_KEY", secret)
            run = train(4)
        with looking(browser, url) as page:
            page.goto(f"/runs/{run}")
            page.get_by_label("API key").first.fill("tl-wrong")
            page.get_by_role("button", name="Use this key").click()
            page.get_by_label("API key").first.fill(secret)
            page.get_by_role("button", name="Use this key").click()
            with page.expect_download() as caught:
                section(page, "Files").get_by_label("Download long.txt").click()
            caught.value.save_as(tmp_path / "got.txt")
            assert (tmp_path / "got.txt").read_bytes() == b"line\n" * 100_000
            assert secret not in page.content()


def test_a_card_shows_its_versions_what_changed_and_its_history(page: Any) -> None:
    page.goto("/registry?kind=model")
    row = page.get_by_role("row").filter(has_text="churn")
    playwright.expect(row).to_contain_text("champion @1")
    playwright.expect(row).to_contain_text("Staging @2")
    shoot(page, "registry")
    row.get_by_role("link", name="churn").click()
    playwright.expect(page.get_by_role("main")).to_contain_text("Who will leave.")
    playwright.expect(page.get_by_role("main")).to_contain_text("1 approval")
    playwright.expect(section(page, "What changed").get_by_role("row").filter(has_text="params.value")).to_contain_text(
        "0.2"
    )
    history = section(page, "History")
    playwright.expect(history).to_contain_text("champion")
    shoot(page, "card")
    section(page, "Versions").get_by_role("link", name="@2").click()
    playwright.expect(section(page, "Notes")).to_contain_text("More trees.")
    playwright.expect(section(page, "Approvals")).to_contain_text("waits for approval")
    shoot(page, "version")
    page.get_by_role("link", name="churn", exact=True).click()
    section(page, "History").wait_for()


def test_texts_that_changed_are_shown_line_by_line(page: Any) -> None:
    page.goto("/registry/prompt/support")
    changed = section(page, "What changed")
    playwright.expect(changed.locator(".diff-removed").filter(has_text="-Answer kindly.")).to_be_visible()
    playwright.expect(changed.locator(".diff-added").filter(has_text="+Answer briefly.")).to_be_visible()
    shoot(page, "diff")


def test_a_new_home_says_how_to_begin(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as url, looking(browser, url) as page:
        page.goto("/experiments")
        page.get_by_role("link", name="Default").click()
        playwright.expect(page.get_by_text("export MLFLOW_TRACKING_URI=http://127.0.0.1:")).to_be_visible()
        page.goto("/registry")
        playwright.expect(page.get_by_text("Nothing registered yet")).to_be_visible()


def test_the_run_of_a_pipeline_shows_its_steps_and_why_one_failed(page: Any, base_url: str) -> None:
    with tl.connect(base_url) as client:
        done = client.pipelines.run(monthly, {"month": 3}).run_id
        with pytest.raises(tl.TwinloopError):
            client.pipelines.run(monthly, {"month": 4})
        failed = client.pipelines.list(state="failed")[0].id
    page.goto(f"/runs/{done}")
    page.get_by_role("heading", name="monthly").wait_for()
    playwright.expect(section(page, "Steps").get_by_text("finished")).to_have_count(2)
    page.goto(f"/runs/{failed}")
    row = section(page, "Steps").get_by_role("row").filter(has_text="check")
    playwright.expect(row).to_contain_text("ValueError: 4000 rows are too many")
    shoot(page, "pipeline-run")


def test_a_trace_shows_what_people_say_of_it(page: Any, base_url: str) -> None:
    id = "tr-" + "5" * 32
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    times = {"request_time": "2026-01-01T00:00:00Z", "execution_duration": "0.1s", "state": "OK"}
    info = {"trace_id": id, "trace_location": place, **times, "request_preview": "<b>Why?</b>", "tags": {"team": "ops"}}
    said = {"assessment_name": "right", "feedback": {"value": True}, "rationale": "It is so."}
    with tl.connect(base_url) as client:
        client.call("POST", "/api/3.0/mlflow/traces", {"trace": {"trace_info": info}})
        for source in (
            {"source_type": "HUMAN", "source_id": "ann"},
            {"source_type": "LLM_JUDGE", "source_id": "small"},
        ):
            path = f"/api/3.0/mlflow/traces/{id}/assessments"
            client.call("POST", path, {"assessment": {**said, "source": source}})
    page.goto(f"/traces/{id}")
    assessments = section(page, "Assessments")
    playwright.expect(assessments.get_by_role("row").filter(has_text="ann (human)")).to_contain_text("true")
    playwright.expect(assessments).to_contain_text("small (llm judge)")
    playwright.expect(section(page, "Request and response")).to_contain_text("<b>Why?</b>")
    playwright.expect(section(page, "Tags")).to_contain_text("ops")
    playwright.expect(section(page, "Spans")).to_contain_text("No span of it has come yet.")
    shoot(page, "assessments")


def test_a_run_that_nobody_knows_is_an_error_with_a_way_out(page: Any) -> None:
    page.goto(f"/runs/{'0' * 32}")
    playwright.expect(page.get_by_role("alert")).to_contain_text("Not here")
