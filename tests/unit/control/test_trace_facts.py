"""What spans say of themselves: other conventions' names, tokens summed once, and what a list of traces shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tracing import span, trace
from twinloop.control.tracing.conventions import translated
from twinloop.control.tracing.facts import facts
from twinloop.control.tracing.preview import LIMIT, preview
from twinloop.control.tracing.usage import Part, summed

USAGE = "mlflow.chat.tokenUsage"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4},
            {"mlflow.spanType": "CHAT_MODEL", USAGE: {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}},
        ),
        (
            {"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cache_read.input_tokens": 2},
            {USAGE: {"input_tokens": 3, "cache_read_input_tokens": 2}},
        ),
        (
            {"gen_ai.usage.cache_write.input_tokens": 9, "gen_ai.usage.output_tokens": 1},
            {USAGE: {"output_tokens": 1, "cache_creation_input_tokens": 9}},
        ),
        (
            {"openinference.span.kind": "RETRIEVER", "input.value": "q", "output.value": ["d"]},
            {"mlflow.spanType": "RETRIEVER", "mlflow.spanInputs": "q", "mlflow.spanOutputs": ["d"]},
        ),
        (
            {"llm.token_count.prompt": "5", "llm.token_count.completion": "x", "llm.model_name": "m"},
            {USAGE: {"input_tokens": 5}, "mlflow.llm.model": "m"},
        ),
        ({"traceloop.span.kind": "workflow"}, {"mlflow.spanType": "WORKFLOW"}),
        ({"ai.operationId": "ai.toolCall", "ai.toolCall.args": "{}"}, {"mlflow.spanType": "TOOL"}),
        ({"mlflow.spanType": "UNKNOWN", "traceloop.span.kind": "tool"}, {"mlflow.spanType": "TOOL"}),
        ({"mlflow.spanType": "LLM", "traceloop.span.kind": "tool"}, {}),
        ({"gen_ai.response.model": "r", "gen_ai.request.model": "q"}, {"mlflow.llm.model": "r"}),
        ({"mlflow.spanInputs": '{"model": "m", "n": 1}'}, {"mlflow.llm.model": "m"}),
        ({"mlflow.spanInputs": '{"model": '}, {}),
        ({"mlflow.spanInputs": {"model": 3}}, {}),
        (
            {"twinloop.question": "why?", "twinloop.answer": "so"},
            {"mlflow.spanInputs": "why?", "mlflow.spanOutputs": "so"},
        ),
        ({"own": 1}, {}),
    ],
)
def test_other_conventions_are_read_into_mlflows_names(said: dict[str, Any], expected: dict[str, Any]) -> None:
    assert translated(said) == expected


VERCEL_CALL = {
    "ai.operationId": "ai.streamText.doStream",
    "ai.prompt.messages": '[{"role": "user", "content": "why?"}]',
    "ai.prompt.tools": ['{"name": "search"}'],
    "ai.response.text": "so",
    "ai.response.toolCalls": '[{"toolName": "search"}]',
    "ai.response.model": "m",
}


def test_a_call_of_a_model_by_vercels_sdk_shows_its_messages_and_its_tools() -> None:
    assert translated(VERCEL_CALL) == {
        "mlflow.spanType": "LLM",
        "mlflow.spanInputs": {"messages": [{"role": "user", "content": "why?"}], "tools": [{"name": "search"}]},
        "mlflow.spanOutputs": {"text": "so", "toolCalls": [{"toolName": "search"}], "model": "m"},
        "mlflow.llm.model": "m",
    }


def test_what_is_told_around_a_call_by_vercels_sdk_stays_as_it_came() -> None:
    around = {"ai.operationId": "ai.streamText", "ai.prompt": "why?", "ai.response.text": "so"}
    assert translated(around) == {"mlflow.spanType": "LLM", "mlflow.spanInputs": "why?", "mlflow.spanOutputs": "so"}
    told = {**VERCEL_CALL, "mlflow.spanInputs": "mine", "mlflow.spanOutputs": "mine"}
    assert translated(told) == {"mlflow.spanType": "LLM"}


def test_what_a_span_says_itself_stands_over_what_is_read_from_other_names() -> None:
    said = {"mlflow.spanInputs": "mine", "input.value": "theirs", "mlflow.llm.model": "a", "llm.model_name": "b"}
    assert translated(said) == {}


def test_a_span_that_says_its_tokens_speaks_for_everything_below_it() -> None:
    parts = [
        Part("child", "agent", {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}),
        Part("grandchild", "silent", {"input_tokens": 1, "total_tokens": 1}),
        Part("silent", "agent", None),
        Part("agent", "root", {"input_tokens": 6, "output_tokens": 5, "total_tokens": 11}),
        Part("root", None, None),
        Part("other", "root", {"output_tokens": 2, "total_tokens": 2, "cache_read_input_tokens": 1}),
    ]
    names = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens")
    assert summed(parts, names) == {
        "input_tokens": 6, "output_tokens": 7, "total_tokens": 13, "cache_read_input_tokens": 1
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.none() | st.integers(0, 9), st.none() | st.integers(-2, 5)),
        unique_by=lambda item: item[0],
    )
)
def test_every_way_up_counts_one_span_whatever_the_spans_say_of_their_parents(
    made: list[tuple[int, int | None, int | None]],
) -> None:
    """Parents may be missing, or name each other in a circle."""
    parents = {id: parent for id, parent, _ in made}
    said = {id: value for id, _, value in made}

    def above(id: int | None) -> list[int]:
        found: list[int] = []
        while id in parents and id not in found:
            found.append(id)
            id = parents[id]
        return found

    counted = [id for id in said if said[id] is not None and all(said[up] is None for up in above(parents[id]))]
    parts = [
        Part(str(id), None if parent is None else str(parent), None if value is None else {"total_tokens": value})
        for id, parent, value in made
    ]
    expected = {"total_tokens": sum(said[id] or 0 for id in counted)} if counted else {}
    assert summed(parts, ("total_tokens",)) == expected


CHAT = {"messages": [{"role": "system", "content": "brief"}, {"role": "user", "content": "how?"}]}


@pytest.mark.parametrize(
    ("value", "role", "shown"),
    [
        (CHAT, "user", "how?"),
        (json.dumps(CHAT), "user", "how?"),
        ({"request": CHAT}, "user", "how?"),
        (CHAT, "assistant", "how?"),
        ({"choices": [{"message": {"role": "assistant", "content": "so"}}]}, "assistant", "so"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}, {"type": "text", "text": "t"}]}]},
            "user",
            "t",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "user",
            '{"messages": [{"role": "user", "content": null}]}',
        ),
        ({"messages": []}, "user", '{"messages": []}'),
        ({"messages": [3]}, "user", '{"messages": [3]}'),
        ({"choices": []}, "assistant", '{"choices": []}'),
        ("plain", "user", '"plain"'),
        ('{"a":1}', "user", '{"a":1}'),
        ({"ü": [1, None]}, "user", '{"ü": [1, null]}'),
        (None, "user", "null"),
    ],
)
def test_a_preview_is_the_last_message_or_the_json(value: Any, role: str, shown: str) -> None:
    assert preview(value, role) == shown


def test_a_long_preview_is_cut() -> None:
    found = preview({"messages": [{"role": "user", "content": "x" * (LIMIT + 1)}]}, "user")
    assert (len(found), found[-4:]) == (LIMIT, "x...")
    assert preview({"messages": [{"role": "user", "content": "x" * LIMIT}]}, "user") == "x" * LIMIT


def test_the_root_says_what_a_trace_is_about() -> None:
    root = span(
        1, 1, mlflow__spanInputs={"q": 1}, mlflow__traceTag__team="blue", **{"mlflow.traceTag.a//b": "left out"}
    )
    child = span(1, 2, parent=1, mlflow__spanOutputs="hidden", session__id="s-7", user__id=12)
    found = facts(trace(child, root))
    assert (found.request, found.response) == ('{"q": 1}', None)
    assert found.tags == {"team": "blue"}
    assert (found.session, found.user) == ("s-7", "12")


def test_a_trace_without_its_root_has_no_previews() -> None:
    assert facts(trace(span(1, 2, parent=1, mlflow__spanInputs="x"))).request is None


def test_the_last_label_of_a_root_is_its_title() -> None:
    found = facts(trace(span(1, 1, **{"mlflow.traceTag.mlflow.traceName": "named"})))
    assert (found.title, found.tags) == ("named", {})
