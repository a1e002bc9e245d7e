"""SQL answers every filter and order of traces as a naive evaluation in memory does; pages neither lose nor repeat."""

from __future__ import annotations

import itertools
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toys import Toy
from tests.tracing import BEGAN_MS, key, span, told, trace
from twinloop.control.search.reader import Clause, Order
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracing.info import Assessment, client_id
from twinloop.core.errors import InvalidInput

WHO = LOCAL_ADMIN
KEYS = ("k", "a b", "x/y")
TEXTS = ("", "a", "A", "ab", "a%b", "a_b", "[a]*?", "it's", "\\", "aB", "3", "true", "日")
PATTERNS = ("%", "a%", "_", "%b", "a_b", "[a]%", "A%", "%'%", "%\\%", "", "*", "a?b", '"a%')
REGEXES = ("^a", "b$", "a|A", "", r"\[", "^.$")
NUMBERS = (0, 1, 2, 5, 7, 1.5, -1, 1e30)
WORDS = ("marble", "Quartz")
STATES = ("OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED")


@dataclass
class Part:
    name: str
    type: str | None
    status: str
    attributes: dict[str, Any]


@dataclass
class Said:
    kind: str
    name: str
    value: Any
    valid: bool
    of_session: bool


@dataclass
class Made:
    """A trace, as the naive evaluation knows it."""

    title: str | None
    state: str
    at_ms: int
    ms: int | None
    client_request_id: str | None
    session: str | None
    tags: dict[str, str]
    metadata: dict[str, str]
    run: str | None
    linked: list[str]
    prompts: list[str]
    parts: list[Part]
    said: list[Said]
    told_last: bool
    id: str = ""
    neighbours: list[Made] = field(default_factory=list, repr=False)

    def value(self, entity: str, name: str) -> Any:
        if entity == "metadata":
            return self.run if name == "mlflow.sourceRun" else self.metadata.get(name)
        if entity == "tag":
            return self.title if name == "mlflow.traceName" else self.tags.get(name)
        began = BEGAN_MS + self.at_ms
        return {
            "timestamp_ms": began, "execution_time_ms": self.ms, "end_time_ms": began + (self.ms or 0),
            "status": self.state, "client_request_id": self.client_request_id, "request_id": self.id, "experiment_id": 0,
        }[name]  # fmt: skip

    def counts(self) -> list[Said]:
        """Valid assessments, of this trace or of its session."""
        own = [item for item in self.said if item.valid]
        same = [other for other in self.neighbours if self.session is not None and other.session == self.session]
        return own + [item for other in same for item in other.said if item.valid and item.of_session]


def _some(random: Random, items: Sequence[Any], least: int = 0) -> list[Any]:
    return random.sample(items, random.randint(least, min(2, len(items))))


def _maybe(random: Random, items: Sequence[Any]) -> Any:
    return random.choice([None, *items])


def _pairs(random: Random, keys: Sequence[str]) -> dict[str, str]:
    return {name: random.choice(TEXTS) for name in _some(random, keys)}


def _part(random: Random) -> Part:
    attributes = {name: random.choice((*TEXTS, 1, 2.5, True, False)) for name in _some(random, ("k", "a.b"))}
    name = random.choice((*TEXTS[1:], *WORDS))
    return Part(name, _maybe(random, ("TOOL", "LLM")), random.choice(("OK", "ERROR", "UNSET")), attributes)


def _said(random: Random) -> Said:
    value = random.choice((*TEXTS, 1, 2, 2.5, True, False, 0))
    kind, name = random.choice(("feedback", "expectation")), random.choice(("good", "is it?"))
    return Said(kind, name, value, random.random() < 0.7, random.random() < 0.3)


