"""What is known of traces: spans and what a client says come in any order and in parts, tags, links and deletion."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toys import Toy
from tests.tracing import BEGAN_MS, key, span, told, trace
from twinloop.control.lineage import repository as lineage
from twinloop.control.releases.answers import ChatRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.tracing.info import Assessment, TraceInfo, client_id, key_of
from twinloop.core.errors import Forbidden, InvalidInput, NotFound

WHO = LOCAL_ADMIN
VIEWER = Principal("eve", WHO.tenant, Role.viewer)
SECRET = "sk-proj-abcdefghijklmnop1234"
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def test_an_id_is_kept_as_opentelemetrys_where_it_is_one() -> None:
    hex_id = "0af7651916cd43dd8448eb211c80319c"
    for given_id, kept, shown in (
        (f"tr-{hex_id}", hex_id, f"tr-{hex_id}"),
        (hex_id, hex_id, f"tr-{hex_id}"),
        ("my-trace", "my-trace", "my-trace"),
        ("tr-short", "tr-short", "tr-short"),
        (f"tr-{hex_id.upper()}", f"tr-{hex_id.upper()}", f"tr-{hex_id.upper()}"),
    ):
        assert (key_of(given_id), client_id(key_of(given_id))) == (kept, shown)


async def test_what_a_client_says_stands_whether_spans_come_before_or_after(toy: Toy) -> None:
    said = {
        "state": "ERROR", "duration_ms": 99, "request_preview": "asked", "response_preview": "said",
        "client_request_id": "c", "tags": {"k": "v", "mlflow.traceName": "named"}, "metadata": {"m": "n"},
    }  # fmt: skip
    for number, first in ((1, "told"), (2, "spans")):
        spans = trace(span(number, 1, "root", mlflow__spanInputs="x"), span(number, 2, parent=1))
        steps: dict[str, Any] = {
            "told": toy.tracing.infos.start(WHO, told(number, **said)),
            "spans": toy.tracing.record(WHO, [spans]),
        }
        for step in sorted(steps, key=lambda name: name != first):
            await steps[step]
    one, other = [await toy.tracing.infos.whole(WHO, key(n)) for n in (1, 2)]
    assert (one.info.state, one.info.duration_ms, one.info.request_preview) == ("ERROR", 99, "asked")
    assert one.info.tags["mlflow.traceName"] == "named"
    assert one.info.metadata == {"m": "n", "mlflow.trace.infoFinalized": "true"}
    there = one.info.tags["mlflow.artifactLocation"]
    assert there == f"mlflow-artifacts:/0/traces/{client_id(key(1))}/artifacts"
    same = msgspec.structs.replace(
        other.info, trace_id=key(1), tags={**other.info.tags, "mlflow.artifactLocation": there}
    )
    assert same == one.info
    assert [item.name for item in one.spans] == ["root", "s"]


PARTS = [
    span(7, 1, "root", at_ms=5, ms=20, mlflow__spanInputs="in", mlflow__spanOutputs="out", session__id="s"),
    span(7, 2, "left", parent=1, at_ms=6, ms=30, mlflow__chat__tokenUsage=USAGE),
    span(7, 3, "right", parent=1, at_ms=7, ms=2, mlflow__chat__tokenUsage=USAGE, mlflow__llm__cost={"total_cost": 0.5}),
    span(7, 4, "early", parent=2, at_ms=1, ms=1, mlflow__chat__tokenUsage=USAGE),
]
_numbers = itertools.count(1000)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=5),
    st.permutations(range(4)),
)
async def test_in_whatever_parts_spans_come_the_trace_is_the_same(
    toy: Toy, requests: list[list[int]], last: list[int]
) -> None:
    """Spans may come twice and out of order, as long as each comes."""
    number = next(_numbers)
    for wanted in [*requests, last]:
        spans = [msgspec.structs.replace(PARTS[n], trace_id=key(number)) for n in wanted]
        await toy.tracing.record(WHO, [trace(*spans)])
    found = await toy.tracing.infos.whole(WHO, key(number))
    assert (found.info.request_ms, found.info.duration_ms, found.info.state) == (BEGAN_MS + 1, 35, "OK")
    assert (found.info.request_preview, found.info.response_preview) == ('"in"', '"out"')
    assert found.info.metadata["mlflow.trace.session"] == "s"
    usage = msgspec.json.decode(found.info.metadata["mlflow.trace.tokenUsage"])
    assert usage == {"input_tokens": 2, "output_tokens": 4, "total_tokens": 6}
    assert msgspec.json.decode(found.info.metadata["mlflow.trace.cost"])["total_cost"] == 0.5
    assert [item.name for item in found.spans] == ["root", "early", "left", "right"]


async def test_a_trace_runs_until_its_root_has_come(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(1, 2, "child", parent=1))])
    running = await toy.tracing.infos.get(WHO, key(1))
    assert (running.state, running.duration_ms) == ("IN_PROGRESS", 10)
    await toy.tracing.record(WHO, [trace(span(1, 1, "root", status="error"))])
    assert (await toy.tracing.infos.get(WHO, key(1))).state == "ERROR"


async def test_one_request_may_hold_a_span_twice_and_a_trace_twice(toy: Toy) -> None:
    twice = [span(1, 1, "first"), span(1, 1, "second")]
    await toy.tracing.record(WHO, [trace(*twice), trace(span(1, 2, "later", parent=1))])
    assert [item.name for item in (await toy.tracing.infos.whole(WHO, key(1))).spans] == ["second", "later"]


async def test_nothing_is_said_of_an_experiment_that_is_not_there(toy: Toy) -> None:
    with pytest.raises(NotFound, match="No Experiment with id=9"):
        await toy.tracing.infos.start(WHO, told(1, experiment=9))
    with pytest.raises(NotFound):
        await toy.tracing.infos.get(WHO, key(1))


async def test_secrets_are_masked_wherever_a_client_writes(toy: Toy) -> None:
    said = Assessment("a-1", key(1), "feedback", "f", f"v {SECRET}", "HUMAN", None, 1, 1, rationale=SECRET)
    info = told(
        1, request_preview=SECRET, response_preview=SECRET, tags={"t": SECRET}, metadata={"m": SECRET}, assessments=(said,)
    )  # fmt: skip
    await toy.tracing.infos.start(WHO, info)
    await toy.tracing.infos.set_tag(WHO, key(1), "u", SECRET)
    await toy.tracing.infos.end(WHO, key(1), BEGAN_MS + 1, "ok", {"n": SECRET}, {"w": SECRET})
    await toy.tracing.assessments.create(WHO, msgspec.structs.replace(said, id="a-2"))
    for path in toy.store.path.parent.iterdir():
        assert SECRET.encode() not in path.read_bytes()
    assert (await toy.tracing.infos.get(WHO, key(1))).tags["t"] != ""


async def test_a_tag_is_set_changed_and_removed(toy: Toy) -> None:
    infos = toy.tracing.infos
    await infos.start(WHO, told(1))
    for value in ("one", "two", "é" * 9000):
        await infos.set_tag(WHO, key(1), "k", value)
        assert (await infos.get(WHO, key(1))).tags["k"] == value[:8000]
    await infos.delete_tag(WHO, key(1), "k")
    assert "k" not in (await infos.get(WHO, key(1))).tags
    with pytest.raises(NotFound, match="No trace tag with key 'k'"):
        await infos.delete_tag(WHO, key(1), "k")
    with pytest.raises(NotFound, match="No trace tag"):
        await infos.delete_tag(WHO, key(2), "k")
    with pytest.raises(NotFound, match="Trace with ID"):
        await infos.set_tag(WHO, key(2), "k", "v")


@pytest.mark.parametrize("name", ["", "a=b", "../a", "a//b", "/a", ".", "x" * 251, "a\n", "a?"])
async def test_a_name_that_cannot_be_a_tags_is_refused(toy: Toy, name: str) -> None:
    await toy.tracing.infos.start(WHO, told(1))
    with pytest.raises(InvalidInput):
        await toy.tracing.infos.set_tag(WHO, key(1), name, "v")


async def test_a_tag_that_nobody_set_can_be_removed_and_set(toy: Toy) -> None:
    infos = toy.tracing.infos
    await toy.tracing.record(WHO, [trace(span(1))])
    for name in ("mlflow.trace.spansLocation", "mlflow.artifactLocation"):
        assert name in (await infos.get(WHO, key(1))).tags
        await infos.delete_tag(WHO, key(1), name)
        assert name not in (await infos.get(WHO, key(1))).tags
        with pytest.raises(NotFound):
            await infos.delete_tag(WHO, key(1), name)
        await infos.set_tag(WHO, key(1), name, "mine")
        assert (await infos.get(WHO, key(1))).tags[name] == "mine"


async def test_a_client_does_not_choose_where_the_files_of_a_trace_lie(toy: Toy) -> None:
    infos = toy.tracing.infos
    there = f"mlflow-artifacts:/0/traces/{client_id(key(1))}/artifacts"
    for tags in ({"mlflow.artifactLocation": "s3://elsewhere/x", "k": "v"}, {"mlflow.artifactLocation": "file:///etc"}):
        started = await infos.start(WHO, told(1, tags=tags))
        assert (started.tags["mlflow.artifactLocation"], started.tags["k"]) == (there, "v")


async def test_a_trace_with_too_long_a_name_or_session_is_refused_and_not_cut(toy: Toy) -> None:
    infos = toy.tracing.infos
    for name, session, refused in (
        ("n" * 4096, "s" * 250, None),
        ("n" * 4097, "s", "'Trace name' exceeds the maximum length of 4096 characters"),
        ("n", "s" * 251, "'Session ID' exceeds the maximum length of 250 characters"),
    ):
        tags, metadata = {"mlflow.traceName": name}, {"mlflow.trace.session": session}
        if refused is None:
            await infos.start(WHO, told(1, tags=tags, metadata=metadata))
            await infos.set_tag(WHO, key(1), "mlflow.traceName", name)
            await infos.end(WHO, key(1), BEGAN_MS + 1, "ok", metadata, tags)
            continue
        with pytest.raises(InvalidInput, match=refused):
            await infos.start(WHO, told(2, tags=tags, metadata=metadata))
        with pytest.raises(InvalidInput, match=refused):
            await infos.end(WHO, key(1), BEGAN_MS + 1, "ok", metadata, tags)
    with pytest.raises(InvalidInput, match="'Trace name' exceeds"):
        await infos.set_tag(WHO, key(1), "mlflow.traceName", "n" * 4097)
    kept = await infos.get(WHO, key(1))
    assert (kept.tags["mlflow.traceName"], kept.metadata["mlflow.trace.session"]) == ("n" * 4096, "s" * 250)
    with pytest.raises(NotFound):
        await infos.get(WHO, key(2))


@pytest.mark.parametrize(
    ("tokens", "cost", "kept_tokens", "kept_cost"),
    [
        ({"input_tokens": "10"}, {"total_cost": "0.5"}, {"input_tokens": 10}, {"total_cost": 0.5}),
        (
            {"input_tokens": "1.5", "output_tokens": "2.0"},
            {"input_cost": "1"},
            {"output_tokens": 2},
            {"input_cost": 1.0},
        ),
        ({"total_tokens": "many"}, {"total_cost": ""}, None, None),
        ({"total_tokens": "9" * 5000}, {"total_cost": "inf"}, None, None),
        ({"total_tokens": True}, {"total_cost": "nan"}, None, None),
    ],
)
async def test_what_a_trace_used_may_be_told_in_numbers_written_as_text(
    toy: Toy, tokens: Any, cost: Any, kept_tokens: Any, kept_cost: Any
) -> None:
    metadata = {"mlflow.trace.tokenUsage": json.dumps(tokens), "mlflow.trace.cost": json.dumps(cost)}
    await toy.tracing.infos.start(WHO, told(1, metadata=metadata))
    kept = (await toy.tracing.infos.get(WHO, key(1))).metadata
    assert json.loads(kept.get("mlflow.trace.tokenUsage", "null")) == kept_tokens
    assert json.loads(kept.get("mlflow.trace.cost", "null")) == kept_cost


async def test_only_one_way_to_choose_what_is_deleted(toy: Toy) -> None:
    for chosen, said in (
        ({}, "Either"),
        ({"keys": [key(1)], "until_ms": 1}, "Only one of"),
        ({"keys": [key(1)], "limit": 1}, "can't be specified"),
        ({"until_ms": 1, "limit": 0}, "positive integer"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await toy.tracing.infos.delete(WHO, "0", **chosen)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="Invalid experiment ID"):
        await toy.tracing.infos.delete(WHO, "x", [key(1)])


async def test_the_oldest_are_deleted_first_and_other_experiments_stay(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(n, at_ms=n)) for n in range(6)])
    await toy.tracing.record(WHO, [trace(span(9), experiment=4)])
    infos = toy.tracing.infos
    assert await infos.delete(WHO, "0", until_ms=BEGAN_MS + 3, limit=2) == 2
    assert await infos.delete(WHO, "0", [key(2), key(2), key(9), key(77)]) == 1
    assert await infos.delete(WHO, "0", until_ms=BEGAN_MS + 4) == 2
    left = (await infos.search(WHO, [0, 4])).items
    assert [info.trace_id for info in left] == [key(5), key(9)]


@pytest.mark.parametrize("at_ms", [-1, 10**15, 2**63 - 1])
async def test_a_trace_neither_begins_nor_ends_at_a_time_that_cannot_be_kept(toy: Toy, at_ms: int) -> None:
    infos = toy.tracing.infos
    with pytest.raises(InvalidInput, match="1970 to 2262"):
        await infos.start(WHO, told(1, request_ms=at_ms))
    await infos.start(WHO, told(1, state="IN_PROGRESS", duration_ms=None), final=False)
    with pytest.raises(InvalidInput, match="1970 to 2262"):
        await infos.end(WHO, key(1), at_ms, "ok", {}, {})
    assert (await infos.get(WHO, key(1))).state == "IN_PROGRESS"


async def test_a_trace_may_last_longer_than_times_reach(toy: Toy) -> None:
    made = await toy.tracing.infos.start(WHO, told(1, duration_ms=10**15))
    assert (made.request_ms, made.duration_ms) == (BEGAN_MS, 10**15)


@pytest.mark.parametrize("far_ms", [10**15, 2**63 - 1, 10**30])
async def test_a_bound_that_no_column_holds_comes_after_every_trace_or_before(toy: Toy, far_ms: int) -> None:
    await toy.tracing.record(WHO, [trace(span(n, at_ms=n)) for n in range(2)])
    assert await toy.tracing.infos.delete(WHO, "0", until_ms=-far_ms) == 0
    assert await toy.tracing.infos.delete(WHO, "0", until_ms=far_ms) == 2


async def test_nothing_is_left_of_a_deleted_trace(toy: Toy) -> None:
    infos = toy.tracing.infos

    async def make() -> TraceInfo:
        await toy.tracing.record(WHO, [trace(span(1), span(1, 2, parent=1))])
        return await infos.start(WHO, told(1, tags={"t": "v"}, metadata={"m": "v"}))

    await make()
    await infos.link_run(WHO, [key(1)], "r")
    await infos.link_prompts(WHO, key(1), ["qa/1"])
    said = Assessment("a-1", key(1), "feedback", "f", 1, "HUMAN", None, 1, 1)
    await toy.tracing.assessments.create(WHO, said)
    assert await infos.delete(WHO, "0", [key(1)]) == 1
    with pytest.raises(NotFound):
        await toy.tracing.assessments.get(WHO, key(1), "a-1")
    await infos.start(WHO, told(1))
    again = await infos.whole(WHO, key(1))
    assert again.spans == again.info.assessments == ()
    assert again.info.tags.keys() == {"mlflow.artifactLocation"}
    for filter in ("run_id = 'r'", "prompt = 'qa/1'", "feedback.f = '1'", "metadata.m = 'v'"):
        assert (await infos.search(WHO, [0], filter)).items == ()


async def test_links_make_a_trace_part_of_the_lineage(toy: Toy) -> None:
    infos = toy.tracing.infos
    await infos.start(WHO, told(1, metadata={"mlflow.sourceRun": "r1", "mlflow.modelId": "m-1"}))
    await toy.tracing.record(WHO, [trace(span(2))])
    await infos.link_run(WHO, [key(2), key(2), key(3)], "r1")
    await infos.link_run(WHO, [key(2)], "r1")
    for number, expected in ((1, {"run:r1", "logged_model:m-1"}), (2, {"run:r1"})):
        parents = await toy.store.read(lambda c, n=number: _parents(c, key(n)))  # type: ignore[misc]
        assert parents == expected
    assert {info.trace_id for info in (await infos.search(WHO, [0], "run_id = 'r1'")).items} == {key(1), key(2)}
    with pytest.raises(InvalidInput, match="Cannot link more than 100"):
        await infos.link_run(WHO, [key(n) for n in range(101)], "r1")


def _parents(connection: Any, trace_id: str) -> set[str]:
    return {row.parent for row in lineage.parents(connection, WHO.tenant, [f"trace:{trace_id}"])}


async def test_prompts_are_linked_once(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(1))])
    for _ in range(2):
        await toy.tracing.infos.link_prompts(WHO, key(1), ["qa/1", "qa/2", "qa/1"])
    assert len((await toy.tracing.infos.search(WHO, [0], "prompt = 'qa/2'")).items) == 1
    with pytest.raises(NotFound):
        await toy.tracing.infos.link_prompts(WHO, key(2), ["qa/1"])


async def test_several_are_answered_in_the_order_asked_for_and_once(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(n), experiment=n % 2) for n in range(4)])
    asked = [key(n) for n in (3, 99, 0, 3, 1)]
    assert [info.trace_id for info in await toy.tracing.infos.many(WHO, asked)] == [key(n) for n in (3, 0, 1)]
    assert [whole.info.trace_id for whole in await toy.tracing.infos.wholes(WHO, asked, [0])] == [key(0)]


async def test_a_viewer_reads_and_does_not_write(toy: Toy) -> None:
    await toy.tracing.infos.start(WHO, told(1))
    await toy.tracing.infos.get(VIEWER, key(1))
    for attempt in (
        toy.tracing.infos.start(VIEWER, told(2)),
        toy.tracing.infos.set_tag(VIEWER, key(1), "k", "v"),
        toy.tracing.infos.delete_tag(VIEWER, key(1), "k"),
        toy.tracing.infos.delete(VIEWER, "0", [key(1)]),
        toy.tracing.infos.link_run(VIEWER, [key(1)], "r"),
        toy.tracing.infos.link_prompts(VIEWER, key(1), ["a/1"]),
        toy.tracing.infos.end(VIEWER, key(1), 1, "ok", {}, {}),
        toy.tracing.record(VIEWER, [trace(span(1))]),
        toy.tracing.assessments.delete(VIEWER, key(1), "a"),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_one_tenant_neither_sees_nor_changes_anothers_traces(toy: Toy) -> None:
    other = msgspec.structs.replace(WHO, tenant="other")
    await toy.tracing.record(WHO, [trace(span(1, name="mine"))])
    await toy.tracing.record(other, [trace(span(1, name="theirs"))])
    assert [s.name for s in (await toy.tracing.infos.whole(WHO, key(1))).spans] == ["mine"]
    assert await toy.tracing.infos.delete(other, "0", [key(1)]) == 1
    assert (await toy.tracing.infos.search(WHO, [0], "span.name = 'theirs'")).items == ()
    assert len((await toy.tracing.infos.search(WHO, [0])).items) == 1


async def test_the_gateways_traces_have_a_name_a_release_and_previews(toy: Toy) -> None:
    await toy.release(await toy.word("hi"))
    reply = await toy.gateway.stream(WHO, "say", ChatRequest((Message("user", "hello"),)))
    assert [delta.text async for delta in reply.deltas if delta.text] == ["hi"]
    (found,) = (await toy.tracing.infos.search(WHO, [0], "tag.twinloop.endpoint = 'say'")).items
    assert (found.tags["twinloop.release"], found.tags["mlflow.traceName"], found.state) == ("say@1", "chat say", "OK")
    await toy.tracing.infos.delete_tag(WHO, found.trace_id, "twinloop.endpoint")
    assert "twinloop.endpoint" not in (await toy.tracing.infos.get(WHO, found.trace_id)).tags
