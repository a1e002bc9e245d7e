"""Verbs of tracing: record durably, emit without waiting, list and get, measure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from twinloop.control.security.model import Principal, Role
from twinloop.control.security.redaction import may_hold_secrets, redact
from twinloop.control.store.ports import Store
from twinloop.control.tracing import ingest, measure_rows, repository
from twinloop.control.tracing.assessments import Assessments
from twinloop.control.tracing.facts import TraceFacts, facts
from twinloop.control.tracing.infos import TraceInfos
from twinloop.control.tracing.measures import Point, Question, check
from twinloop.control.tracing.model import Recorder, Trace
from twinloop.control.tracing.ports import Experiments, LinkWriter, OnlyDefault, Spool
from twinloop.core.clock import Clock, SystemClock
from twinloop.core.errors import InvalidInput, NotFound, TwinloopError
from twinloop.core.ids import new_span_id, new_trace_id

log = logging.getLogger("twinloop.tracing")

_encode = msgspec.json.Encoder().encode
_QUEUE = 10_000
_BATCH = 500
_PAUSE_S = 0.25
_LARGE = 200
_PIECE = 400


class _Emitted(NamedTuple):
    tenant: str
    trace: Trace


class Losses(NamedTuple):
    """How many traces went to the spool because the store could not take them, and how many were lost."""

    spooled: int
    dropped: int


class Tracing:
    """Traces leave the request path through one bounded queue.

    What the queue or the store cannot take is spooled to disk; only when that fails too is a trace dropped, and counted.
    """

    def __init__(
        self,
        store: Store,
        links: LinkWriter,
        spool: Spool,
        clock: Clock | None = None,
        experiments: Experiments | None = None,
    ) -> None:
        self._store = store
        self._links = links
        self._spool = spool
        self._clock = clock or SystemClock()
        self.infos = TraceInfos(store, experiments or OnlyDefault(), links, self.flush)
        self.assessments = Assessments(store, self._clock)
        self._queue: deque[_Emitted] = deque()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._spooled = 0
        self._dropped = 0

    def start(self, trace_id: str | None = None) -> Recorder:
        """Begin collecting the spans of one request."""
        return Recorder(trace_id or new_trace_id(), self._clock.now_ns, new_span_id)

    def emit(self, tenant: str, trace: Trace) -> None:
        """Hand over a finished trace and return at once."""
        self._queue.append(_Emitted(tenant, trace))
        if len(self._queue) > _QUEUE:
            self._to_spool([self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))])
        self._wake.set()

    async def record(self, who: Principal, found: Sequence[Trace], scanned: bool = False) -> None:
        """Write traces; they survive a power cut once this returns.

        ``scanned`` says that what they were made of was searched already and cannot hold a secret.
        """
        who.require(Role.developer)
        if len(found) < _LARGE:
            told = _facts(found, scanned)
        else:  # this many would keep other requests waiting
            told = await asyncio.to_thread(_facts, found, scanned)
        await self._store.write(lambda c: self._write(c, who.tenant, told))

    async def get(self, who: Principal, trace_id: str) -> Trace:
        """A trace with all its spans, oldest first. Raises NotFound."""
        who.require(Role.viewer)
        await self.flush()
        trace = await self._store.read(lambda c: repository.get(c, who.tenant, trace_id))
        if trace is None:
            raise NotFound(
                f"There is no trace {trace_id[:64]}. Give the id from the x-twinloop-trace header of an answer."
            )
        return trace

    async def newest(
        self,
        who: Principal,
        endpoint: str | None = None,
        release: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before_ns: int | None = None,
    ) -> list[Trace]:
        """Traces without their spans, newest first; ``before_ns`` is a ``start_ns`` to go on from."""
        who.require(Role.viewer)
        if not 1 <= limit <= 1000:
            raise InvalidInput("limit must be between 1 and 1000.")
        await self.flush()
        return await self._store.read(
            lambda c: repository.newest(c, who.tenant, endpoint, release, status, limit, before_ns)
        )

    async def measure(self, who: Principal, question: Question) -> list[Point]:
        """Aggregates over traces, spans or assessments. Raises InvalidInput for what a metric cannot do."""
        who.require(Role.viewer)
        filters = check(question)
        await self.flush()
        return await self._store.read(lambda c: measure_rows.query(c, who.tenant, question, filters))

    async def count(self, who: Principal) -> int:
        await self.flush()
        return await self._store.read(lambda c: repository.count(c, who.tenant))

    @property
    def losses(self) -> Losses:
        return Losses(self._spooled, self._dropped)

    async def open(self) -> None:
        """Write what an earlier process spooled and begin to empty the queue."""
        await self._replay()
        self._task = asyncio.create_task(self._run(), name="twinloop-traces")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def flush(self) -> None:
        """Write everything emitted so far."""
        async with self._writing:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                try:
                    await self._write_batch(batch)
                except TwinloopError as error:
                    log.warning("Traces go to the spool: %s", error.message)
                    self._to_spool(batch)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_PAUSE_S)
            await self.flush()

    async def _write_batch(self, batch: list[_Emitted]) -> None:
        by_tenant: dict[str, list[TraceFacts]] = defaultdict(list)
        for emitted in batch:
            by_tenant[emitted.tenant].append(facts(_redacted(emitted.trace)))
        for tenant, found in by_tenant.items():
            await self._store.write(lambda c, t=tenant, f=found: self._write(c, t, f))  # type: ignore[misc]

    def _write(self, connection: Any, tenant: str, found: Sequence[TraceFacts]) -> None:
        ingest.add(connection, tenant, found)
        linked = [item.trace for item in found if item.trace.links]
        if linked:
            self._links(connection, tenant, linked)

    def _to_spool(self, batch: list[_Emitted]) -> None:
        try:
            self._spool.append(msgspec.json.encode([(e.tenant, _redacted(e.trace)) for e in batch]))
            self._spooled += len(batch)
        except OSError as error:
            self._dropped += len(batch)
            log.error(
                "%d traces are lost, %d in all: the spool cannot be written (%s)", len(batch), self._dropped, error
            )

    async def _replay(self) -> None:
        kept = self._spool.drain()
        if not kept:
            return
        try:
            for data in kept:
                await self._write_batch(
                    [_Emitted(*pair) for pair in msgspec.json.decode(data, type=list[tuple[str, Trace]])]
                )
        except (TwinloopError, msgspec.DecodeError) as error:
            log.warning("Spooled traces wait for the next start: %s", error)
            return
        self._spool.clear()


def _facts(found: Sequence[Trace], scanned: bool) -> list[TraceFacts]:
    told: list[TraceFacts] = []
    for number, trace in enumerate(found, 1):
        told.append(facts(trace if scanned else _redacted(trace)))
        if number % _PIECE == 0:
            time.sleep(0)  # lets the event loop run when this is a thread beside it
    return told


def _redacted(trace: Trace) -> Trace:
    if not may_hold_secrets(_encode(trace)):
        return trace
    return msgspec.structs.replace(
        trace,
        summary=redact(trace.summary),
        labels=redact(trace.labels),
        spans=tuple(
            msgspec.structs.replace(
                span,
                attributes=redact(span.attributes),
                message=redact(span.message),
                events=tuple(msgspec.structs.replace(e, attributes=redact(e.attributes)) for e in span.events),
            )
            for span in trace.spans
        ),
        links=tuple(msgspec.structs.replace(link, via=redact(link.via)) for link in trace.links),
    )
