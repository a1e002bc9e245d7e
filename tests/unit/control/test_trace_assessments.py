"""What is said of traces: made, revised, overridden and taken back, and whatever is done in whatever order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.machines import play
from tests.toys import Toy
from tests.tracing import BEGAN_MS, key, span, told, trace
from twinloop.backends.spool import MemorySpool
from twinloop.backends.sqlite import open_store
from twinloop.compose import write_trace_lineage
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracing.assessments import AssessmentChange
from twinloop.control.tracing.info import Assessment, client_id
from twinloop.control.tracing.service import Tracing
from twinloop.core.clock import ManualClock
from twinloop.core.errors import InvalidInput, NotFound, TwinloopError

T = TypeVar("T")
WHO = LOCAL_ADMIN


def said(id: str, value: Any = "yes", trace: int = 1, **more: Any) -> Assessment:
    values = {
        "kind": "feedback",
        "name": "f",
        "source_type": "HUMAN",
        "source_id": "ann",
        "created_ms": 1,
        "updated_ms": 1,
    }
    return Assessment(id=id, trace_id=key(trace), value=value, **{**values, **more})


@pytest.mark.parametrize("value", ["", "é'\"", 0, 3, 2.5, -1e300, True, False, None, [1, "a", None], {"k": {"n": 1}}])
@pytest.mark.parametrize("kind", ["feedback", "expectation"])
async def test_a_value_comes_back_as_it_was_given(toy: Toy, value: Any, kind: str) -> None:
    await toy.tracing.infos.start(WHO, told(1))
    made = said(
        "a-1", value, kind=kind, span_id="0" * 15 + "1", rationale="why", error={"error_code": "E"}, run="r",
        metadata={"k": "v"},
    )  # fmt: skip
    await toy.tracing.assessments.create(WHO, made)
    assert await toy.tracing.assessments.get(WHO, key(1), "a-1") == made
    assert (await toy.tracing.infos.get(WHO, key(1))).assessments == (made,)


async def test_what_is_not_there_is_said(toy: Toy) -> None:
    assessments = toy.tracing.assessments
    with pytest.raises(NotFound, match="Trace with ID"):
        await assessments.create(WHO, said("a-1"))
    for asked in (
        assessments.get(WHO, key(1), "a-1"),
        assessments.update(WHO, key(1), "a-1", AssessmentChange(name="n")),
    ):
        with pytest.raises(NotFound, match=f"Trace with request_id '{client_id(key(1))}' not found"):
            await asked
    await toy.tracing.infos.start(WHO, told(1))
    await toy.tracing.infos.start(WHO, told(2))
    await assessments.create(WHO, said("a-1"))
    for trace_id, id in ((key(1), "a-2"), (key(2), "a-1")):
        with pytest.raises(NotFound, match="Assessment with ID"):
            await assessments.get(WHO, trace_id, id)
        with pytest.raises(NotFound, match="Assessment with ID"):
            await assessments.update(WHO, trace_id, id, AssessmentChange(name="g"))
        await assessments.delete(WHO, trace_id, id)
    with pytest.raises(NotFound, match="Assessment with ID 'a-9' not found"):
        await assessments.create(WHO, said("a-3", overrides="a-9"))
    with pytest.raises(NotFound, match="Assessment with ID 'a-1' not found"):
        await assessments.create(WHO, said("a-3", trace=2, overrides="a-1"))
    assert [item.id for item in (await toy.tracing.infos.get(WHO, key(1))).assessments] == ["a-1"]


async def test_a_change_touches_what_it_names(toy: Toy) -> None:
    await toy.tracing.infos.start(WHO, told(1))
    await toy.tracing.assessments.create(WHO, said("a-1", metadata={"a": "1", "b": "2"}, rationale="why"))
    change = AssessmentChange(metadata={"b": "3"})
    first = await toy.tracing.assessments.update(WHO, key(1), "a-1", change)
    assert (first.metadata, first.rationale, first.value, first.created_ms) == ({"a": "1", "b": "3"}, "why", "yes", 1)
    assert first.updated_ms > 1
    change = AssessmentChange(name="g", kind="feedback", value=None, error={"error_code": "E"}, rationale="")
    second = await toy.tracing.assessments.update(WHO, key(1), "a-1", change)
    assert (second.name, second.value, second.error, second.rationale) == ("g", None, {"error_code": "E"}, "")
    assert second.updated_ms > first.updated_ms
    with pytest.raises(InvalidInput, match="Cannot update expectation value on a Feedback"):
        await toy.tracing.assessments.update(WHO, key(1), "a-1", AssessmentChange(kind="expectation", value=1))


@pytest.mark.parametrize(
    ("value", "filter", "found"),
    [
        ("yes", "feedback.f = 'yes'", True),
        ("yes", "feedback.f = '\"yes\"'", True),
        (True, "feedback.f = 'true'", True),
        (3, "feedback.f = '3'", True),
        (3, "feedback.f = '3.0'", True),
        (3, "feedback.f > 2", True),
        (True, "feedback.f > 0", False),
        ("3", "feedback.f > 2", False),
        ({"a": 1}, "feedback.f LIKE '%\"a\"%'", True),
        ("yes", "expectation.f = 'yes'", False),
        ("yes", "feedback.g IS NULL", True),
    ],
)
async def test_values_are_searched_as_they_are_written(toy: Toy, value: Any, filter: str, found: bool) -> None:
    await toy.tracing.infos.start(WHO, told(1))
    await toy.tracing.assessments.create(WHO, said("a-1", value))
    assert bool((await toy.tracing.infos.search(WHO, [0], filter)).items) == found


NAMES, VALUES = ("k", "l", "mlflow.traceName"), ("", "v", "w'")
numbers = st.integers(0, 2)
picks = st.integers(0, 99)
"""Of what is said of a trace, one is picked by number, so that most of what is done is done to something."""


class TraceMachine(RuleBasedStateMachine):
    """Three traces; a naive model keeps their tags and what is said of them."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "t.db")
        self.runner = asyncio.Runner()
        self.runner.run(self._open())
        self.tags: dict[int, dict[str, str]] = {}
        self.said: dict[int, dict[str, Assessment]] = {}
        self.made = 0

    async def _open(self) -> None:
        self.store = open_store(self.folder / "t.db")
        self.clock = ManualClock()
        self.tracing = Tracing(self.store, write_trace_lineage, MemorySpool(), self.clock)

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

    @initialize()
    def begin(self) -> None:
        """With something to work on."""
        for number in (0, 1):
            self.start(number, {"k": "v"})
            self.assess(number, "yes", None)

    @rule(number=numbers, tags=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES)))
    def start(self, number: int, tags: dict[str, str]) -> None:
        """A client may say it again; tags it named before stay."""
        self.do(self.tracing.infos.start(WHO, told(number, tags=tags)))
        self.tags[number] = {**self.tags.get(number, {}), **tags}
        self.said.setdefault(number, {})

    @rule(number=numbers)
    def send_spans(self, number: int) -> None:
        self.do(self.tracing.record(WHO, [trace(span(number, mlflow__traceTag__k="span"))]))
        self.tags[number] = {**self.tags.get(number, {}), "k": "span"}
        self.said.setdefault(number, {})

    @rule(number=numbers, name=st.sampled_from(NAMES), value=st.sampled_from(VALUES))
    def set_tag(self, number: int, name: str, value: str) -> None:
        done = self.do(self.tracing.infos.set_tag(WHO, key(number), name, value))
        assert done is (None if number in self.tags else NotFound)
        if number in self.tags:
            self.tags[number][name] = value

    @rule(number=numbers, name=st.sampled_from(NAMES))
    def delete_tag(self, number: int, name: str) -> None:
        done = self.do(self.tracing.infos.delete_tag(WHO, key(number), name))
        assert done is (None if self.tags.get(number, {}).pop(name, None) is not None else NotFound)

    def pick(self, number: int, pick: int) -> str:
        """The id of something said of a trace, or, one time in six, of nothing."""
        there = sorted(self.said.get(number, {}))
        return there[pick % len(there)] if there and pick % 6 else "a-nothing"

    @rule(number=numbers, value=st.sampled_from((1, "yes", None)), pick=st.none() | picks)
    def assess(self, number: int, value: Any, pick: int | None) -> None:
        self.made += 1
        overrides = None if pick is None else self.pick(number, pick)
        one = said(f"a-{self.made:03}", value, number, overrides=overrides, created_ms=self.made)
        done = self.do(self.tracing.assessments.create(WHO, one))
        if number not in self.said or (overrides and overrides not in self.said[number]):
            assert done is NotFound
            return
        assert done == one
        if overrides:
            self._validate(number, overrides, valid=False)
        self.said[number][one.id] = one

    def _validate(self, number: int, id: str, valid: bool) -> None:
        if id in self.said[number]:
            self.said[number][id] = msgspec.structs.replace(self.said[number][id], valid=valid)

    @rule(
        number=numbers,
        pick=picks,
        name=st.sampled_from(("f", "g")),
        rationale=st.sampled_from(("", "why")),
    )
    def revise(self, number: int, pick: int, name: str, rationale: str) -> None:
        id = self.pick(number, pick)
        change = AssessmentChange(name=name, kind="feedback", value="new", rationale=rationale)
        done = self.do(self.tracing.assessments.update(WHO, key(number), id, change))
        known = self.said.get(number, {}).get(id)
        if known is None:
            assert done is NotFound
            return
        assert isinstance(done, Assessment)
        assert done.updated_ms > known.updated_ms
        expected = {"name": name, "value": "new", "rationale": rationale, "updated_ms": done.updated_ms}
        self.said[number][id] = msgspec.structs.replace(known, **expected)

    @rule(number=numbers, pick=picks)
    def take_back(self, number: int, pick: int) -> None:
        id = self.pick(number, pick)
        assert self.do(self.tracing.assessments.delete(WHO, key(number), id)) is None
        gone = self.said.get(number, {}).pop(id, None)
        if gone and gone.overrides:
            self._validate(number, gone.overrides, valid=True)

    @precondition(lambda self: len(self.tags) == 3)
    @rule(chosen=st.sets(numbers, min_size=1))
    def delete(self, chosen: set[int]) -> None:
        there = chosen & self.tags.keys()
        assert self.do(self.tracing.infos.delete(WHO, "0", [key(number) for number in chosen])) == len(there)
        for number in there:
            del self.tags[number], self.said[number]

    @precondition(lambda self: len(self.tags) == 3)
    @rule(limit=st.none() | st.integers(1, 2))
    def delete_the_oldest(self, limit: int | None) -> None:
        chosen = sorted(self.tags)[:limit]  # all began at once, so the id decides
        done = self.do(self.tracing.infos.delete(WHO, "0", until_ms=BEGAN_MS, limit=limit))
        assert done == len(chosen)
        for number in chosen:
            del self.tags[number], self.said[number]

    @invariant()
    def agrees(self) -> None:
        found = self.do(self.tracing.infos.search(WHO, [0], order=["request_id"]))
        assert not isinstance(found, type)
        assert [info.trace_id for info in found.items] == [key(number) for number in sorted(self.tags)]
        for info, number in zip(found.items, sorted(self.tags), strict=True):
            own = {
                k: v for k, v in info.tags.items() if k not in ("mlflow.artifactLocation", "mlflow.trace.spansLocation")
            }
            assert own == self.tags[number]
            assert {item.id: item for item in info.assessments} == self.said[number]

    @invariant()
    def is_found_by_what_is_said(self) -> None:
        for filter, fits in (
            ("tag.k = 'v'", lambda n: self.tags[n].get("k") == "v"),
            ("tag.l IS NULL", lambda n: "l" not in self.tags[n]),
            ("feedback.f IS NOT NULL", lambda n: any(a.valid and a.name == "f" for a in self.said[n].values())),
            ("feedback.g = 'new'", lambda n: any(a.valid and a.name == "g" for a in self.said[n].values())),
        ):
            found = self.do(self.tracing.infos.search(WHO, [0], filter))
            assert not isinstance(found, type)
            assert {info.trace_id for info in found.items} == {key(n) for n in self.tags if fits(n)}


@pytest.mark.slow
def test_traces_agree_with_a_naive_model_whatever_is_done(tmp_path: Path) -> None:
    play(TraceMachine, tmp_path, steps=40)
