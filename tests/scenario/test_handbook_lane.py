"""The handbook's story over real engines: index, ask, decline, change one document, ask again; and what why says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from twinloop.cli.story.handbook import Handbook
from twinloop.cli.story.teller import Teller, example

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tl.Client]:
    with tl.connect(home=tmp_path_factory.mktemp("handbook") / "home") as opened:
        yield opened


@pytest.fixture(scope="module")
def told(client: tl.Client, tmp_path_factory: pytest.TempPathFactory) -> Handbook:
    """The chapter as the demo tells it, over the project's own documents."""
    chapter = Handbook(Teller(client), tmp_path_factory.mktemp("copy") / "docs", None, None)
    chapter.tell()
    return chapter


def root_span(client: tl.Client, trace: str) -> dict[str, Any]:
    return next(span for span in client.traces.get(trace)["spans"] if span["parent_id"] is None)


def test_three_questions_are_answered_and_the_one_without_an_answer_is_declined(
    client: tl.Client, told: Handbook
) -> None:
    expected = {question.text: question.expect for question in told.questions.ANSWERABLE}
    answered = [answer for answer in told.answers if answer["question"] in expected]
    assert len(answered) == 3
    for answer in answered:
        assert expected[answer["question"]] in answer["text"]
        assert "[1]" in answer["text"]
        attributes = root_span(client, answer["trace"])["attributes"]
        assert (attributes["twinloop.question"], attributes["twinloop.answer"]) == (answer["question"], answer["text"])
    declined = next(answer for answer in told.answers if answer["question"] == told.questions.UNANSWERABLE)
    assert declined["declined"]
    assert declined["citations"] == []
    assert client.traces.get(declined["trace"])["summary"]["declined"] is True


def test_after_one_document_changed_only_its_text_is_embedded_and_the_answer_cites_it(
    client: tl.Client, told: Handbook
) -> None:
    change = told.questions.CHANGE
    first, second = told.indexed
    assert second["embedded"] <= 3
    assert second["reused"] == first["chunks"] - second["removed"]
    assert second["chunks"] == second["embedded"] + second["reused"]
    answer = told.answers[-1]
    assert answer["question"] == change.question
    assert "45 s" in answer["text"]
    assert answer["release"] == told.second != told.first
    citation = answer["citations"][0]
    assert citation["document"] == f"document/handbook/{change.path}@2"
    assert "45 s" in citation["quote"]
    assert client.documents.text(citation["document"])[citation["start"] : citation["end"]] == citation["quote"]


def test_why_leads_from_an_answer_to_the_chunk_the_document_the_prompt_and_the_generator(
    client: tl.Client, told: Handbook
) -> None:
    graph = client.lineage.why(told.answers[-1]["trace"])
    kinds = {node["kind"] for node in graph["nodes"]}
    assert {"trace", "release", "prompt", "generator", "index", "embedder", "document", "chunk"} <= kinds
    assert "cited" in {edge["role"] for edge in graph["edges"]}


def test_impact_of_the_changed_document_lists_the_answer_that_cited_it_and_no_earlier_one(
    client: tl.Client, told: Handbook
) -> None:
    graph = client.lineage.impact(told.answers[-1]["citations"][0]["document"])
    touched = {node["key"] for node in graph["nodes"]}
    assert f"trace:{told.answers[-1]['trace']}" in touched
    assert f"trace:{told.answers[0]['trace']}" not in touched


def test_telling_it_again_changes_nothing_that_is_declared(client: tl.Client, told: Handbook) -> None:
    from twinloop.sdk.plan import planned

    with planned(client, example("handbook")) as plan:
        assert plan.changes == ()


def test_a_folder_of_the_users_own_is_read_whatever_it_holds(
    client: tl.Client, told: Handbook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "examples" / "handbook" / "calibration" / "ferry", folder)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 no")
    mine = Handbook(Teller(client), tmp_path / "copy", folder, None)
    mine.tell()
    assert "refused broken.pdf" in capsys.readouterr().out
    assert "1871" in mine.answers[-1]["text"]
    assert [answer["declined"] for answer in mine.answers if "Vellorax" in answer["question"]] == [True]
    answer = client.chat.ask("handbook", "What do engineers wear?")
    assert "orange overalls" in answer["text"]
    assert answer["citations"][0]["document"].startswith("document/handbook/crew.md@")
