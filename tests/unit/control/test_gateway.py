from __future__ import annotations

import asyncio

import pytest
from tests.toys import Toy

from twinloop.control.gateway.variants import share
from twinloop.control.releases.answers import ChatRequest, EmbedRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.core.errors import InvalidInput, NotFound

WAIT = ChatRequest((Message("user", "wait"),))


async def test_an_unknown_endpoint_is_not_found(toy: Toy) -> None:
    with pytest.raises(NotFound, match="no endpoint nowhere"):
        await toy.gateway.stream(LOCAL_ADMIN, "nowhere", WAIT)


async def test_a_request_of_the_wrong_type_is_refused(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    with pytest.raises(InvalidInput, match="answers chat, not embed"):
        await toy.gateway.answer(LOCAL_ADMIN, "say", EmbedRequest(("x",)))


async def test_an_error_before_the_first_word_is_raised_and_traced(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    with pytest.raises(InvalidInput, match="asked to fail"):
        await toy.gateway.stream(LOCAL_ADMIN, "say", ChatRequest((Message("user", "fail"),)))
    (trace,) = await toy.tracing.newest(LOCAL_ADMIN)
    assert trace.status == "error"


async def test_a_caller_that_goes_away_ends_the_answer_and_leaves_a_trace(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    reply = await toy.gateway.stream(LOCAL_ADMIN, "say", WAIT)
    assert (await anext(reply.deltas)).text == "one"
    await reply.deltas.aclose()  # type: ignore[attr-defined]
    (trace,) = await toy.tracing.newest(LOCAL_ADMIN)
    assert (trace.status, trace.release) == ("error", "say@1")
    assert (await toy.tracing.get(LOCAL_ADMIN, trace.trace_id)).spans[-1].message == "The client went away."


async def test_many_requests_at_once_each_leave_one_trace(toy: Toy) -> None:
    await toy.release(await toy.word("one"))

    async def ask() -> str:
        reply = await toy.gateway.stream(LOCAL_ADMIN, "say", ChatRequest((Message("user", "x"),)))
        async for _ in reply.deltas:
            pass
        return reply.trace_id

    ids = await asyncio.gather(*(ask() for _ in range(200)))
    assert {trace.trace_id for trace in await toy.tracing.newest(LOCAL_ADMIN, limit=1000)} == set(ids)


def test_shares_are_spread_evenly() -> None:
    tenths = [0] * 10
    for i in range(10_000):
        tenths[int(share(f"user-{i}", "salt") * 10)] += 1
    assert all(850 < n < 1150 for n in tenths)
