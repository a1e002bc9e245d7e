"""The grammar of trace searches: what it reads and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinloop.control.search.reader import Clause, Order
from twinloop.control.tracing.grammar import parse_filter, parse_named_value, parse_order
from twinloop.core.errors import InvalidInput, TwinloopError


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("status = 'OK'", Clause("attribute", "status", "=", "OK")),
        ("trace.status IN ('OK', \"ERROR\",)", Clause("attribute", "status", "IN", ("OK", "ERROR"))),
        ("attributes.timestamp_ms >= 1.5e3", Clause("attribute", "timestamp_ms", ">=", 1500.0)),
        ("timestamp<-7", Clause("attribute", "timestamp_ms", "<", -7)),
        ("trace.execution_time > 1", Clause("attribute", "execution_time_ms", ">", 1)),
        ("name LIKE '%a''b%'", Clause("tag", "mlflow.traceName", "LIKE", "%a'b%")),
        ("trace.name != 'x'", Clause("tag", "mlflow.traceName", "!=", "x")),
        ("run_id = 'r'", Clause("run", "run_id", "=", "r")),
        ("metadata.mlflow.sourceRun = 'r'", Clause("run", "run_id", "=", "r")),
        ("request_metadata.`a b` is  not  null", Clause("metadata", "a b", "IS NOT NULL", None)),
        ("tags.a.b-c/d RLIKE '^x'", Clause("tag", "a.b-c/d", "RLIKE", "^x")),
        ('tag."my ""key""" ilike \'X\'', Clause("tag", 'my "key"', "ILIKE", "X")),
        ("`tag`.k IS NULL", Clause("tag", "k", "IS NULL", None)),
        ("trace.text LIKE '%needle%'", Clause("span", "content", "LIKE", "%needle%")),
        ("span.name = 'LLM'", Clause("span", "name", "=", "LLM")),
        ("span.type NOT IN ('TOOL')", Clause("span", "type", "NOT IN", ("TOOL",))),
        ("span.attributes.`gen_ai.model` = 'm'", Clause("span", "attributes.gen_ai.model", "=", "m")),
        ("span.attributes.a.b ILIKE '%'", Clause("span", "attributes.a.b", "ILIKE", "%")),
        ("prompt = 'qa/3'", Clause("prompt", "prompt", "=", "qa/3")),
        ("feedback.quality > 0.5", Clause("feedback", "quality", ">", 0.5)),
        ("feedback.`is it good` = 'yes'", Clause("feedback", "is it good", "=", "yes")),
        ("expectation.answer IS NULL", Clause("expectation", "answer", "IS NULL", None)),
        ("issue.id = 'i-1'", Clause("issue", "id", "=", "i-1")),
        ("client_request_id RLIKE 'a|b'", Clause("attribute", "client_request_id", "RLIKE", "a|b")),
    ],
)
def test_a_clause_is_read(text: str, clause: Clause) -> None:
    assert parse_filter(text) == (clause,)


