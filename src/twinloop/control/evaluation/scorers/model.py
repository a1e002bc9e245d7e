"""What is kept of a scorer. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from twinloop.core.errors import InvalidInput

_CODE = "call_source"
_GATEWAY = "gateway:/"
_DEPTH = 32


class Scorer(msgspec.Struct, frozen=True):
    """One version of a scorer of an experiment. ``body`` is JSON that its client wrote and its client reads."""

    id: str
    experiment_id: str
    name: str
    version: int
    body: str
    created_ms: int


class Schedule(msgspec.Struct, frozen=True):
    """Which share of an experiment's traces a scorer is meant to judge, and which of them."""

    id: str
    scorer_id: str
    experiment_id: str
    sample_rate: float
    filter: str | None


def check_name(name: str) -> None:
    if not name.strip():
        raise InvalidInput("Scorer name cannot be empty or contain only whitespace. Give it a name.")
    if len(name) > 256:
        raise InvalidInput(f"Scorer name has {len(name)} characters and 256 is the most.")


def check_body(body: str) -> dict[str, Any]:
    """Read a scorer as its client wrote it.

    A scorer that carries source code runs it wherever it is loaded, so whoever may register one could run code on the
    machine of everybody who uses it. Such a one is refused, as MLflow's own server refuses it.

    Raises:
        InvalidInput: no JSON object, source code, or a model without a name.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"serialized_scorer must be valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise InvalidInput("serialized_scorer must be valid JSON: an object.")
    if any(part.get(_CODE) for part in _objects(found)):
        raise InvalidInput(
            "Custom scorer registration (using @scorer decorator) is not supported: it holds source code that runs where it "
            "is loaded. Keep such a scorer in your own code and pass it to evaluate()."
        )
    model = model_of(found)
    if model is not None and not model.strip():
        raise InvalidInput("Scorer model cannot be empty or contain only whitespace. Name a model, or leave it out.")
    return found


def model_of(scorer: Mapping[str, Any]) -> str | None:
    """The model that a judge asks, such as ``openai:/gpt-4o``; None for a scorer without one.

    Raises:
        InvalidInput: it is not text.
    """
    for part in ("instructions_judge_pydantic_data", "builtin_scorer_pydantic_data", "third_party_scorer_data"):
        found = scorer.get(part)
        if isinstance(found, dict) and found:
            model = found.get("model")
            if model is not None and not isinstance(model, str):
                raise InvalidInput(f"Scorer model must be a string, got {type(model).__name__}.")
            return model
    judge = scorer.get("memory_augmented_judge_data")
    base = judge.get("base_judge") if isinstance(judge, dict) else None
    return model_of(base) if isinstance(base, dict) else None


def asks_gateway(scorer: Mapping[str, Any]) -> bool:
    """Whether the scorer's model is reached through the server."""
    return (model_of(scorer) or "").startswith(_GATEWAY)


def needs_expectations(scorer: Mapping[str, Any]) -> bool:
    """Whether a judge compares with what was expected, which traces of production do not say."""
    judge = scorer.get("instructions_judge_pydantic_data")
    text = judge.get("instructions") if isinstance(judge, dict) else None
    return isinstance(text, str) and "{{expectations}}" in "".join(text.split())


def _objects(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Every object within a value."""
    if depth > _DEPTH:
        raise InvalidInput("serialized_scorer is nested too deeply.")
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(item, depth + 1)
