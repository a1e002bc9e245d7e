from __future__ import annotations

import pytest

from twinloop.backends.openai_http import wire
from twinloop.core.errors import UpstreamError
from twinloop.llm.generation.ports import GenerationOptions, Message, Usage


def test_a_request_carries_only_what_was_asked() -> None:
    body = wire.chat_request("m", [Message("user", "hi")], GenerationOptions(max_tokens=9), "max_tokens")
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }


def test_a_request_carries_every_option() -> None:
    options = GenerationOptions(5, temperature=0.0, top_p=0.5, seed=0, stop=("\n",), json_schema={"type": "object"})
    body = wire.chat_request("m", [], options, "max_completion_tokens")
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (0.0, 0.5, 0, ["\n"])
    assert body["max_completion_tokens"] == 5
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_first_event_without_content_is_empty_text() -> None:
    event = wire.chat_event(
        b'{"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}]}'
    )
    assert event == wire.Event()


def test_usage_counts_cached_tokens() -> None:
    event = wire.chat_event(
        b'{"choices":[],"usage":{"completion_tokens":4,"prompt_tokens":21,"prompt_tokens_details":{"cached_tokens":20}}}'
    )
    assert event.usage == Usage(21, 4, 20)


def test_an_unknown_finish_reason_counts_as_stop() -> None:
    assert wire.chat_event(b'{"choices":[{"delta":{},"finish_reason":"eos"}]}').finish_reason == "stop"


@pytest.mark.parametrize("data", [b"<html>", b"[]", b'{"choices":[{"delta":{"content":5}}]}', b"\xff"])
def test_an_event_of_another_form_is_the_providers_error(data: bytes) -> None:
    with pytest.raises(UpstreamError, match="not a chat completion chunk"):
        wire.chat_event(data)


def test_an_error_inside_the_stream_carries_the_providers_words() -> None:
    with pytest.raises(UpstreamError, match="out of memory"):
        wire.chat_event(b'{"error":{"message":"out of memory","type":"server_error"}}')


def test_a_stream_without_a_reason_to_end_was_cut() -> None:
    with pytest.raises(UpstreamError, match="in the middle"):
        wire.last_chunk(None, None)


def test_embeddings_come_back_in_the_order_of_the_texts() -> None:
    data = b'{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":[1.0]}]}'
    assert wire.embedding_rows(data, 2, 1) == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "data", [b"{}", b'{"data":[]}', b'{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}']
)
def test_missing_embeddings_are_the_providers_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        wire.embedding_rows(data, 2, 1)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (b'{"error":"no such model"}', "no such model"),
        (b'{"message":"no such model"}', "no such model"),
        (b'{"detail":"no such model"}', "no such model"),
        (b'{"error":{"code":5}}', '{"error":{"code":5}}'),
        (b"no such\nmodel", "no such model"),
        (b"", "it said nothing"),
        (b"x" * 9000, "x" * 500),
    ],
)
def test_an_error_body_is_boiled_down_to_its_message(body: bytes, text: str) -> None:
    assert wire.error_text(body) == text
