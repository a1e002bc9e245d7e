"""One request under way: the release it is on, the trace it leaves, and the answer as it is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from twinloop.control.gateway.model import Loaded, Variants
from twinloop.control.gateway.ports import Observer
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.releases.answers import ChatDelta
from twinloop.control.security.model import Principal
from twinloop.control.tracing.model import Recorder, SpanBuilder, Trace, TraceLink
from twinloop.control.tracing.service import Tracing


class Flight:
    """Holds its release in memory until ``end``, which is called once and writes the trace."""

    __slots__ = ("_began", "_observer", "_recorder", "_table", "_tracing", "_verb", "_who", "loaded", "root", "row")

    def __init__(
        self,
        tracing: Tracing,
        observer: Observer,
        table: VariantTable,
        who: Principal,
        loaded: Loaded,
        row: Variants,
        recorder: Recorder,
        verb: str,
    ) -> None:
        self._tracing = tracing
        self._observer = observer
        self._table = table
        self._who = who
        self._recorder = recorder
        self._verb = verb
        self._began = time.perf_counter()
        self.loaded = loaded
        self.row = row
        loaded.in_flight += 1
        self.root: SpanBuilder = recorder.start(f"{verb} {loaded.release.endpoint}", None, "server")
        self.root.attributes["twinloop.endpoint"] = loaded.release.endpoint
        self.root.attributes["twinloop.release"] = loaded.release.ref

    async def end(self, error: BaseException | None) -> None:
        """Close the trace and let go of the release."""
        root = self.root
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            root.fail("The client went away.")
        elif error is not None:
            root.fail(f"{type(error).__name__}: {error}")
        elif root.status == "unset":
            root.status = "ok"
        root.end()
        self._tracing.emit(self._who.tenant, self._trace())
        release = self.loaded.release
        seconds = time.perf_counter() - self._began
        self._observer.answered(release.endpoint, release.ref, self._verb, root.status, seconds)
        await self._table.release_one(self.loaded)

    def _trace(self) -> Trace:
        root, release = self.root, self.loaded.release
        spans = tuple(self._recorder.spans)
        return Trace(
            trace_id=root.trace_id,
            name=root.name,
            start_ns=root.start_ns,
            end_ns=spans[-1].end_ns,
            status=root.status,
            source="gateway",
            principal=self._who.name,
            endpoint=release.endpoint,
            release=release.ref,
            release_digest=release.digest,
            span_count=len(spans),
            summary=self._recorder.summary,
            spans=spans,
            links=(TraceLink("answered_by", release.digest), *self._recorder.links),
        )


class Following:
    """The deltas of an answer. Ends the flight with the last delta, with the first error, or when it is closed.

    A class and not a generator, because closing a generator that was never started runs none of its code.
    """

    def __init__(self, first: ChatDelta | None, deltas: AsyncIterator[ChatDelta], flight: Flight) -> None:
        self._first = first
        self._deltas = deltas
        self._flight = flight
        self._ended = False

    def __aiter__(self) -> Following:
        return self

    async def __anext__(self) -> ChatDelta:
        if self._ended:
            raise StopAsyncIteration
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return await anext(self._deltas)
        except StopAsyncIteration:
            await self._end(None)
            raise
        except BaseException as error:
            await self._end(error)
            raise

    async def aclose(self) -> None:
        """Stop the generation if it is not over. Calling it again is allowed."""
        await self._end(GeneratorExit())

    async def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            close = getattr(self._deltas, "aclose", None)
            if close is not None:
                await close()
        finally:
            await self._flight.end(error)
