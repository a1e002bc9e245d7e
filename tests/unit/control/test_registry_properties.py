"""Whatever is done to cards in whatever order, the registry agrees with a naive model of it kept in memory."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.machines import play
from tests.toys import WordKind
from twinloop.backends.sqlite import open_store
from twinloop.control.registry.card_rows import Titled
from twinloop.control.registry.errors import AliasNotFound, CardNotFound, TitleTaken, VersionNotFound
from twinloop.control.registry.event_rows import events_after
from twinloop.control.registry.model import STAGES, Stage
from twinloop.control.registry.repository import Wanted
from twinloop.control.registry.search import Wish
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.core.clock import ManualClock
from twinloop.core.errors import TwinloopError

T = TypeVar("T")
WHO = LOCAL_ADMIN
SHELF = "word"


class PhraseKind(WordKind):
    name = "phrase"


@dataclass
class Revision:
    tags: dict[str, str]
    stage: str = "None"
    deleted: bool = False


@dataclass
class Card:
    kind: str
    name: str
    title: str
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)

    def there(self) -> dict[int, Revision]:
        return {n: r for n, r in enumerate(self.revisions, 1) if not r.deleted}

    def delete(self) -> None:
        self.deleted, self.tags, self.aliases = True, {}, {}
        for revision in self.revisions:
            revision.deleted = True


TITLES = ["a", "ü c", "a (phrase)", "d"]
picks = st.integers(0, 999)
"""Of what there is, one is picked by number, so that most of what is done is done to something."""
names = st.sampled_from(["a", "b"])
kinds = st.sampled_from(["word", "phrase"])
keys = st.sampled_from(["k", "l"])
values = st.sampled_from(["", "v", "w'"])
aliases = st.sampled_from(["best", "next"])
stages = st.sampled_from(STAGES)


class RegistryMachine(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "r.db")
        self.runner = asyncio.Runner()
        self.store = self.runner.run(self._open())
        self.clock = ManualClock()
        self.registry = Registry(self.store, [WordKind(), PhraseKind()], self.clock, shelves={"phrase": SHELF})
        self.cards: list[Card] = []
        self.texts = 0

    async def _open(self) -> Any:
        return open_store(self.folder / "r.db")

    def teardown(self) -> None:
        self.runner.run(self.store.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, T]) -> T | type[TwinloopError]:
        """The result, or the class of the error."""
        self.clock.advance(0.001)
        try:
            return self.runner.run(work)
        except TwinloopError as error:
            return type(error)

    def titled(self, title: str) -> Card | None:
        return next((card for card in self.cards if card.title == title and not card.deleted), None)

    def title(self, pick: int) -> str:
        """The title of a card there is, or, one time in five, any."""
        live = [card.title for card in self.cards if not card.deleted]
        return live[pick % len(live)] if live and pick % 5 < 4 else TITLES[pick % len(TITLES)]

    def number(self, title: str, pick: int) -> int:
        """The number of a revision there is, or, one time in seven, any."""
        card = self.titled(title)
        there = list(card.there()) if card else []
        return there[pick % len(there)] if there and pick % 7 < 6 else 1 + pick % 3

    def revision(self, title: str, number: int) -> Revision | None:
        card = self.titled(title)
        return None if card is None else card.there().get(number)

    @initialize()
    def begin(self) -> None:
        """With something to work on."""
        for name in ("a", "a", "b"):
            self.register("word", name, again=False)

    @rule(title=st.sampled_from(TITLES), kind=kinds)
    def create(self, title: str, kind: str) -> None:
        done = self.do(self.registry.cards.create(WHO, kind, title))
        if self.titled(title):
            assert done is TitleTaken
            return
        assert not isinstance(done, type)
        assert (kind, done.card.name) not in {(card.kind, card.name) for card in self.cards}
        self.cards.append(Card(kind, done.card.name, title))

    @rule(kind=kinds, name=names, again=st.booleans())
    def register(self, kind: str, name: str, again: bool) -> None:
        self.texts += not again
        done = self.do(self.registry.register(WHO, kind, name, {"text": str(self.texts)}))
        assert not isinstance(done, type)
        card = self._registered_to(kind, name)
        assert (done.revision.kind, done.revision.name) == (card.kind, card.name)
        if done.created:
            assert done.revision.number == len(card.revisions) + 1
            card.revisions.append(Revision({}))
        elif card.revisions[done.revision.number - 1].deleted:
            card.revisions[done.revision.number - 1] = Revision(card.revisions[done.revision.number - 1].tags)

    def _registered_to(self, kind: str, name: str) -> Card:
        mine = [card for card in self.cards if card.kind == kind]
        for card in mine:
            if card.name == name and not card.deleted:
                return card
        for card in mine:
            if card.title == name and not card.deleted:
                return card
        title = name if self.titled(name) is None else f"{name} ({kind})"
        more = 1
        while self.titled(title) is not None:
            more += 1
            title = f"{name} ({kind} {more})"
        for card in mine:
            if card.name == name:
                card.deleted, card.title = False, title
                return card
        self.cards.append(Card(kind, name, title))
        return self.cards[-1]

    @rule(pick=picks, tags=st.dictionaries(keys, values, max_size=2))
    def add_version(self, pick: int, tags: dict[str, str]) -> None:
        title = self.title(pick)
        card = self.titled(title)
        kind = card.kind if card else "word"
        done = self.do(
            self.registry.add_version(WHO, Titled(SHELF, title), kind, Wanted({"text": "same"}, fresh=True, tags=tags))
        )
        if card is None:
            assert done is CardNotFound
            return
        assert not isinstance(done, type)
        card.revisions.append(Revision(dict(tags)))
        assert done.revision.number == len(card.revisions)

    @rule(pick=picks, new=st.sampled_from(TITLES))
    def rename(self, pick: int, new: str) -> None:
        title = self.title(pick)
        done = self.do(self.registry.cards.rename(WHO, Titled(SHELF, title), new))
        card = self.titled(title)
        if card is None:
            assert done is CardNotFound
        elif new != title and self.titled(new):
            assert done is TitleTaken
        else:
            card.title = new

    @rule(pick=picks, sure=st.integers(0, 3))
    def delete(self, pick: int, sure: int) -> None:
        if sure:  # most cards live long enough for something to happen to them
            return
        title = self.title(pick)
        done = self.do(self.registry.cards.delete(WHO, Titled(SHELF, title)))
        card = self.titled(title)
        assert (done is CardNotFound) == (card is None)
        if card is not None:
            card.delete()

    @rule(pick=picks, which=picks)
    def delete_version(self, pick: int, which: int) -> None:
        title = self.title(pick)
        number = self.number(title, which)
        done = self.do(self.registry.versions.delete(WHO, Titled(SHELF, title), number))
        revision = self.revision(title, number)
        assert (done is VersionNotFound) == (revision is None)
        card = self.titled(title)
        if revision is not None and card is not None:
            revision.deleted = True
            card.aliases = {alias: n for alias, n in card.aliases.items() if n != number}

    @rule(pick=picks, key=keys, value=values | st.none())
    def tag(self, pick: int, key: str, value: str | None) -> None:
        title = self.title(pick)
        verbs, mine = self.registry.cards, Titled(SHELF, title)
        done = self.do(verbs.delete_tag(WHO, mine, key) if value is None else verbs.set_tag(WHO, mine, key, value))
        card = self.titled(title)
        assert (done is CardNotFound) == (card is None)
        if card is not None:
            card.tags = _tagged(card.tags, key, value)

    @rule(pick=picks, which=picks, key=keys, value=values | st.none())
    def tag_version(self, pick: int, which: int, key: str, value: str | None) -> None:
        title = self.title(pick)
        number = self.number(title, which)
        verbs, mine = self.registry.versions, Titled(SHELF, title)
        done = self.do(
            verbs.delete_tag(WHO, mine, number, key) if value is None else verbs.set_tag(WHO, mine, number, key, value)
        )
        revision = self.revision(title, number)
        assert (done is VersionNotFound) == (revision is None)
        if revision is not None:
            revision.tags = _tagged(revision.tags, key, value)

    @rule(pick=picks, which=picks, stage=stages, archive=st.booleans())
    def set_stage(self, pick: int, which: int, stage: Stage, archive: bool) -> None:
        title = self.title(pick)
        number = self.number(title, which)
        archive = archive and stage in ("Staging", "Production")
        done = self.do(self.registry.versions.set_stage(WHO, Titled(SHELF, title), number, stage, archive))
        card, revision = self.titled(title), self.revision(title, number)
        assert (done is VersionNotFound) == (revision is None)
        if card is not None and revision is not None:
            for other in card.there().values():
                if archive and other.stage == stage:
                    other.stage = "Archived"
            revision.stage = stage

    @rule(pick=picks, which=picks, alias=aliases)
    def set_alias(self, pick: int, which: int, alias: str) -> None:
        title = self.title(pick)
        number = self.number(title, which)
        done = self.do(self.registry.versions.set_alias(WHO, Titled(SHELF, title), alias, number))
        card, revision = self.titled(title), self.revision(title, number)
        assert (done is VersionNotFound) == (revision is None)
        if card is not None and revision is not None:
            card.aliases[alias] = number

    @rule(pick=picks, alias=aliases)
    def delete_alias(self, pick: int, alias: str) -> None:
        title = self.title(pick)
        done = self.do(self.registry.versions.delete_alias(WHO, Titled(SHELF, title), alias))
        card = self.titled(title)
        assert (done is CardNotFound) == (card is None)
        if card is not None:
            card.aliases.pop(alias, None)

    @rule(pick=picks, alias=aliases)
    def by_alias(self, pick: int, alias: str) -> None:
        title = self.title(pick)
        done = self.do(self.registry.versions.by_alias(WHO, Titled(SHELF, title), alias))
        card = self.titled(title)
        if card is None:
            assert done is CardNotFound
        elif alias not in card.aliases:
            assert done is AliasNotFound
        else:
            assert not isinstance(done, type)
            assert done.revision.number == card.aliases[alias]

    @invariant()
    def cards_agree(self) -> None:
        page = self.runner.run(self.registry.cards.search(WHO, Wish(SHELF)))
        shown = {
            s.card.title: (s.card.kind, s.card.name, s.card.tags, s.aliases, _latest(s.latest)) for s in page.items
        }
        expected = {
            card.title: (card.kind, card.name, card.tags, card.aliases, _highest(card))
            for card in self.cards
            if not card.deleted
        }
        assert shown == expected
        assert [s.card.title for s in page.items] == sorted(expected)

    @invariant()
    def versions_agree(self) -> None:
        page = self.runner.run(self.registry.versions.search(WHO, Wish(SHELF, limit=1000)))
        shown = {(v.title, v.revision.number): (v.note.tags, v.note.stage, v.revision.aliases) for v in page.items}
        assert shown == {
            (card.title, number): (
                revision.tags,
                revision.stage,
                tuple(sorted(alias for alias, n in card.aliases.items() if n == number)),
            )
            for card in self.cards
            if not card.deleted
            for number, revision in card.there().items()
        }

    @invariant()
    def every_revision_is_in_the_history_under_its_number(self) -> None:
        events = self.runner.run(self.store.read(lambda c: events_after(c, 0, 100_000)))
        registered: dict[tuple[str, str], list[int]] = {}
        for event in events:
            if event.action == "revision.registered" and "again" not in event.detail:
                registered.setdefault((event.kind, event.name), []).append(event.number or 0)
        for card in self.cards:
            assert registered.get((card.kind, card.name), []) == list(range(1, len(card.revisions) + 1))


def _tagged(tags: dict[str, str], key: str, value: str | None) -> dict[str, str]:
    return {**{k: v for k, v in tags.items() if k != key}, **({} if value is None else {key: value})}


def _latest(versions: Any) -> dict[str, int]:
    return {version.note.stage: version.revision.number for version in versions}


def _highest(card: Card) -> dict[str, int]:
    return {revision.stage: number for number, revision in card.there().items()}


@pytest.mark.slow
def test_the_registry_agrees_with_a_naive_model(tmp_path: Path) -> None:
    play(RegistryMachine, tmp_path, steps=50)
