"""What was live when, who moved it, on what evidence."""

from __future__ import annotations

import pytest

from tests.toys import Toy
from twinloop.control.evaluation.model import Condition
from twinloop.control.registry.card_rows import Titled
from twinloop.control.releases.history import Entry, History
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.core.errors import InvalidInput, NotFound

OTHER = Principal("o", "other", Role.admin)
GATE = (Condition("score", at_least=0.5),)


@pytest.fixture
def history(toy: Toy) -> History:
    return History(toy.store, toy.registry)


async def release(toy: Toy, ref: str, stage: str = "live", **more: object) -> None:
    toy.clock.advance(10)
    await toy.release(ref, stage, **more)  # type: ignore[arg-type]


async def periods(history: History, ref: str) -> list[tuple[str, str, int, bool]]:
    page = await history.of(LOCAL_ADMIN, ref)
    return [
        (entry.period.release, entry.period.stage, entry.number or 0, entry.period.until_ns is None)
        for entry in page.items
        if entry.period is not None
    ]


def actions(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.action for entry in entries]


async def test_a_history_joins_changes_and_releases_newest_first(toy: Toy, history: History) -> None:
    ref = await toy.word("one")
    await release(toy, ref, gate=GATE)
    toy.clock.advance(10)
    await toy.registry.set_alias(LOCAL_ADMIN, "word", "hello", "best", 1)
    page = await history.of(LOCAL_ADMIN, "word/hello")
    assert actions(page.items) == ["alias.set", "release", "revision.registered", "card.created"]
    period = page.items[1].period
    assert period is not None
    assert (period.endpoint, period.release, period.stage, period.role) == ("say", "say@1", "live", "word")
    assert period.gate is not None
    assert period.gate.verdict == "pass"
    assert period.until_ns is None
    assert page.next is None


async def test_each_time_a_revision_was_live_has_its_beginning_and_its_end(toy: Toy, history: History) -> None:
    first, second = await toy.word("one"), await toy.word("two")
    await release(toy, first)
    await release(toy, second, "canary")
    toy.clock.advance(10)
    await toy.releases.promote(LOCAL_ADMIN, "say", reason="better")
    toy.clock.advance(10)
    await toy.releases.rollback(LOCAL_ADMIN, "say", reason="worse")
    assert await periods(history, "word/hello") == [
        ("say@1", "live", 1, True),
        ("say@2", "live", 2, False),
        ("say@2", "canary", 2, False),
        ("say@1", "live", 1, False),
    ]
    entries = [entry for entry in (await history.of(LOCAL_ADMIN, "word/hello@2")).items if entry.period]
    assert [(entry.action, entry.period.reason) for entry in entries if entry.period] == [
        ("promote", "better"),
        ("release", ""),
    ]
    live, canary = [entry.period for entry in entries]
    assert live is not None
    assert canary is not None
    assert canary.until_ns == live.since_ns
    assert live.until_ns == live.since_ns + 10 * 10**9


async def test_a_rollback_is_told_as_what_brought_the_old_one_back(toy: Toy, history: History) -> None:
    for text in ("one", "two"):
        await release(toy, await toy.word(text))
    toy.clock.advance(10)
    await toy.releases.rollback(LOCAL_ADMIN, "say", reason="worse")
    newest = (await history.of(LOCAL_ADMIN, "word/hello@1")).items[0]
    assert (newest.action, newest.by, newest.period and newest.period.reason) == ("rollback", "local", "worse")


async def test_what_a_release_needs_in_turn_was_live_too(toy: Toy, history: History) -> None:
    base = (await toy.registry.register(LOCAL_ADMIN, "word", "base", {"text": "b"})).revision
    await release(toy, await toy.word("top", needs=[base.digest]))
    (entry,) = [e for e in (await history.of(LOCAL_ADMIN, "word/base")).items if e.period]
    assert entry.period is not None
    assert (entry.period.role, entry.period.release) == ("requires", "say@1")


async def test_what_was_deleted_is_still_told(toy: Toy, history: History) -> None:
    for text in ("one", "two", "three"):
        await release(toy, await toy.word(text))
    which = toy.registry.cards.named("word", "hello")
    await toy.registry.versions.delete(LOCAL_ADMIN, which, 1)
    told = actions((await history.of(LOCAL_ADMIN, "word/hello@1")).items)
    assert told == ["revision.deleted", "release", "revision.registered"]


async def test_a_history_is_found_by_number_alias_digest_and_title(toy: Toy, history: History) -> None:
    await toy.word("one")
    await toy.registry.set_alias(LOCAL_ADMIN, "word", "hello", "best", 1)
    digest = (await toy.registry.get(LOCAL_ADMIN, "word/hello@1")).digest
    await toy.registry.cards.rename(LOCAL_ADMIN, Titled("word", "hello"), "greeting")
    expected = (await history.of(LOCAL_ADMIN, "word/hello@1")).items
    assert len(expected) == 2
    for ref in ("word/hello@best", digest, "word/greeting@1"):
        assert (await history.of(LOCAL_ADMIN, ref)).items == expected


@pytest.mark.parametrize("ref", ["word/none", "word/hello@9", "word/hello@none"])
async def test_what_never_was_has_no_history(toy: Toy, history: History, ref: str) -> None:
    await toy.word("one")
    with pytest.raises(NotFound):
        await history.of(LOCAL_ADMIN, ref)
    with pytest.raises(NotFound):
        await history.of(OTHER, "word/hello")


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_of_a_history_tell_everything_once(toy: Toy, history: History, limit: int) -> None:
    for text in ("one", "two", "three"):
        await release(toy, await toy.word(text))
        await toy.registry.set_alias(LOCAL_ADMIN, "word", "hello", "best", 1)
    whole = (await history.of(LOCAL_ADMIN, "word/hello")).items
    seen: list[Entry] = []
    token: str | None = None
    while True:
        page = await history.of(LOCAL_ADMIN, "word/hello", limit, token)
        seen += page.items
        token = page.next
        if token is None:
            break
    assert tuple(seen) == whole
    assert len(whole) == 1 + 3 + 3 + 3


@pytest.mark.parametrize("token", ["x", "1", "a.b", "1.-1", "." + "9" * 30])
async def test_a_token_that_was_never_given_is_refused(toy: Toy, history: History, token: str) -> None:
    await toy.word("one")
    with pytest.raises(InvalidInput, match="token"):
        await history.of(LOCAL_ADMIN, "word/hello", 10, token)