def _trace(random: Random) -> Made:
    return Made(
        title=_maybe(random, TEXTS),
        state=random.choice(STATES),
        at_ms=random.randint(0, 3),
        ms=_maybe(random, range(4)),
        client_request_id=_maybe(random, TEXTS),
        session=_maybe(random, ("s", "t", "u")),
        tags=_pairs(random, KEYS),
        metadata=_pairs(random, KEYS),
        run=_maybe(random, ("r", "q")),
        linked=_some(random, ("r", "q"))[:1],
        prompts=_some(random, ("qa/1", "qa/2")),
        parts=[_part(random) for _ in range(random.randint(0, 3))],
        said=[_said(random) for _ in range(random.randint(0, 2))],
        told_last=random.random() < 0.5,
    )


texts = st.sampled_from(TEXTS)
plain = st.tuples(st.sampled_from(("=", "!=")), texts)
patterned = st.tuples(st.sampled_from(("LIKE", "ILIKE")), st.sampled_from(PATTERNS))
matched = st.tuples(st.just("RLIKE"), st.sampled_from(REGEXES))
listed = st.tuples(st.sampled_from(("IN", "NOT IN")), st.lists(texts, min_size=1, max_size=3).map(tuple))
counted = st.tuples(st.sampled_from(("<", "<=", ">", ">=")), st.sampled_from(NUMBERS))
equal = st.tuples(st.sampled_from(("=", "!=")), st.sampled_from(NUMBERS))
presence = st.tuples(st.sampled_from(("IS NULL", "IS NOT NULL")), st.none())
textual = plain | patterned | matched


def _clauses(entity: str, keys: Sequence[str], compared: st.SearchStrategy[Any]) -> st.SearchStrategy[Clause]:
    return st.builds(lambda name, pair: Clause(entity, name, *pair), st.sampled_from(keys), compared)  # type: ignore[arg-type]


def _later(pair: tuple[str, float]) -> tuple[str, float]:
    return pair[0], pair[1] + BEGAN_MS if abs(pair[1]) < 100 else pair[1]


clauses = st.lists(
    _clauses("attribute", ("timestamp_ms", "end_time_ms"), (counted | equal).map(_later))
    | _clauses("attribute", ("execution_time_ms",), counted | equal)
    | _clauses("attribute", ("client_request_id",), textual | listed)
    | _clauses("attribute", ("status",), st.tuples(st.sampled_from(("=", "!=")), st.sampled_from(STATES)) | listed)
    | _clauses("tag", (*KEYS, "mlflow.traceName"), textual | presence)
    | _clauses("metadata", KEYS, textual | presence)
    | _clauses("run", ("run_id",), st.tuples(st.sampled_from(("=", "!=")), st.sampled_from(("r", "q"))) | presence)
    | _clauses("prompt", ("prompt",), st.tuples(st.just("="), st.sampled_from(("qa/1", "qa/3"))))
    | _clauses("span", ("name", "attributes.k", "attributes.a.b"), textual | listed)
    | _clauses("span", ("type",), st.tuples(st.sampled_from(("=", "!=", "LIKE")), st.sampled_from(("TOOL", "L%"))))
    | _clauses("span", ("status",), st.tuples(st.sampled_from(("=", "!=")), st.sampled_from(("OK", "ERROR"))))
    | _clauses(
        "span", ("content",), st.tuples(st.sampled_from(("LIKE", "ILIKE")), st.sampled_from(("%marble%", "%quartz%")))
    )
    | _clauses("feedback", ("good", "is it?"), textual | counted | presence)
    | _clauses("expectation", ("good", "is it?"), plain | counted | presence),
    max_size=2,
)
ordered = ("timestamp_ms", "execution_time_ms", "end_time_ms", "status", "request_id")
orders = st.lists(
    st.builds(Order, st.sampled_from(("tag", "metadata")), st.sampled_from(KEYS), st.booleans())
    | st.builds(Order, st.just("tag"), st.just("mlflow.traceName"), st.booleans())
    | st.builds(Order, st.just("attribute"), st.sampled_from(ordered), st.booleans()),
    max_size=3,
    unique_by=lambda order: order[:2],
)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _written(clause: Clause) -> str:
    left = f"{clause.entity}.`{clause.key}`"
    if clause.entity in ("attribute", "run", "prompt"):
        left = clause.key
    elif clause.entity == "span":
        left = f"span.{clause.key}"
    if clause.value is None:
        return f"{left} {clause.comparator}"
    if isinstance(clause.value, tuple):
        return f"{left} {clause.comparator} ({', '.join(map(_quoted, clause.value))})"
    return f"{left} {clause.comparator} {_quoted(clause.value) if isinstance(clause.value, str) else clause.value}"