def test_clauses_are_joined_by_and_in_any_case() -> None:
    assert len(parse_filter("status = 'OK' AND name='and'and tag.x = 'AND'\n AnD span.name = 'b'")) == 4
    assert parse_filter(" \n ") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status = 'OK' OR status = 'ERROR'", "there is no OR"),
        ("(status = 'OK')", "Invalid clause"),
        ("status", "Compare with"),
        ("status =", "quoted string value"),
        ("status == 'OK'", "quoted string value"),
        ("status = OK", "quoted string value"),
        ("status > 'OK'", "Invalid comparator '>'"),
        ("status IS NULL", "Invalid comparator"),
        ("timestamp_ms = '1'", "Expected a numeric value"),
        ("timestamp_ms = 1x", "Expected a numeric value"),
        ("timestamp_ms LIKE '1'", "Invalid comparator 'LIKE'"),
        ("color = 'x'", "Invalid attribute key 'color'"),
        ("request_preview = 'x'", "Invalid attribute key"),
        ("galaxy.x = 'x'", "Invalid entity type 'galaxy'"),
        ("tag.x > 'a'", "Invalid comparator '>'"),
        ("tag.x IN ('a')", "Invalid comparator 'IN'"),
        ("span.content = 'x'", "span.content comparator '=' not one of"),
        ("span.duration = 'x'", "Invalid span attribute 'duration'"),
        ("span.attributes. = 'x'", "cannot be empty"),
        ("span.name IS NULL", "span.name comparator 'IS NULL'"),
        ("feedback.x IN ('a')", "assessment.x comparator 'IN'"),
        ("feedback.x > 'a'", "Expected a numeric value"),
        ("issue.name = 'x'", "Invalid issue attribute"),
        ("prompt = 'qa'", "Expected format"),
        ("prompt = 'a/b/1'", "Expected format"),
        ("prompt LIKE 'a/1'", "Only '=' is supported"),
        ("span.name IN 'a'", "Expected a list"),
        ("span.name IN ()", "expected a non-empty list of string values"),
        ("span.name IN ('a'", "not closed"),
        ("span.name IN ('a' 'b')", "not closed"),
        ("name RLIKE '('", "Invalid regular expression"),
        ("name = 'unfinished", "quoted string value"),
        ("name = 'a' name = 'b'", "Join clauses with AND"),
        ("AND name = 'a'", "Compare with"),
    ],
)
def test_what_is_not_of_the_grammar_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_filter(text)
    assert said in error.value.message


def test_filters_without_end_are_refused() -> None:
    for text in (
        " AND ".join(["name = 'a'"] * 201),
        "name = '" + "x" * 200_000 + "'",
        "name LIKE '" + "x" * 10_001 + "'",
        "name RLIKE '" + "x" * 1001 + "'",
        "span.name IN (" + ",".join(["'a'"] * 10_001) + ")",
    ):
        with pytest.raises(InvalidInput):
            parse_filter(text)


_PIECES = ("span", ".", "name", "=", "'a'", "AND", "(", ",", ")", "IN", "LIKE", "`", '"', "1")


@given(st.text(max_size=60) | st.lists(st.sampled_from(_PIECES)).map(" ".join))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    for read in (parse_filter, lambda one: parse_order([one]), parse_named_value):
        try:
            read(text)
        except TwinloopError as error:
            assert isinstance(error, InvalidInput)  # noqa: PT017


def test_an_order_is_read() -> None:
    assert parse_order(["timestamp_ms DESC", "tag.`a b`", "metadata.x asc", "name", "run_id"]) == (
        Order("attribute", "timestamp_ms", False),
        Order("tag", "a b", True),
        Order("metadata", "x", True),
        Order("tag", "mlflow.traceName", True),
        Order("metadata", "mlflow.sourceRun", True),
    )


@pytest.mark.parametrize(
    "items",
    [
        ["timestamp_ms UP"],
        ["span.name"],
        ["feedback.x"],
        ["timestamp_ms", "timestamp"],
        ["client_request_id"],
        [""],
        ["x"] * 21,
    ],
)
def test_an_order_that_is_none_is_refused(items: list[str]) -> None:
    with pytest.raises(InvalidInput):
        parse_order(items)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trace.status = 'OK'", ("trace", "status", "", "OK")),
        ("trace.tag.`a.b c` = 'x'", ("trace", "tag", "a.b c", "x")),
        ("span.name = 'it''s'", ("span", "name", "", "it's")),
    ],
)
def test_a_filter_of_metrics_is_read(text: str, expected: tuple[str, str, str, str]) -> None:
    assert parse_named_value(text) == expected


@pytest.mark.parametrize(
    "text", ["trace.status != 'OK'", "status = 'OK'", "trace.status = 1", "trace.status = 'a' x", ""]
)
def test_a_filter_of_metrics_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_named_value(text)
