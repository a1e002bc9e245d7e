"""The pure parts of MLflow's registry: what names may be, which sources are allowed, and how things look in JSON."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.control.registry.model import Card, Note, Origin, Revision, Shown, Version
from twinloop.control.security.model import LOCAL_ADMIN, Principal
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.mlflow import registry_checks as checks
from twinloop.protocols.mlflow import registry_sources as sources
from twinloop.protocols.mlflow import registry_translate as translate
from twinloop.protocols.mlflow.registry_describing import prompt_manifest
from twinloop.protocols.mlflow.registry_sources import LoggedModel, ModelUri
from twinloop.protocols.mlflow.registry_wire import SearchModels, SearchVersions, Tag

ROOT = "mlflow-artifacts:/1/r1/artifacts"
MODEL_ROOT = "mlflow-artifacts:/1/models/m-1/artifacts"


def version(kind: str = "model", **manifest: Any) -> Version:
    revision = Revision(
        kind, "n", 3, Digest("sha256:" + "0" * 64), manifest, (), 1_700_000_000_123_456_789, "ada", "r1",
        ("best",), Origin("s3://b/m", "s3://b/stored", "m-1", "http://run"),
    )  # fmt: skip
    return Version("Title", revision, Note("d", "Staging", updated_ms=1_700_000_000_999, tags={"k": "v"}))


class Places:
    """One run and one logged model."""

    async def of_run(self, who: Principal, run_id: str) -> str | None:
        return ROOT if run_id == "r1" else "file:///runs/local" if run_id == "local" else None

    async def model(self, who: Principal, model_id: str) -> LoggedModel | None:
        return LoggedModel(MODEL_ROOT, "r1") if model_id == "m-1" else None

    async def registered(self, who: Principal, model_id: str, title: str, number: int) -> None: ...


async def lookup(uri: ModelUri) -> Version:
    if uri.name != "Title":
        raise NotFound("no such thing")
    return version("prompt" if uri.version == 9 else "model")


async def source(given: str, run_id: str | None = None, model_id: str | None = None) -> sources.Source:
    return await sources.model_source(LOCAL_ADMIN, given, run_id, model_id, Places(), lookup)


@pytest.mark.parametrize(
    ("given", "run_id", "model_id"),
    [
        ("s3://bucket/model", None, None),
        ("s3://bucket/model/", "", ""),
        ("gs://bucket/a//b/..../c", "x", None),
        ("dbfs:/model", None, None),
        ("runs:/r1/model", "r1", None),
        ("runs:/unknown/model", "unknown", None),
        (f"{ROOT}/model", "r1", None),
        (ROOT, "r1", None),
        (f"{MODEL_ROOT}/x", None, "m-1"),
        ("models:/m-1", None, "m-1"),
        ("/runs/local/model", "local", None),
        ("file:///runs/local/model/..", "local", None),
        ("models:/Title/3", None, None),
        ("models:/Title@best", "r1", None),
    ],
)
async def test_a_source_within_what_the_request_names_is_taken(given: str, run_id: str, model_id: str) -> None:
    assert isinstance(await source(given, run_id, model_id), sources.Source)


@pytest.mark.parametrize(
    ("given", "run_id", "model_id"),
    [
        ("mlflow-artifacts:/elsewhere", "r1", None),
        (f"{ROOT}/../r2/artifacts", "r1", None),
        (f"{ROOT}/%2e%2e/x", "r1", None),
        (f"{ROOT}/%252e%252e/x", "r1", None),
        (f"{ROOT}/a%00", "r1", None),
        (ROOT, None, None),
        (ROOT, "unknown", None),
        (MODEL_ROOT, "r1", None),
        (ROOT, "r1", "m-1"),
        ("runs:/r1/model", None, None),
        ("runs:/r1/model", "r2", None),
        ("runs:/r1/model", "r1", "m-1"),
        ("runs://r1/model", "r1", None),
        ("models:/m-1", None, None),
        ("models:/m-1", None, "m-2"),
        ("models:/", None, None),
        ("models:/a/b/c", None, None),
        ("models://host/Title/3", None, None),
        ("models:/Title/3", "r2", None),
        ("models:/Title/3", None, "m-2"),
        ("models:/Title/9", None, None),
        ("http://host/model", "r1", None),
        ("https://host/api/2.0/mlflow-artifacts/artifacts/x", "r1", None),
        ("mlflow-artifacts://host/x", "r1", None),
        ("ftp://host/x", None, None),
        ("hdfs://host/x", None, None),
        ("/etc/passwd", None, None),
        ("/etc/passwd", "r1", None),
        ("/etc/passwd", "local", None),
        ("/runs/local/../other", "local", None),
        ("relative", "local", None),
        ("file://host.example/x", "local", None),
        ("s3://bucket", None, None),
        ("s3://b/../x", None, None),
        ("s3://b/x%2f..%2fy", None, None),
    ],
)
async def test_a_source_that_leads_elsewhere_is_refused(given: str, run_id: str, model_id: str) -> None:
    with pytest.raises(InvalidInput, match=r"source|remote uri"):
        await source(given, run_id, model_id)


async def test_a_version_made_of_another_inherits_where_it_came_from() -> None:
    assert await source("models:/Title@best") == sources.Source("models:/Title/3", "r1", "m-1", "s3://b/stored")


async def test_a_version_of_a_logged_model_belongs_to_its_run() -> None:
    assert await source("models:/m-1", None, "m-1") == sources.Source("models:/m-1", "r1", "m-1", MODEL_ROOT)


async def test_a_logged_model_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="'m-9' not found"):
        await source("models:/m-9", None, "m-9")


@pytest.mark.parametrize("given", ["s3://b/x", "", "dummy"])
def test_a_prompt_has_no_files(given: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid prompt source"):
        sources.prompt_source(given)


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("models:/m/3", ModelUri("m", version=3)),
        ("models:/m/Production", ModelUri("m", stage="Production")),
        ("models:/m/latest", ModelUri("m")),
        ("models:/a@b@best", ModelUri("a@b", alias="best")),
        ("models:/m-1", ModelUri("", model_id="m-1")),
        ("models:m", None),
        ("models:/m/", None),
        ("models:/m@", None),
        ("runs:/m/3", None),
    ],
)
def test_uris_of_models_are_read(uri: str, found: ModelUri | None) -> None:
    assert sources.parse_model_uri(uri) == found


@pytest.mark.parametrize("title", ["", " ", "a/b", "a:b", ".", "..", "./a"])
def test_a_name_that_clients_cannot_address_is_refused(title: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        checks.check_title(title)


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "V22", "a b", "a.b", "ä\n", "", "a" * 256])
def test_an_alias_that_means_something_else_is_refused(alias: str) -> None:
    with pytest.raises(InvalidInput):
        checks.new_alias(alias)


@pytest.mark.parametrize("given", ["x", "", "1.0", None, "٣x", "words that are longer than a number", "9" * 5000])
def test_a_version_is_a_whole_number(given: str | None) -> None:
    with pytest.raises(InvalidInput, match=r"'version'( must be an integer, got '.{1,100}')?\."):
        checks.number(given)


@pytest.mark.parametrize(("given", "number"), [("12", 12), (str(2**63 - 1), 2**63 - 1), ("9" * 400, -1)])
def test_a_version_that_none_can_have_is_none(given: str, number: int) -> None:
    assert checks.number(given) == number


def test_of_equal_tags_the_last_counts() -> None:
    assert checks.tags([Tag("k", "a"), Tag("k", "b"), Tag("l")]) == {"k": "b", "l": ""}


def test_a_version_looks_as_mlflows_does() -> None:
    assert translate.version_json(version()) == {
        "name": "Title",
        "version": "3",
        "creation_timestamp": 1_700_000_000_123,
        "last_updated_timestamp": 1_700_000_000_999,
        "current_stage": "Staging",
        "description": "d",
        "source": "s3://b/m",
        "run_id": "r1",
        "status": "READY",
        "tags": [{"key": "k", "value": "v"}],
        "run_link": "http://run",
        "aliases": ["best"],
    }


def test_a_model_without_anything_shows_only_its_name_and_times() -> None:
    shown = Shown(Card("model", "n", "model", "Title", "", 0, 1, "ada", 2))
    assert translate.model_json(shown) == {
        "name": "Title",
        "creation_timestamp": 1,
        "last_updated_timestamp": 2,
    }


def test_a_native_prompt_wears_the_tags_by_which_clients_know_one() -> None:
    found = translate.version_json(version("prompt", template="{context} {question}", system="s"))
    assert {tag["key"]: tag["value"] for tag in found["tags"]} == {
        "mlflow.prompt.is_prompt": "true",
        "mlflow.prompt.text": "{context} {question}",
        "_mlflow_prompt_type": "text",
        "k": "v",
    }


@pytest.mark.parametrize(
    ("filter", "kind"),
    [
        ("", "model"),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", "prompt"),
        ("tags.`mlflow.prompt.is_prompt` = 'TRUE'", "prompt"),
        ("tags.`mlflow.prompt.is_prompt` != 'false'", "prompt"),
        ("tags.`mlflow.prompt.is_prompt` = 'false'", "model"),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", "model"),
        ("tags.`mlflow.prompt.is_prompt` LIKE 'true'", "model"),
        ("name = 'a' AND tags.`mlflow.prompt.is_prompt` = 'true'", "prompt"),
    ],
)
def test_prompts_are_found_only_by_their_tag(filter: str, kind: str) -> None:
    wish = translate.models_wish(SearchModels(filter=filter), "model")
    assert wish.kinds == (kind,)
    assert all(clause.key != translate.IS_PROMPT for clause in wish.clauses)


@pytest.mark.parametrize("limit", [0, -1, 1001, "1001", "x"])
def test_a_page_has_its_bounds(limit: Any) -> None:
    with pytest.raises(InvalidInput, match="max_results"):
        translate.models_wish(SearchModels(max_results=limit), "model")


def test_too_large_a_page_is_refused_in_the_words_that_clients_match_on() -> None:
    for wish, most in (
        (lambda: translate.models_wish(SearchModels(max_results=10**15), "model"), "1000."),
        (lambda: translate.versions_wish(SearchVersions(max_results=10**15), "model"), "200000."),
    ):
        with pytest.raises(
            InvalidInput, match=f"\"{10**15}\" for parameter 'max_results' supplied: It must be at most {most}"
        ):
            wish()


def test_a_page_of_versions_may_be_large() -> None:
    assert translate.versions_wish(SearchVersions(max_results=200_000), "model").limit == 200_000


@pytest.mark.parametrize(
    ("tags", "kind"),
    [({}, "model"), ({"mlflow.prompt.is_prompt": "True"}, "prompt"), ({"mlflow.prompt.is_prompt": "no"}, "model")],
)
def test_the_tag_says_what_is_registered(tags: dict[str, str], kind: str) -> None:
    assert translate.kind_of(tags) == kind


def test_a_prompts_tags_become_its_manifest() -> None:
    chat = '[{"role": "user", "content": "hi"}]'
    tags = {"mlflow.prompt.text": chat, "_mlflow_prompt_type": "chat", "_mlflow_prompt_response_format": "{}"}
    assert prompt_manifest(tags) == {
        "format": "chat",
        "template": [{"role": "user", "content": "hi"}],
        "response_format": {},
    }
    assert prompt_manifest({"mlflow.prompt.text": chat})["template"] == chat
    with pytest.raises(InvalidInput, match="_mlflow_prompt_response_format"):
        prompt_manifest({"_mlflow_prompt_response_format": "{"})


@given(st.text(max_size=60), st.none() | st.text(max_size=5), st.none() | st.text(max_size=5))
async def test_no_source_is_more_than_refused(given: str, run_id: str | None, model_id: str | None) -> None:
    for prefix in ("", "models:/", "s3://b/", "mlflow-artifacts:/1/r1/artifacts/", "file:", "http://"):
        with contextlib.suppress(InvalidInput, NotFound):
            await source(prefix + given, run_id, model_id)
