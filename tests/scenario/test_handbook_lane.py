"""The handbook's story over real engines: index, ask, decline, change one document, ask again; and what why says of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import twinloop as tl

ROOT = Path(__file__).parent.parent.parent
HANDBOOK = ROOT / "examples" / "handbook"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def story() -> ModuleType:
    spec = spec_from_file_location("handbook_story", HANDBOOK / "story.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tl.Client]:
    with tl.connect(home=tmp_path_factory.mktemp("handbook") / "home") as opened:
        yield opened


@pytest.fixture(scope="module")
def told(story: ModuleType, client: tl.Client) -> Any:
    lines: list[str] = []
    return story.tell(client, ROOT / "docs", lines.append)


def answer_of(client: tl.Client, trace: str) -> dict[str, Any]:
    root = next(span for span in client.traces.get(trace)["spans"] if span["parent_id"] is None)
    attributes: dict[str, Any] = root["attributes"]
    return attributes


def test_three_questions_are_answered_and_the_one_without_an_answer_is_declined(client: tl.Client, told: Any) -> None:
    questions = import_module("questions")
    for question, trace in zip(questions.ANSWERABLE, told.answered, strict=False):
        attributes = answer_of(client, trace)
        assert attributes["twinloop.question"] == question.text
        assert question.expect in attributes["twinloop.answer"]
        assert "[1]" in attributes["twinloop.answer"]
    assert client.traces.get(told.declined)["summary"]["declined"] is True


def test_after_one_document_changed_only_its_text_is_embedded_and_the_answer_cites_it(
    client: tl.Client, told: Any
) -> None:
    change = import_module("questions").CHANGE
    first, second = told.indexed
    assert (second["embedded"], second["reused"]) == (
        second["chunks"] - second["reused"],
        first["chunks"] - second["removed"],
    )
    assert second["embedded"] <= 3
    assert told.changed == f"document/handbook/{change.path}@2"
    before, after = (answer_of(client, trace)["twinloop.answer"] for trace in told.answered[-2:])
    assert "30 s" in before
    assert "45 s" in after
    answer = client.chat.ask("handbook", change.question)
    citation = answer["citations"][0]
    text = client.documents.text(citation["document"])
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert "45 s" in citation["quote"]
    assert answer["release"] == told.releases[-1]


def test_why_leads_from_an_answer_to_the_chunk_the_document_the_prompt_and_the_generator(
    client: tl.Client, told: Any
) -> None:
    graph = client.lineage.why(told.answered[-1])
    kinds = {node["kind"] for node in graph["nodes"]}
    assert {"trace", "release", "prompt", "generator", "index", "embedder", "document", "chunk"} <= kinds
    assert "cited" in {edge["role"] for edge in graph["edges"]}


def test_impact_of_the_changed_document_lists_the_answer_that_cited_it(client: tl.Client, told: Any) -> None:
    graph = client.lineage.impact(told.changed)
    assert f"trace:{told.answered[-1]}" in {node["key"] for node in graph["nodes"]}
    assert f"trace:{told.answered[0]}" not in {node["key"] for node in graph["nodes"]}


def test_telling_it_again_changes_nothing_that_is_declared(client: tl.Client, told: Any) -> None:
    from twinloop.sdk.plan import planned
    from twinloop.sdk.project import load_project

    with planned(client, load_project(HANDBOOK)) as plan:
        assert plan.changes == ()


def test_a_folder_of_the_users_own_is_read_whatever_it_holds(
    story: ModuleType, client: tl.Client, told: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(HANDBOOK / "calibration" / "ferry", folder)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 no")
    lines: list[str] = []
    mine = story.tell(client, folder, lines.append)
    assert mine.changed == ""
    assert any("refused broken.pdf" in line for line in lines)
    answer = client.chat.ask("handbook", "What do engineers wear?")
    assert "orange overalls" in answer["text"]
    assert answer["citations"][0]["document"].startswith("document/handbook/crew.md@")
