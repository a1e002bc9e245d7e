"""OpenAI requests and answers, decoded and encoded without a server."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from twinloop.control.releases.answers import Citation, EmbedAnswer, Usage
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import decode_json
from twinloop.protocols.openai import translate
from twinloop.protocols.openai.errors import InvalidParameter, UnsupportedParameter, body_of
from twinloop.protocols.openai.wire import ChatCompletionRequest, EmbeddingRequest, Provenance

HELLO = [{"role": "user", "content": "Hello"}]


def chat(**fields: Any) -> ChatCompletionRequest:
    return decode_json(json.dumps({"model": "handbook", "messages": HELLO, **fields}).encode(), ChatCompletionRequest)


def citation(number: int) -> Citation:
    return Citation(number, "document/handbook/intro.md@2", "Intro", ("Intro", "Why"), 10, 42, "the quote", 0.8)


def test_all_sampling_options_reach_the_endpoint() -> None:
    wire = chat(max_completion_tokens=64, temperature=0.2, top_p=0.9, seed=7, stop=["END", "STOP"])
    request = translate.chat_request(wire)
    assert (request.max_tokens, request.temperature, request.top_p, request.seed) == (64, 0.2, 0.9, 7)
    assert request.stop == ("END", "STOP")


def test_max_completion_tokens_wins_over_the_deprecated_max_tokens() -> None:
    assert translate.chat_request(chat(max_tokens=5, max_completion_tokens=9)).max_tokens == 9


def test_developer_messages_are_system_messages() -> None:
    request = translate.chat_request(chat(messages=[{"role": "developer", "content": "Be brief"}, *HELLO]))
    assert [message.role for message in request.messages] == ["system", "user"]


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    assert translate.chat_request(chat(messages=[{"role": "user", "content": parts}])).messages[0].content == "Hello"


def test_image_parts_are_refused_by_name() -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]
    with pytest.raises(UnsupportedParameter) as caught:
        translate.chat_request(chat(messages=[{"role": "user", "content": parts}]))
    assert caught.value.param == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("reasoning_effort", "high"),
        ("functions", [{"name": "f"}]),
    ],
)
def test_what_endpoints_do_not_do_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translate.chat_request(chat(**{field: value}))
    error = body_of(caught.value, None).error
    assert (error.param, error.code, error.type) == (field, "unsupported_parameter", "invalid_request_error")


def test_parameters_that_ask_for_nothing_are_accepted() -> None:
    harmless = {
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "logprobs": False,
        "frequency_penalty": 0,
        "top_logprobs": None,
    }
    unknown = {"user": "u-1", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "some_new_field": [1]}
    form = {"response_format": {"type": "text"}, "modalities": ["text"]}
    assert translate.chat_request(chat(**harmless, **unknown, **form)).messages[0].content == "Hello"


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 2.5), ("top_p", -0.1), ("max_tokens", 0), ("max_completion_tokens", -3), ("stop", list("abcde"))],
)
def test_values_out_of_range_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        translate.chat_request(chat(**{field: value}))
    assert caught.value.param == field


def test_tool_messages_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="tool messages are not supported"):
        translate.chat_request(chat(messages=[{"role": "tool", "content": "42", "tool_call_id": "x"}]))


def test_an_empty_conversation_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="messages is empty"):
        translate.chat_request(chat(messages=[]))


def test_a_field_of_the_wrong_type_is_named_in_the_error() -> None:
    with pytest.raises(InvalidInput) as caught:
        chat(messages="Hello")
    assert body_of(caught.value, None).error.param == "messages"


def test_annotations_point_at_the_marks_in_the_text() -> None:
    text = "Releases pin revisions [1]. They can be rolled back [2], always [1]."
    found = translate.annotate(text, [citation(1), citation(2)])
    assert [text[a.url_citation.start_index : a.url_citation.end_index] for a in found] == ["[1]", "[2]", "[1]"]
    assert found[0].url_citation.url == "twinloop:document/handbook/intro.md@2#char=10,42"


def test_a_citation_without_a_mark_covers_the_whole_text() -> None:
    only = translate.annotate("No mark here.", [citation(1)])[0].url_citation
    assert (only.start_index, only.end_index) == (0, 13)


def test_a_mark_without_a_citation_is_plain_text() -> None:
    assert translate.annotate("See [7].", []) == ()


def test_a_declined_answer_stops_and_says_so() -> None:
    provenance = Provenance("handbook@2", "ab" * 16, declined=True)
    body = translate.chat_completion(
        model="handbook", created=1, text="I do not know.", finish="declined", usage=Usage(3, 4), provenance=provenance
    )
    assert body.choices[0].finish_reason == "stop"
    assert body.twinloop.declined
    assert body.usage.total_tokens == 7


def embedding(**fields: Any) -> EmbeddingRequest:
    return decode_json(json.dumps({"model": "minilm", **fields}).encode(), EmbeddingRequest)


def test_one_text_and_a_list_of_texts_are_embedded() -> None:
    assert translate.embed_request(embedding(input="a")).texts == ("a",)
    assert translate.embed_request(embedding(input=["a", "b"])).texts == ("a", "b")


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_token_arrays_are_refused_clearly(tokens: list[Any]) -> None:
    with pytest.raises(UnsupportedParameter, match="token ids"):
        translate.embed_request(embedding(input=tokens))


@pytest.mark.parametrize("value", ["", [], ["a", ""], ["a", None], [True], ["x"] * 2049])
def test_inputs_that_cannot_be_embedded_are_refused(value: Any) -> None:
    with pytest.raises(InvalidParameter):
        translate.embed_request(embedding(input=value))


def test_base64_vectors_are_little_endian_float32() -> None:
    answer = EmbedAnswer([[0.5, -0.25]], Usage(3, 0))
    body = translate.embedding_list(embedding(input="a", encoding_format="base64"), answer, Provenance("e@1", "t"))
    raw = body.data[0].embedding
    assert isinstance(raw, str)
    assert struct.unpack("<2f", base64.b64decode(raw)) == (0.5, -0.25)
    assert body.usage.total_tokens == 3
