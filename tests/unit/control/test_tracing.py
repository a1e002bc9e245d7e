from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys import Toy
from twinloop.backends.spool import FileSpool
from twinloop.compose import write_trace_lineage
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracing.model import Span, Trace
from twinloop.control.tracing.service import Tracing
from twinloop.core.errors import NotFound, StorageFull


def trace(n: int, *, spans: int = 1, status: str = "ok", text: str = "") -> Trace:
    trace_id = f"{n:032x}"
    return Trace(
        trace_id=trace_id,
        name="op",
        start_ns=n,
        end_ns=n + 10,
        status=status,  # type: ignore[arg-type]
        source="otlp",
        principal="me",
        spans=tuple(
            Span(trace_id, f"{n * 100 + i:016x}", "s", n + i, n + i + 1, attributes={"text": text})
            for i in range(spans)
        ),
    )


async def test_spans_that_come_later_join_their_trace_once(toy: Toy) -> None:
    whole = trace(1, spans=3)
    first = Trace(**{f: getattr(whole, f) for f in whole.__struct_fields__} | {"spans": whole.spans[:1]})
    await toy.tracing.record(LOCAL_ADMIN, [first])
    await toy.tracing.record(LOCAL_ADMIN, [whole])
    await toy.tracing.record(LOCAL_ADMIN, [whole])
    found = await toy.tracing.get(LOCAL_ADMIN, whole.trace_id)
    assert len(found.spans) == found.span_count == 3


async def test_a_secret_in_a_span_never_reaches_the_disk(toy: Toy) -> None:
    secret = "sk-proj-abcdefghijklmnop1234"
    toy.tracing.emit("default", trace(1, text=f"use {secret}"))
    await toy.tracing.flush()
    for path in toy.store.path.parent.iterdir():
        assert secret.encode() not in path.read_bytes()


async def test_traces_are_listed_newest_first_and_page_by_their_start(toy: Toy) -> None:
    await toy.tracing.record(LOCAL_ADMIN, [trace(n) for n in range(1, 6)])
    first = await toy.tracing.newest(LOCAL_ADMIN, limit=2)
    rest = await toy.tracing.newest(LOCAL_ADMIN, limit=10, before_ns=first[-1].start_ns)
    assert [t.start_ns for t in (*first, *rest)] == [5, 4, 3, 2, 1]


async def test_an_unknown_trace_is_not_found(toy: Toy) -> None:
    with pytest.raises(NotFound):
        await toy.tracing.get(LOCAL_ADMIN, "f" * 32)


class FullStore:
    """A store whose disk is full until it is told otherwise."""

    def __init__(self, store: object) -> None:
        self._store = store
        self.full = True

    async def write(self, work):  # type: ignore[no-untyped-def]
        if self.full:
            raise StorageFull("No space is left.")
        return await self._store.write(work)  # type: ignore[attr-defined]

    async def read(self, work):  # type: ignore[no-untyped-def]
        return await self._store.read(work)  # type: ignore[attr-defined]

    async def aclose(self) -> None:
        return None


async def test_traces_the_store_cannot_take_are_spooled_and_written_at_the_next_start(toy: Toy, tmp_path: Path) -> None:
    store = FullStore(toy.store)
    tracing = Tracing(store, write_trace_lineage, FileSpool(tmp_path / "spool"))
    tracing.emit("default", trace(7))
    await tracing.flush()
    assert tracing.losses == (1, 0)
    store.full = False
    again = Tracing(store, write_trace_lineage, FileSpool(tmp_path / "spool"))
    await again.open()
    assert (await again.get(LOCAL_ADMIN, f"{7:032x}")).name == "op"
    await again.aclose()
    assert FileSpool(tmp_path / "spool").drain() == []


async def test_what_cannot_even_be_spooled_is_counted(toy: Toy, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    tracing = Tracing(FullStore(toy.store), write_trace_lineage, FileSpool(blocked / "spool"))
    tracing.emit("default", trace(7))
    await tracing.flush()
    assert tracing.losses == (0, 1)
