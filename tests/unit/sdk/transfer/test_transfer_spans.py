"""The three forms in which MLflow has written spans become the same values."""

from __future__ import annotations

import base64

import pytest

from twinloop.sdk.transfer.found import FoundSpan
from twinloop.sdk.transfer.spans import from_content, from_otlp

ID, PARENT, TRACE = "8b617b9b51964bbf", "9a8150236296936b", "17435b79456296e92ce574ce959fab54"


def b64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


WANTED = FoundSpan(
    id=ID,
    parent_id=PARENT,
    name="llm",
    start_ns=1,
    end_ns=2,
    status="error",
    message="no",
    attributes={"mlflow.spanType": "LLM", "n": 3, "x": 0.5, "list": [1, "a"], "map": {"k": True}},
    events=(("hit", 5, {"at": 1}),),
)


def test_a_span_of_the_database() -> None:
    attributes = {"mlflow.spanType": '"LLM"', "n": "3", "x": "0.5", "list": '[1, "a"]', "map": '{"k": true}'}
    span = {
        "trace_id": b64(TRACE), "span_id": b64(ID), "parent_span_id": b64(PARENT), "name": "llm",
        "start_time_unix_nano": 1, "end_time_unix_nano": 2, "attributes": attributes,
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "events": [{"name": "hit", "time_unix_nano": 5, "attributes": {"at": 1}}],
    }  # fmt: skip
    assert from_content(span) == WANTED


def test_a_span_of_the_rest_interface() -> None:
    attributes = [
        {"key": "mlflow.spanType", "value": {"string_value": "LLM"}},
        {"key": "n", "value": {"int_value": "3"}},
        {"key": "x", "value": {"double_value": 0.5}},
        {"key": "list", "value": {"array_value": {"values": [{"int_value": 1}, {"string_value": "a"}]}}},
        {"key": "map", "value": {"kvlist_value": {"values": [{"key": "k", "value": {"bool_value": True}}]}}},
    ]
    span = {
        "trace_id": b64(TRACE), "span_id": b64(ID), "parent_span_id": b64(PARENT), "name": "llm",
        "start_time_unix_nano": "1", "end_time_unix_nano": "2", "attributes": attributes,
        "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "events": [{"name": "hit", "time_unix_nano": "5", "attributes": [{"key": "at", "value": {"int_value": 1}}]}],
    }  # fmt: skip
    assert from_otlp(span) == WANTED


def test_a_span_of_the_first_form_of_tracing() -> None:
    attributes = {"mlflow.spanType": '"LLM"', "n": "3", "x": "0.5", "list": '[1, "a"]', "map": '{"k": true}'}
    span = {
        "context": {"trace_id": f"0x{TRACE}", "span_id": f"0x{ID}"}, "parent_id": f"0x{PARENT}", "name": "llm",
        "start_time": 1, "end_time": 2, "attributes": attributes, "status_code": "ERROR", "status_message": "no",
        "events": [{"name": "hit", "timestamp": 5, "attributes": {"at": 1}}],
    }  # fmt: skip
    assert from_content(span) == WANTED


def test_text_that_is_no_json_stays_text_and_an_open_span_has_no_end() -> None:
    span = {
        "span_id": ID, "parent_span_id": None, "name": "x", "start_time_unix_nano": 1, "end_time_unix_nano": None,
        "attributes": {"a": "plain words"}, "status": {"code": "UNSET"},
    }  # fmt: skip
    found = from_content(span)
    assert found.attributes == {"a": "plain words"}
    assert (found.end_ns, found.parent_id, found.status) == (None, None, "unset")


@pytest.mark.parametrize("id", ["", "zz", b64("00"), "8b617b9b51964bb", "not an id at all"])
def test_an_id_that_is_none_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        from_content({"span_id": id, "name": "x", "start_time_unix_nano": 1, "status": {}})