_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "IN": lambda left, right: left in right,
    "NOT IN": lambda left, right: left not in right,
    "RLIKE": lambda left, right: re.search(right, left) is not None,
    "LIKE": lambda left, right: _like(left, right, 0),
    "ILIKE": lambda left, right: _like(left, right, re.IGNORECASE),
}  # fmt: skip


def _like(left: str, pattern: str, flags: int) -> bool:
    regex = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(regex, left, flags | re.DOTALL) is not None


def _compared(left: Any, comparator: str, right: Any) -> bool:
    if comparator in ("IS NULL", "IS NOT NULL"):
        return (left is None) == (comparator == "IS NULL")
    return left is not None and _COMPARED[comparator](left, right)


def _as_text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _part_fits(part: Part, clause: Clause) -> bool:
    if clause.key == "content":
        return _compared(" ".join([part.name, *map(str, part.attributes.values())]), clause.comparator, clause.value)
    known = {"name": part.name, "type": part.type, "status": part.status}
    attribute = _as_text(part.attributes.get(clause.key.removeprefix("attributes.")))
    return _compared(known.get(clause.key, attribute), clause.comparator, clause.value)


def _said_fits(said: Said, clause: Clause) -> bool:
    number = not isinstance(said.value, bool | str)
    if clause.comparator in ("<", "<=", ">", ">="):
        return number and _compared(said.value, clause.comparator, clause.value)
    written = json.dumps(said.value, ensure_ascii=False)
    if clause.comparator in ("=", "!="):
        same = clause.value in (written, said.value if isinstance(said.value, str) else None)
        same = same or (number and re.fullmatch(r"-?\d+", str(clause.value)) and said.value == float(str(clause.value)))
        return bool(same) == (clause.comparator == "=")
    return _compared(written, clause.comparator, clause.value)


def _fits(made: Made, clause: Clause) -> bool:
    match clause.entity:
        case "run":
            return _compared(made.run, clause.comparator, clause.value) or (
                clause.comparator == "=" and clause.value in made.linked
            )
        case "prompt":
            return clause.value in made.prompts
        case "feedback" | "expectation":
            mine = [said for said in made.counts() if (said.kind, said.name) == (clause.entity, clause.key)]
            if clause.value is None:
                return bool(mine) == (clause.comparator == "IS NOT NULL")
            return any(_said_fits(said, clause) for said in mine)
    return _compared(made.value(clause.entity, clause.key), clause.comparator, clause.value)


def _all_fit(made: Made, wanted: Sequence[Clause]) -> bool:
    """Clauses on spans must all fit one span."""
    of_spans = [clause for clause in wanted if clause.entity == "span"]
    one = not of_spans or any(all(_part_fits(part, clause) for clause in of_spans) for part in made.parts)
    return one and all(_fits(made, clause) for clause in wanted if clause.entity != "span")


def _ordered(traces: list[Made], wanted: Sequence[Order]) -> list[str]:
    result = sorted(traces, key=lambda made: made.id)
    if not any(order.key == "timestamp_ms" for order in wanted):
        result.sort(key=lambda made: made.at_ms, reverse=True)
    for order in reversed(wanted):
        present = [made for made in result if made.value(order.entity, order.key) is not None]
        absent = [made for made in result if made.value(order.entity, order.key) is None]
        present.sort(key=lambda made: made.value(order.entity, order.key), reverse=not order.ascending)
        result = present + absent
    return [made.id for made in result]


