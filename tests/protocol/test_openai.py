"""The official OpenAI client against Twinloop endpoints."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import urllib3

from tests.protocol.answering import Scripted, answering
from twinloop.control.releases.answers import (
    ChatDelta,
    ChatRequest,
    Citation,
    EmbedAnswer,
    EmbedRequest,
    PredictAnswer,
    Usage,
)
from twinloop.core.errors import Unavailable, UpstreamError
from twinloop.protocols.openai.routes import routes

CITATION = Citation(1, "document/handbook/intro.md@2", "Intro", ("Intro",), 10, 42, "Releases pin revisions.", 0.8)
QUESTION: list[Any] = [{"role": "user", "content": "What is a release?"}]


async def _answer(request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
    question = request.messages[-1].content
    if question == "unknown":
        yield ChatDelta("The documents do not say.")
        yield ChatDelta(finish="declined", usage=Usage(9, 6))
        return
    if question == "down":
        raise Unavailable("The engine is starting. Try again in a moment.")
    yield ChatDelta("A release pins ")
    if question == "break":
        raise UpstreamError("The provider hung up. Ask again.")
    yield ChatDelta("revisions [1].", (CITATION,))
    yield ChatDelta(finish="length" if request.max_tokens == 3 else "stop", usage=Usage(12, 5))


closed: list[float] = []


async def _endless(request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
    try:
        while True:
            yield ChatDelta("more ")
            await asyncio.sleep(0.005)
    finally:
        closed.append(time.monotonic())


def _embed(request: EmbedRequest) -> EmbedAnswer:
    return EmbedAnswer([[0.5, -0.25, float(len(text))] for text in request.texts], Usage(7, 0))


@pytest.fixture(scope="module")
def targets() -> dict[str, Scripted]:
    return {
        "handbook": Scripted("chat", stream=_answer),
        "team/endless": Scripted("chat", stream=_endless),
        "minilm": Scripted("embed", answer=_embed),
        "flight-delay": Scripted("predict", answer=lambda request: PredictAnswer({"y": [0.5]}, 1)),
    }


@pytest.fixture(scope="module")
def url(targets: dict[str, Scripted], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("openai")
    with answering(folder, targets, routes) as address:
        yield f"{address}/v1"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as made:
        yield made


def post(url: str, path: str, body: Any) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = urllib3.request("POST", f"{url}{path}", body=raw, retries=False)
    return answer.status, json.loads(answer.data)


def test_models_are_the_chat_and_embed_endpoints(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert set(models) == {"handbook", "team/endless", "minilm"}
    assert models["handbook"].owned_by == "twinloop"
    assert client.models.retrieve("team/endless").created == 1_700_000_000


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    for ask in (
        lambda: client.models.retrieve("nope"),
        lambda: client.models.retrieve("flight-delay"),
        lambda: client.chat.completions.create(model="nope", messages=QUESTION),
        lambda: client.embeddings.create(model="nope", input="a"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            ask()
        assert caught.value.code == "model_not_found"
        assert caught.value.param == "model"


def test_a_chat_is_answered_whole(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="handbook", messages=QUESTION, temperature=0, seed=1)
    answer = raw.parse()
    message = answer.choices[0].message
    assert message.content == "A release pins revisions [1]."
    assert message.annotations is not None
    place = message.annotations[0].url_citation
    assert message.content[place.start_index : place.end_index] == "[1]"
    assert place.url == "twinloop:document/handbook/intro.md@2#char=10,42"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 17
    assert raw.headers["x-twinloop-release"] == "handbook@1"
    assert raw.headers["x-twinloop-trace"] == answer.id.removeprefix("chatcmpl-")
    extension: Any = answer.model_extra
    assert extension["twinloop"]["citations"][0]["quote"] == "Releases pin revisions."


def test_a_chat_is_streamed(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="handbook", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        == "A release pins revisions [1]."
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5
    extension: Any = chunks[-2].model_extra
    assert extension["twinloop"]["release"] == "handbook@1"


async def test_the_asynchronous_client_streams_too(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="unused") as client:
        stream = await client.chat.completions.create(model="handbook", messages=QUESTION, stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == "A release pins revisions [1]."


def test_a_declined_question_says_so(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="handbook", messages=[{"role": "user", "content": "unknown"}])
    extension: Any = answer.model_extra
    assert extension["twinloop"]["declined"] is True
    assert answer.choices[0].finish_reason == "stop"


def test_a_cut_answer_finishes_with_length(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="handbook", messages=QUESTION, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"


def test_an_error_before_the_first_piece_has_its_status(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="handbook", messages=[{"role": "user", "content": "down"}], stream=True)
    assert caught.value.status_code == 503
    assert "Try again" in caught.value.message


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="handbook", messages=[{"role": "user", "content": "break"}], stream=True
    )
    text: list[str] = []
    with pytest.raises(openai.APIError, match="The provider hung up"):
        text.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(text) == "A release pins "


def test_leaving_a_stream_stops_the_generation(client: openai.OpenAI) -> None:
    closed.clear()
    with client.chat.completions.create(model="team/endless", messages=QUESTION, stream=True) as stream:
        for number, _ in enumerate(stream):
            if number == 3:
                break
    deadline = time.monotonic() + 5
    while not closed and time.monotonic() < deadline:
        time.sleep(0.02)
    assert closed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function", "function": {"name": "f", "parameters": {}}}]),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, field: str, value: Any) -> None:
    options: Any = {field: value}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="handbook", messages=QUESTION, **options)
    assert caught.value.param == field
    assert caught.value.code == "unsupported_parameter"
    assert "not supported" in caught.value.message


def test_harmless_options_are_accepted_and_the_user_stays_on_one_side_of_a_canary(
    client: openai.OpenAI, targets: dict[str, Scripted]
) -> None:
    options: Any = {"user": "u-1", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"}
    client.chat.completions.create(model="handbook", messages=QUESTION, stop=["END"], top_p=0.5, **options)
    request = targets["handbook"].requests[-1]
    assert (request.stop, request.top_p) == (("END",), 0.5)


def test_images_are_refused(client: openai.OpenAI) -> None:
    content: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    with pytest.raises(openai.BadRequestError, match="image_url"):
        client.chat.completions.create(model="handbook", messages=[{"role": "user", "content": content}])


def test_a_predict_endpoint_does_not_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Choose an endpoint of type chat"):
        client.chat.completions.create(model="flight-delay", messages=QUESTION)


def test_texts_are_embedded(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="minilm", input=["a", "bcd"])
    assert [item.embedding for item in answer.data] == [[0.5, -0.25, 1.0], [0.5, -0.25, 3.0]]
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == 7


def test_embeddings_come_as_floats_or_as_base64(url: str) -> None:
    _, floats = post(url, "/embeddings", {"model": "minilm", "input": "a", "encoding_format": "float"})
    _, packed = post(url, "/embeddings", {"model": "minilm", "input": "a", "encoding_format": "base64"})
    assert floats["data"][0]["embedding"] == [0.5, -0.25, 1.0]
    assert list(struct.unpack("<3f", base64.b64decode(packed["data"][0]["embedding"]))) == [0.5, -0.25, 1.0]


def test_token_arrays_are_refused_clearly(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="send a text or a list of texts"):
        client.embeddings.create(model="minilm", input=[1, 2, 3])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"", None),
        (b"[]", None),
        (b'{"model": "handbook", "messages": [{"role": "user", "content": "\xff"}]}', None),
        (b'{"model": "handbook", "messages": NaN}', None),
        ({"model": "handbook"}, None),
        ({"model": "handbook", "messages": "hi"}, "messages"),
        ({"model": "handbook", "messages": [{"content": "hi"}]}, "messages[0]"),
        ({"model": "handbook", "messages": QUESTION, "temperature": "hot"}, "temperature"),
        ({"model": "handbook", "messages": QUESTION, "max_tokens": 0}, "max_tokens"),
        ({"model": "", "messages": QUESTION}, None),
        ({"model": "handbook", "messages": QUESTION, "stream": "yes"}, "stream"),
    ],
)
def test_bad_bodies_are_answered_in_the_openai_error_form(url: str, body: Any, param: str | None) -> None:
    status, answer = post(url, "/chat/completions", body)
    assert status == 400
    assert set(answer["error"]) >= {"message", "type", "param", "code"}
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["param"] == param
    assert "Traceback" not in answer["error"]["message"]
