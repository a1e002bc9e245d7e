from __future__ import annotations

import pytest

from tests.toys import Toy
from twinloop.control.evaluation.model import Condition
from twinloop.control.releases.answers import ChatRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.errors import Forbidden, GateFailed, InvalidInput, NotFound, Refused

HELLO = ChatRequest((Message("user", "hello"),))


async def said(toy: Toy, sticky: str | None = None) -> tuple[str, str]:
    reply = await toy.gateway.stream(LOCAL_ADMIN, "say", HELLO, sticky=sticky)
    return "".join([delta.text async for delta in reply.deltas]), reply.release


async def test_a_release_answers_with_what_it_pins(toy: Toy) -> None:
    assert await toy.release(await toy.word("one")) == "say@1"
    assert await said(toy) == ("one", "say@1")


async def test_releasing_the_same_pins_again_changes_nothing(toy: Toy) -> None:
    ref = await toy.word("one")
    await toy.release(ref)
    assert await toy.release(ref) == "say@1"
    assert len(await toy.releases.history(LOCAL_ADMIN, "say")) == 1


async def test_a_release_that_cannot_be_loaded_leaves_the_old_one_live(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        await toy.release(await toy.word("two", breaks=True))
    assert await said(toy) == ("one", "say@1")
    assert [event.release for event in await toy.releases.history(LOCAL_ADMIN, "say")] == ["say@1"]


@pytest.mark.parametrize("verdict", ["fail", "not_enough_evidence"])
async def test_a_gate_that_does_not_pass_keeps_the_release_out(toy: Toy, verdict: str) -> None:
    await toy.release(await toy.word("one"))
    toy.gate.verdict = verdict
    with pytest.raises(GateFailed, match="auc"):
        await toy.release(await toy.word("two"), gate=(Condition("auc", at_least=0.7),))
    assert await said(toy) == ("one", "say@1")


async def test_a_canary_answers_its_share_of_callers_and_the_same_callers_each_time(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    await toy.release(await toy.word("two"), stage="canary", weight=0.2)
    first = [(await said(toy, f"user-{i}"))[1] for i in range(1000)]
    assert 150 < first.count("say@2") < 250
    assert [(await said(toy, f"user-{i}"))[1] for i in range(100)] == first[:100]


async def test_rollback_returns_to_the_old_release_without_loading_it_again(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    await toy.release(await toy.word("two"))
    loaded = list(toy.endpoint.log)
    await toy.releases.rollback(LOCAL_ADMIN, "say")
    assert await said(toy) == ("one", "say@1")
    assert [entry for entry in toy.endpoint.log if entry.startswith("activated")] == loaded


async def test_a_request_under_way_finishes_on_the_release_it_began_on(toy: Toy) -> None:
    for text in ("one", "two", "three"):
        await toy.word(text)
    await toy.release("word/hello@1")
    reply = await toy.gateway.stream(LOCAL_ADMIN, "say", ChatRequest((Message("user", "wait"),)))
    await toy.release("word/hello@2")
    await toy.release("word/hello@3")
    assert not toy.endpoint.targets["word/hello@1"].closed
    toy.endpoint.targets["word/hello@1"].go.set()
    assert "".join([delta.text async for delta in reply.deltas]) == "one"
    assert toy.endpoint.targets["word/hello@1"].closed


async def test_what_was_live_when_can_be_read_from_the_history(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    toy.clock.advance(10)
    await toy.release(await toy.word("two"), stage="canary", weight=0.5)
    toy.clock.advance(10)
    await toy.releases.promote(LOCAL_ADMIN, "say", reason="looks good")
    history = await toy.releases.history(LOCAL_ADMIN, "say")
    assert [(e.action, e.release, e.traffic.live, e.traffic.canary) for e in history] == [
        ("promote", "say@2", 2, None),
        ("release", "say@2", 1, 2),
        ("release", "say@1", 1, None),
    ]
    assert history[0].reason == "looks good"


async def test_a_release_that_was_never_live_cannot_be_rolled_back_to(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    await toy.release(await toy.word("two"), stage="canary", weight=0.5)
    with pytest.raises(NotFound, match="never live"):
        await toy.releases.rollback(LOCAL_ADMIN, "say", to=2)


async def test_a_developer_may_register_but_not_release(toy: Toy) -> None:
    ref = await toy.word("one")
    developer = Principal("d", "default", Role.developer)
    with pytest.raises(Forbidden):
        await toy.releases.release(developer, "say", _request(ref))


async def test_pins_must_fit_the_endpoint(toy: Toy) -> None:
    with pytest.raises(NotFound):
        await toy.release("word/none@1")
    with pytest.raises(Refused, match="no live release"):
        await toy.release(await toy.word("one"), stage="shadow")


async def test_a_shadow_answers_unseen_and_leaves_its_own_trace(toy: Toy) -> None:
    await toy.release(await toy.word("one"))
    await toy.release(await toy.word("two"), stage="shadow")
    assert (await said(toy))[0] == "one"
    for task in list(toy.gateway._shadows):
        await task
    traces = await toy.tracing.newest(LOCAL_ADMIN)
    assert {trace.release for trace in traces} == {"say@1", "say@2"}


def _request(ref: str):  # type: ignore[no-untyped-def]
    from twinloop.control.releases.model import ReleaseRequest

    return ReleaseRequest("chat", {"word": ref})
