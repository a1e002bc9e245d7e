"""Declarations and the context of a running step."""

from __future__ import annotations

from typing import Any, cast

import pytest

import twinloop as tl
from twinloop.control.pipelines.errors import DefinitionError
from twinloop.control.releases.declaration import DeclaredEndpointKind
from twinloop.core.errors import InvalidInput, Refused
from twinloop.sdk.client import Client
from twinloop.sdk.definitions import current_run_id, running


def test_a_declaration_is_referred_to_by_kind_and_name() -> None:
    assert tl.Prompt("answer", "Be brief.").ref == "prompt/answer"


def test_a_bad_name_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidInput, match="cannot be a prompt name"):
        tl.Prompt("../answer", "Be brief.")


def test_a_prompt_writes_its_defaults_out() -> None:
    manifest = tl.Prompt("answer", "Be brief.", options={"max_tokens": 50}).manifest()
    assert manifest["options"] == {"max_tokens": 50, "temperature": 0.0, "seed": 0}
    assert manifest["retrieval"]["k"] == 4


def test_a_prompt_with_an_unknown_option_names_it() -> None:
    with pytest.raises(DefinitionError, match="max_tokenz"):
        tl.Prompt("answer", "Be brief.", options={"max_tokenz": 50}).manifest()


def test_a_generator_runs_here_or_elsewhere_and_not_both() -> None:
    assert tl.Generator("small", weights="smol").manifest() == {"engine": "llamacpp", "weights": "smol"}
    remote = tl.Generator("big", url="https://example.org/v1", model="m", secret="KEY").manifest()
    assert remote == {"engine": "openai", "url": "https://example.org/v1", "model": "m", "secret": "KEY"}
    with pytest.raises(DefinitionError, match="give weights"):
        tl.Generator("both", weights="smol", url="https://example.org/v1").manifest()


def test_an_endpoint_declares_what_its_kind_takes() -> None:
    endpoint = tl.Endpoint("delay", "predict", {"model": "model/delay"}, [tl.Condition("auc", at_least=0.6)])
    DeclaredEndpointKind().validate(endpoint.manifest())
    wrong = tl.Endpoint("delay", "predict", {"model": "delay"}).manifest()
    with pytest.raises(InvalidInput, match="is not a revision"):
        DeclaredEndpointKind().validate(wrong)


def test_current_gives_the_client_inside_a_step_only() -> None:
    client = cast("Client", object())
    with running(client, "r1", "train"):
        assert tl.current() is client
        assert current_run_id() == "r1"
    assert current_run_id() is None
    with pytest.raises(Refused, match="outside a running step"):
        tl.current()


def test_decorated_functions_keep_their_types_and_names() -> None:
    @tl.step(name="double", retries=1)
    def twice(x: int) -> int:
        """Double it."""
        return 2 * x

    made: Any = twice
    assert (made.name, made.retries, made.__doc__, twice(4)) == ("double", 1, "Double it.", 8)
