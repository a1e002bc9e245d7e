"""A second principal says whether a revision may go live."""

from __future__ import annotations

import pytest

from tests.toys import Toy
from twinloop.control.registry.card_rows import Named
from twinloop.control.registry.event_rows import events_after
from twinloop.control.releases.model import ReleaseRequest
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.errors import Forbidden, InvalidInput, NotFound, Refused

MAKER = Principal("mia", "default", Role.admin)
SECOND = Principal("sam", "default", Role.releaser)
THIRD = Principal("tom", "default", Role.releaser)
DEVELOPER = Principal("dev", "default", Role.developer)
CARD = Named("word", "hello", "word")


async def word(toy: Toy, text: str, approvals: int = 1) -> str:
    ref = (await toy.registry.register(MAKER, "word", "hello", {"text": text})).revision.ref
    await toy.registry.cards.require_approvals(MAKER, CARD, approvals)
    return ref


async def release(toy: Toy, ref: str, stage: str = "live") -> str:
    request = ReleaseRequest("chat", {"word": ref}, stage=stage)  # type: ignore[arg-type]
    return (await toy.releases.release(MAKER, "say", request)).release.ref


async def test_a_revision_without_approval_cannot_be_released_and_the_error_says_what_to_do(toy: Toy) -> None:
    ref = await word(toy, "one")
    with pytest.raises(Refused, match=r"word/hello@1 has 0 of the 1 approvals.*twinloop approve word/hello@1"):
        await release(toy, ref)
    assert toy.endpoint.log == []
    await toy.registry.approvals.approve(SECOND, ref, "looks fine")
    assert await release(toy, ref) == "say@1"


async def test_who_registered_it_cannot_judge_it(toy: Toy) -> None:
    ref = await word(toy, "one")
    for say in (toy.registry.approvals.approve, toy.registry.approvals.reject):
        with pytest.raises(Refused, match="mia registered"):
            await say(MAKER, ref)


async def test_without_keys_nobody_else_is_there_to_approve(toy: Toy) -> None:
    ref = await toy.word("one")
    await toy.registry.cards.require_approvals(LOCAL_ADMIN, CARD, 1)
    with pytest.raises(Refused, match=r"server without keys.*twinloop keys create"):
        await toy.registry.approvals.approve(LOCAL_ADMIN, ref)
    with pytest.raises(Refused, match="without keys"):
        await toy.release(ref)


async def test_a_developer_cannot_approve(toy: Toy) -> None:
    with pytest.raises(Forbidden, match="releaser"):
        await toy.registry.approvals.approve(DEVELOPER, await word(toy, "one"))


async def test_each_principal_counts_once(toy: Toy) -> None:
    ref = await word(toy, "one", approvals=2)
    for _ in range(3):
        standing = await toy.registry.approvals.approve(SECOND, ref)
    assert (len(standing.said), standing.approved) == (1, False)
    assert (await toy.registry.approvals.approve(THIRD, ref)).approved


async def test_a_no_outweighs_every_yes_until_who_said_it_takes_it_back(toy: Toy) -> None:
    ref = await word(toy, "one")
    await toy.registry.approvals.approve(SECOND, ref)
    await toy.registry.approvals.reject(THIRD, ref, "fails on holidays")
    with pytest.raises(Refused, match="rejected by tom"):
        await release(toy, ref)
    await toy.registry.approvals.approve(SECOND, ref)
    with pytest.raises(Refused, match="rejected by tom"):
        await release(toy, ref)
    assert (await toy.registry.approvals.approve(THIRD, ref)).approved
    assert await release(toy, ref) == "say@1"


async def test_a_rejection_counts_where_no_approval_is_asked_for(toy: Toy) -> None:
    ref = await word(toy, "one", approvals=0)
    await toy.registry.approvals.reject(SECOND, ref)
    with pytest.raises(Refused, match="rejected by sam"):
        await release(toy, ref)


async def test_an_alias_and_the_stage_production_ask_for_approval(toy: Toy) -> None:
    ref = await word(toy, "one")
    with pytest.raises(Refused, match="approvals"):
        await toy.registry.set_alias(MAKER, "word", "hello", "best", 1)
    with pytest.raises(Refused, match="approvals"):
        await toy.registry.versions.set_stage(MAKER, CARD, 1, "Production")
    await toy.registry.versions.set_stage(MAKER, CARD, 1, "Staging")
    await toy.registry.approvals.approve(SECOND, ref)
    await toy.registry.set_alias(MAKER, "word", "hello", "best", 1)
    await toy.registry.versions.set_stage(MAKER, CARD, 1, "Production")


async def test_what_a_pin_requires_needs_its_approvals_too(toy: Toy) -> None:
    base = (await toy.registry.register(MAKER, "word", "hello", {"text": "base"})).revision
    await toy.registry.cards.require_approvals(MAKER, CARD, 1)
    top = (await toy.registry.register(MAKER, "word", "top", {"text": "t", "needs": [base.digest]})).revision
    with pytest.raises(Refused, match="word/hello@1"):
        await release(toy, top.ref)


async def test_a_canary_whose_approval_was_withdrawn_is_not_promoted_and_can_be_rolled_back(toy: Toy) -> None:
    first, second = await word(toy, "one"), await word(toy, "two")
    for ref in (first, second):
        await toy.registry.approvals.approve(SECOND, ref)
    await release(toy, first)
    await release(toy, second, "canary")
    await toy.registry.approvals.reject(SECOND, second)
    with pytest.raises(Refused, match="rejected by sam"):
        await toy.releases.promote(MAKER, "say")
    assert (await toy.releases.traffic(MAKER, "say")).canary == 2
    assert (await toy.releases.rollback(MAKER, "say")).canary is None


async def test_rolling_back_asks_for_no_approval(toy: Toy) -> None:
    first, second = await word(toy, "one", approvals=0), await word(toy, "two", approvals=0)
    await release(toy, first)
    await release(toy, second)
    await toy.registry.cards.require_approvals(MAKER, CARD, 2)
    await toy.registry.approvals.reject(SECOND, first)
    assert (await toy.releases.rollback(MAKER, "say")).live == 1


async def test_a_deleted_revision_is_not_released_by_its_digest(toy: Toy) -> None:
    ref = await word(toy, "one", approvals=0)
    digest = (await toy.registry.get(MAKER, ref)).digest
    await toy.registry.versions.delete(MAKER, CARD, 1)
    with pytest.raises(Refused, match="was deleted"):
        await release(toy, digest)


@pytest.mark.parametrize("ref", ["word/hello", "word/hello@best"])
async def test_an_approval_names_one_revision_for_ever(toy: Toy, ref: str) -> None:
    await word(toy, "one", approvals=0)
    await toy.registry.set_alias(MAKER, "word", "hello", "best", 1)
    with pytest.raises(InvalidInput, match="another revision tomorrow"):
        await toy.registry.approvals.approve(SECOND, ref)


async def test_approving_what_is_not_there_says_so(toy: Toy) -> None:
    with pytest.raises(NotFound):
        await toy.registry.approvals.approve(SECOND, "word/none@1")


async def test_what_was_said_is_in_the_history_with_its_reason(toy: Toy) -> None:
    ref = await word(toy, "one")
    await toy.registry.approvals.reject(SECOND, ref, "no")
    await toy.registry.approvals.approve(SECOND, ref, "yes")
    events = await toy.store.read(lambda c: events_after(c, 0, 100))
    said = [(event.action, event.by, event.detail["comment"]) for event in events if "comment" in event.detail]
    assert said == [("revision.rejected", "sam", "no"), ("revision.approved", "sam", "yes")]
