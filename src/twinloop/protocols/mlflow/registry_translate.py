"""Between MLflow's registered models and the registry's cards. Pure.

A prompt of MLflow's is a registered model that wears a tag; here it is a card of a kind of its own. A prompt that was
registered without MLflow is given the tags by which its clients know one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.control.registry.model import Shown, Version
from twinloop.control.registry.search import CARD_ORDER, CARDS, VERSION_ORDER, VERSIONS, Wish
from twinloop.control.search.grammar import Vocabulary, parse_filter, parse_order
from twinloop.control.search.reader import Clause
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow.registry_checks import PROMPT_TEXT
from twinloop.protocols.mlflow.registry_wire import SearchModels, SearchVersions
from twinloop.protocols.mlflow.translate import integer

MODEL, PROMPT = "model", "prompt"
IS_PROMPT = "mlflow.prompt.is_prompt"
PROMPT_TYPE = "_mlflow_prompt_type"
_MODELS_PAGE = 1_000
_VERSIONS_PAGE = 200_000


def kind_of(tags: Mapping[str, str]) -> str:
    """Which kind a client means by these tags."""
    return PROMPT if tags.get(IS_PROMPT, "").lower() == "true" else MODEL


def model_json(shown: Shown) -> dict[str, Any]:
    card = shown.card
    found: dict[str, Any] = {
        "name": card.title,
        "creation_timestamp": card.created_ms,
        "last_updated_timestamp": card.updated_ms,
    }
    if card.description:
        found["description"] = card.description
    if shown.latest:
        found["latest_versions"] = [version_json(version) for version in shown.latest]
    tags = {IS_PROMPT: "true", **card.tags} if card.kind == PROMPT else card.tags
    if tags:
        found["tags"] = _pairs(tags)
    if shown.aliases:
        found["aliases"] = [{"alias": alias, "version": str(number)} for alias, number in shown.aliases.items()]
    return found


def version_json(version: Version) -> dict[str, Any]:
    revision, note = version.revision, version.note
    found: dict[str, Any] = {
        "name": version.title,
        "version": str(revision.number),
        "creation_timestamp": revision.created_ns // 1_000_000,
        "last_updated_timestamp": note.updated_ms,
        "current_stage": note.stage,
    }
    if note.description is not None:
        found["description"] = note.description
    found["source"] = revision.origin.source or ""
    found["run_id"] = revision.run_id or ""
    found["status"] = note.status
    tags = {**_prompt_tags(revision.manifest), **note.tags} if revision.kind == PROMPT else note.tags
    if tags:
        found["tags"] = _pairs(tags)
    found["run_link"] = revision.origin.link or ""
    if revision.aliases:
        found["aliases"] = list(revision.aliases)
    return found


def models_wish(request: SearchModels, shelf: str) -> Wish:
    """Raises InvalidInput."""
    limit = _limit(request.max_results, _MODELS_PAGE)
    kinds, clauses = _kinds(request.filter, CARDS)
    orders = parse_order(request.order_by or [], CARD_ORDER)
    return Wish(shelf, kinds, clauses, orders, limit, request.page_token or None)


def versions_wish(request: SearchVersions, shelf: str) -> Wish:
    """Raises InvalidInput."""
    limit = _limit(request.max_results, _VERSIONS_PAGE)
    kinds, clauses = _kinds(request.filter, VERSIONS)
    orders = parse_order(request.order_by or [], VERSION_ORDER)
    return Wish(shelf, kinds, clauses, orders, limit, request.page_token or None)


def _kinds(filter: str | None, vocabulary: Vocabulary) -> tuple[Sequence[str], list[Clause]]:
    """Prompts are found only by those who ask for them by their tag; the first such clause decides."""
    clauses = parse_filter(filter or "", vocabulary)
    asked = next((clause for clause in clauses if clause.entity == "tag" and clause.key == IS_PROMPT), None)
    prompts = asked is not None and (asked.comparator, str(asked.value).lower()) in (("=", "true"), ("!=", "false"))
    rest = [clause for clause in clauses if not (clause.entity == "tag" and clause.key == IS_PROMPT)]
    return (PROMPT,) if prompts else (MODEL,), rest


def _limit(given: int | str | None, most: int) -> int:
    limit = integer(given if given is not None else most, "max_results")
    if limit > most:
        raise InvalidInput(
            f"Invalid value \"{limit}\" for parameter 'max_results' supplied: It must be at most {most}. "
            "Turn pages with the token of the page before."
        )
    if limit < 1:
        raise InvalidInput(f"Invalid value for max_results. It must be a positive integer, but got {limit}")
    return limit


def _prompt_tags(manifest: Mapping[str, Any]) -> dict[str, str]:
    template = manifest.get("template")
    found = {IS_PROMPT: "true"}
    if isinstance(template, str) and "package" not in manifest and "format" not in manifest:
        found |= {PROMPT_TEXT: template, PROMPT_TYPE: "text"}
    return found


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