@pytest.fixture(params=[1, 2])
async def crowd(toy: Toy, request: pytest.FixtureRequest) -> list[Made]:
    """Many traces, so that most searches find some and leave some."""
    random = Random(request.param)
    crowd = [_trace(random) for _ in range(60)]
    for number, made in enumerate(crowd):
        made.neighbours = crowd
        await _make(toy, number, made)
    return crowd


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clauses, orders, st.integers(7, 40))
async def test_sql_answers_as_a_naive_evaluation_does(
    toy: Toy, crowd: list[Made], wanted: list[Clause], order: list[Order], limit: int
) -> None:
    filter = " AND ".join(map(_written, wanted))
    items = tuple(_item(item) for item in order)
    found: list[str] = []
    token = None
    while True:
        page = await toy.tracing.infos.search(WHO, [0], filter, items, limit, token)
        found += [client_id(info.trace_id) for info in page.items]
        token = page.next
        if token is None:
            break
    assert found == _ordered([made for made in crowd if _all_fit(made, wanted)], order)


def _item(order: Order) -> str:
    left = order.key if order.entity == "attribute" else f"{order.entity}.`{order.key}`"
    return f"{left} {'ASC' if order.ascending else 'DESC'}"


async def _make(toy: Toy, number: int, made: Made) -> None:
    made.id = client_id(key(number))
    metadata = {**made.metadata, **({"mlflow.sourceRun": made.run} if made.run is not None else {})}
    metadata |= {"mlflow.trace.session": made.session} if made.session is not None else {}
    info = told(
        number, request_ms=BEGAN_MS + made.at_ms, state=made.state, duration_ms=made.ms, metadata=metadata,
        client_request_id=made.client_request_id,
        tags={**made.tags, **({"mlflow.traceName": made.title} if made.title is not None else {})},
    )  # fmt: skip
    spans = [
        span(number, id, part.name, parent=7, at_ms=made.at_ms, status=part.status.lower(), **part.attributes)  # type: ignore[arg-type]
        for id, part in enumerate(made.parts, 10)
    ]
    for item, part in zip(spans, made.parts, strict=True):
        item.attributes.update({} if part.type is None else {"mlflow.spanType": part.type})
    steps = [toy.tracing.infos.start(WHO, info)] + ([toy.tracing.record(WHO, [trace(*spans)])] if spans else [])
    for step in reversed(steps) if made.told_last else steps:
        await step
    for run in made.linked:
        await toy.tracing.infos.link_run(WHO, [key(number)], run)
    await toy.tracing.infos.link_prompts(WHO, key(number), made.prompts)
    for order, said in enumerate(made.said):
        of = {"mlflow.trace.session": "any"} if said.of_session else {}
        await toy.tracing.assessments.create(
            WHO,
            Assessment(f"a-{number}-{order}", key(number), said.kind, said.name, said.value, "HUMAN", None, order, order,
                       valid=said.valid, metadata=of),  # type: ignore[arg-type]
        )  # fmt: skip


