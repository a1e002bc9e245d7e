"""Verbs of the gateway: answer and stream. Every request to every endpoint passes here, whatever protocol it came by."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from twinloop.control.gateway.model import Loaded, Reply, StreamReply, Variants
from twinloop.control.gateway.ports import NoObserver, Observer
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.releases.answers import (
    ChatDelta,
    ChatRequest,
    EmbedRequest,
    EndpointKind,
    PredictRequest,
    Request,
    SearchRequest,
)
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
from twinloop.control.tracing.model import Recorder, SpanBuilder, Trace, TraceLink
from twinloop.control.tracing.service import Tracing
from twinloop.core.errors import DeadlineExceeded, InvalidInput, Unavailable

_SHADOWS = 8
_VERBS: dict[type[Any], EndpointKind] = {
    PredictRequest: "predict",
    ChatRequest: "chat",
    EmbedRequest: "embed",
    SearchRequest: "search",
}


class Gateway:
    """Resolves the endpoint, picks the variant, answers and leaves a trace. Reads only memory on the way."""

    def __init__(
        self,
        table: VariantTable,
        tracing: Tracing,
        observer: Observer | None = None,
        deadline_s: float = 300.0,
    ) -> None:
        self._table = table
        self._tracing = tracing
        self._observer = observer or NoObserver()
        self._deadline_s = deadline_s
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, who: Principal, endpoint: str, request: Request, *, sticky: str | None = None) -> Reply:
        """Answer at once; a chat is answered whole with ``stream``.

        Raises:
            NotFound: no such endpoint. Unavailable: it cannot answer now. DeadlineExceeded: it took too long.
            InvalidInput: the request does not fit the endpoint or its release.
        """
        flight = await self._begin(who, endpoint, request, sticky)
        try:
            async with asyncio.timeout(self._deadline_s):
                value = await flight.loaded.target.answer(request, flight.root)
        except TimeoutError:
            error = DeadlineExceeded(
                f"{endpoint} did not answer within {self._deadline_s:g} s. Ask for less, or try again."
            )
            await flight.end(error)
            raise error from None
        except BaseException as error:
            await flight.end(error)
            raise
        await flight.end(None)
        self._shadow(who, endpoint, request, flight.row)
        return Reply(value, flight.loaded.release.ref, flight.root.trace_id)

    async def stream(
        self, who: Principal, endpoint: str, request: ChatRequest, *, sticky: str | None = None
    ) -> StreamReply:
        """Answer a chat in pieces. The first piece is waited for here, so that what goes wrong before it is raised."""
        flight = await self._begin(who, endpoint, request, sticky)
        deltas = flight.loaded.target.stream(request, flight.root)
        try:
            async with asyncio.timeout(self._deadline_s):
                first = await anext(deltas, None)
        except TimeoutError:
            late = DeadlineExceeded(f"{endpoint} did not begin to answer within {self._deadline_s:g} s. Try again.")
            await flight.end(late)
            raise late from None
        except BaseException as error:
            await flight.end(error)
            raise
        self._shadow(who, endpoint, request, flight.row)
        return StreamReply(_follow(first, deltas, flight), flight.loaded.release.ref, flight.root.trace_id)

    def endpoints(self, who: Principal, type: EndpointKind | None = None) -> list[Variants]:
        """The endpoints of the tenant, by name; ``type`` narrows them."""
        who.require(Role.viewer)
        return [row for row in self._table.rows(who.tenant) if type is None or row.traffic.type == type]

    async def metadata(self, who: Principal, endpoint: str) -> Mapping[str, Any]:
        """What the live release says of its inputs and outputs. Raises NotFound, Unavailable."""
        who.require(Role.viewer)
        await self._table.settled(who.tenant, endpoint)
        row = self._table.row(who.tenant, endpoint)
        if row.live is None:
            raise Unavailable(f"{endpoint} has no release that can answer. Release one first.")
        return row.live.target.metadata()

    async def aclose(self) -> None:
        """End shadow requests and close every target."""
        for task in list(self._shadows):
            task.cancel()
        await asyncio.gather(*self._shadows, return_exceptions=True)
        await self._table.aclose()

    async def _begin(self, who: Principal, endpoint: str, request: Request, sticky: str | None) -> _Flight:
        who.require(Role.viewer)
        await self._table.settled(who.tenant, endpoint)
        recorder = self._tracing.start()
        by = sticky or (recorder.trace_id if who == LOCAL_ADMIN else who.name)
        loaded, row = self._table.choose(who.tenant, endpoint, by)
        verb = _VERBS[type(request)]
        if row.traffic.type != verb:
            raise InvalidInput(f"{endpoint} answers {row.traffic.type}, not {verb}. Choose an endpoint of type {verb}.")
        return _Flight(self._tracing, self._observer, self._table, who, loaded, row, recorder, verb)

    def _shadow(self, who: Principal, endpoint: str, request: Request, row: Variants) -> None:
        """Let the shadow answer too, unseen; it is skipped when it cannot keep up."""
        if row.shadow is None or len(self._shadows) >= _SHADOWS:
            return
        flight = _Flight(
            self._tracing, self._observer, self._table, who, row.shadow, row, self._tracing.start(), row.traffic.type
        )
        flight.root.attributes["twinloop.shadow"] = True
        task = asyncio.create_task(_answer_unseen(flight, request, self._deadline_s))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)


class _Flight:
    """One request under way on one release."""

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
        release = self.loaded.release
        spans = tuple(self._recorder.spans)
        self._tracing.emit(
            self._who.tenant,
            Trace(
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
            ),
        )
        self._observer.answered(
            release.endpoint, release.ref, self._verb, root.status, time.perf_counter() - self._began
        )
        await self._table.release_one(self.loaded)


async def _follow(
    first: ChatDelta | None, deltas: AsyncIterator[ChatDelta], flight: _Flight
) -> AsyncGenerator[ChatDelta, None]:
    error: BaseException | None = None
    try:
        if first is not None:
            yield first
        async for delta in deltas:
            yield delta
    except BaseException as caught:
        error = caught
        raise
    finally:
        close = getattr(deltas, "aclose", None)
        if close is not None:
            await close()
        await flight.end(error)


async def _answer_unseen(flight: _Flight, request: Request, deadline_s: float) -> None:
    error: BaseException | None = None
    try:
        async with asyncio.timeout(deadline_s):
            if isinstance(request, ChatRequest):
                async for _ in flight.loaded.target.stream(request, flight.root):
                    pass
            else:
                await flight.loaded.target.answer(request, flight.root)
    except BaseException as caught:  # noqa: BLE001 - a shadow's failure belongs in its trace and nowhere else
        error = caught
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await flight.end(error)
