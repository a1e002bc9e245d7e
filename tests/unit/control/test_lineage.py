from __future__ import annotations

import pytest

from tests.toys import Toy
from twinloop.control.lineage.model import CONTAINS
from twinloop.control.lineage.service import Lineage
from twinloop.control.registry.model import Parent
from twinloop.control.releases.answers import ChatRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.errors import NotFound


async def ask(toy: Toy) -> str:
    reply = await toy.gateway.stream(LOCAL_ADMIN, "say", ChatRequest((Message("user", "hi"),)))
    async for _ in reply.deltas:
        pass
    await toy.tracing.flush()
    return reply.trace_id


async def test_why_walks_from_an_answer_to_everything_behind_it(toy: Toy) -> None:
    source = (await toy.registry.register(LOCAL_ADMIN, "word", "source", {"text": "s"})).revision
    made = await toy.registry.register(
        LOCAL_ADMIN, "word", "hello", {"text": "h", "needs": [source.digest]}, [Parent("made_from", source.digest)]
    )
    await toy.release(made.revision.ref)
    trace = await ask(toy)
    graph = await Lineage(toy.store).why(LOCAL_ADMIN, f"trace:{trace}")
    assert {(n.kind, n.name, n.version) for n in graph.nodes} == {
        ("trace", "say", trace),
        ("release", "say", "1"),
        ("word", "hello", "1"),
        ("word", "source", "1"),
        ("letter", "first", "0-1"),
    }
    roles = {edge.role for edge in graph.edges}
    assert {"answered_by", "cited", "part_of", "word", "requires", "made_from"} <= roles


async def test_impact_finds_the_answers_that_used_a_revision_and_counts_them(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    traces = {await ask(toy) for _ in range(3)}
    word = await toy.registry.get(LOCAL_ADMIN, "word/hello@1")
    found = await Lineage(toy.store).impact(LOCAL_ADMIN, word.digest)
    assert found.leaves == 3
    assert {n.version for n in found.nodes if n.kind == "trace"} == traces


async def test_membership_does_not_blame_every_answer_of_the_container(toy: Toy) -> None:
    member = (await toy.registry.register(LOCAL_ADMIN, "word", "member", {"text": "m"})).revision
    box = await toy.registry.register(LOCAL_ADMIN, "word", "hello", {"text": "b"}, [Parent(CONTAINS, member.digest)])
    await toy.release(box.revision.ref)
    await ask(toy)
    found = await Lineage(toy.store).impact(LOCAL_ADMIN, member.digest)
    assert {(n.kind, n.name) for n in found.nodes} == {("word", "member"), ("word", "hello"), ("release", "say")}
    assert found.leaves == 0


async def test_a_trace_of_another_tenant_is_not_found(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    trace = await ask(toy)
    with pytest.raises(NotFound):
        await Lineage(toy.store).why(Principal("o", "other", Role.admin), f"trace:{trace}")