async def test_pages_do_not_shift_when_traces_are_added_while_turning_them(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(n, at_ms=n // 3)) for n in range(30)])
    found: list[str] = []
    token = None
    for newer in itertools.count(100):
        page = await toy.tracing.infos.search(WHO, [0], limit=7, token=token)
        found += [info.trace_id for info in page.items]
        await toy.tracing.record(WHO, [trace(span(newer, at_ms=1000))])
        token = page.next
        if token is None:
            break
    assert sorted(found) == [key(n) for n in range(30)]
    assert newer == 104


@pytest.mark.parametrize("comparator", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("value", [0, 1, 1.5, 2, 3, 1e30, -1e30])
async def test_a_moment_is_compared_by_its_millisecond(toy: Toy, comparator: str, value: float) -> None:
    """Traces begin within a millisecond, at nanoseconds."""
    asked = BEGAN_MS + value if abs(value) < 100 else value
    starts = [(BEGAN_MS + ms) * 1_000_000 + ns for ms in (1, 2) for ns in (0, 1, 999_999)]
    made = [span(n) for n in range(len(starts))]
    await toy.tracing.record(
        WHO, [trace(msgspec.structs.replace(one, start_ns=at)) for one, at in zip(made, starts, strict=True)]
    )
    page = await toy.tracing.infos.search(WHO, [0], f"timestamp_ms {comparator} {asked}", ["request_id"])
    expected = [key(n) for n, at in enumerate(starts) if _COMPARED[comparator](at // 1_000_000, asked)]
    assert [info.trace_id for info in page.items] == expected


async def test_a_token_of_another_order_and_one_that_is_none_are_refused(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(n)) for n in range(3)])
    token = (await toy.tracing.infos.search(WHO, [0], limit=1)).next
    for order, given_token, said in (
        (("status DESC",), token, "another order_by"),
        ((), "é", "Invalid page token"),
        ((), "e30=", "Invalid page token"),
        ((), "", "Invalid page token"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await toy.tracing.infos.search(WHO, [0], order=order, token=given_token)


async def test_clauses_on_spans_must_fit_one_span(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(1, 1, "a", status="error"), span(1, 2, "b", parent=1))])
    for filter, count in (
        ("span.name = 'a' AND span.status = 'ERROR'", 1),
        ("span.name = 'b' AND span.status = 'ERROR'", 0),
        ("span.name = 'b' AND span.attributes.x = 'ERROR'", 0),
    ):
        assert len((await toy.tracing.infos.search(WHO, [0], filter)).items) == count


async def test_searches_see_only_the_experiments_they_name(toy: Toy) -> None:
    await toy.tracing.record(WHO, [trace(span(n), experiment=n) for n in (0, 1, 2)])
    for experiments, expected in (([0], [0]), ([2, 1], [1, 2]), ([5], []), ([], [])):
        found = (await toy.tracing.infos.search(WHO, experiments)).items
        assert sorted(info.experiment for info in found) == expected


async def test_tokens_and_cost_are_compared_as_they_are_shown_and_not_ordered_by(toy: Toy) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    await toy.tracing.record(WHO, [trace(span(1, mlflow__chat__tokenUsage=usage)), trace(span(2))])
    name = "metadata.mlflow.trace.tokenUsage"
    shown = (await toy.tracing.infos.get(WHO, key(1))).metadata["mlflow.trace.tokenUsage"]
    assert json.loads(shown) == usage
    for filter, expected in (
        (f"{name} = '{shown}'", [key(1)]),
        (f"{name} != '{shown}'", []),
        (f"{name} = 'x'", []),
        (f"{name} IS NULL", [key(2)]),
        (f"{name} IS NOT NULL", [key(1)]),
    ):
        assert [info.trace_id for info in (await toy.tracing.infos.search(WHO, [0], filter)).items] == expected
    with pytest.raises(InvalidInput, match="not supported for reserved metadata"):
        await toy.tracing.infos.search(WHO, [0], f"{name} LIKE '%'")
    with pytest.raises(InvalidInput, match="reserved metadata"):
        await toy.tracing.infos.search(WHO, [0], order=[name])


async def test_a_hostile_filter_is_only_text(toy: Toy) -> None:
    text = "it's \"x\" %_ '; DROP TABLE traces; --"
    await toy.tracing.infos.start(WHO, told(1, tags={"k": text}))
    filter = f"tag.k = {_quoted(text)} AND span.attributes.`a\"b` = 'x'"
    assert (await toy.tracing.infos.search(WHO, [0], filter)).items == ()
    assert len((await toy.tracing.infos.search(WHO, [0], f"tag.k = {_quoted(text)}")).items) == 1
