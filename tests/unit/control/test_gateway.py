from __future__ import annotations

import asyncio

import pytest

from tests.toys import Toy
from twinloop.control.gateway.variants import share
from twinloop.control.releases.answers import ChatRequest, EmbedRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.core.errors import InvalidInput, NotFound, Unavailable

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
    await reply.deltas.aclose()
    (trace,) = await toy.tracing.newest(LOCAL_ADMIN)
    assert (trace.status, trace.release) == ("error", "say@1")
    assert (await toy.tracing.get(LOCAL_ADMIN, trace.trace_id)).spans[-1].message == "The client went away."


async def test_an_answer_that_nobody_began_to_read_ends_when_it_is_closed(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    reply = await toy.gateway.stream(LOCAL_ADMIN, "say", WAIT)
    await reply.deltas.aclose()
    await reply.deltas.aclose()
    (trace,) = await toy.tracing.newest(LOCAL_ADMIN)
    assert trace.status == "error"
    assert toy.table.row("default", "say").live.in_flight == 0  # type: ignore[union-attr]


async def test_requests_to_an_endpoint_that_is_being_loaded_wait_for_it(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    row = toy.table.row("default", "say")
    toy.table.announce("default", row.traffic)
    asking = asyncio.create_task(toy.gateway.stream(LOCAL_ADMIN, "say", ChatRequest((Message("user", "x"),))))
    await asyncio.sleep(0.05)
    assert not asking.done()
    await toy.table.switch("default", row.traffic)
    assert (await asking).release == "say@1"
    await (await asking).deltas.aclose()


async def test_an_endpoint_that_cannot_be_loaded_says_why(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    toy.table.mark_broken("default", toy.table.row("default", "say").traffic, "its weights are gone")
    with pytest.raises(Unavailable, match="its weights are gone"):
        await toy.gateway.stream(LOCAL_ADMIN, "say", WAIT)


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
