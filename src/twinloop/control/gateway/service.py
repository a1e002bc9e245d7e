"""Verbs of the gateway: answer and stream. Every request to every endpoint passes here, whatever protocol it came by."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from twinloop.control.gateway.flight import Flight, Following
from twinloop.control.gateway.model import Reply, StreamReply, Variants
from twinloop.control.gateway.ports import NoObserver, Observer
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.releases.answers import (
    ChatRequest,
    EmbedRequest,
    EndpointKind,
    PredictRequest,
    Request,
    SearchRequest,
)
from twinloop.control.security.model import LOCAL_ADMIN, Principal, Role
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

    async def answer(
        self,
        who: Principal,
        endpoint: str,
        request: Request,
        *,
        sticky: str | None = None,
        number: int | None = None,
    ) -> Reply:
        """Answer at once; a chat is answered whole with ``stream``.

        ``number`` asks a certain release that is in memory instead of letting ``sticky`` choose.

        Raises:
            NotFound: no such endpoint. Unavailable: it cannot answer now. DeadlineExceeded: it took too long.
            InvalidInput: the request does not fit the endpoint or its release.
        """
        flight = await self._begin(who, endpoint, request, sticky, number)
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
        flight = await self._begin(who, endpoint, request, sticky, None)
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
        return StreamReply(Following(first, deltas, flight), flight.loaded.release.ref, flight.root.trace_id)

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

    async def _begin(
        self, who: Principal, endpoint: str, request: Request, sticky: str | None, number: int | None
    ) -> Flight:
        who.require(Role.viewer)
        await self._table.settled(who.tenant, endpoint)
        recorder = self._tracing.start()
        by = sticky or (recorder.trace_id if who == LOCAL_ADMIN else who.name)
        loaded, row = self._table.choose(who.tenant, endpoint, by, number)
        verb = _VERBS[type(request)]
        if row.traffic.type != verb:
            raise InvalidInput(f"{endpoint} answers {row.traffic.type}, not {verb}. Choose an endpoint of type {verb}.")
        return Flight(self._tracing, self._observer, self._table, who, loaded, row, recorder, verb)

    def _shadow(self, who: Principal, endpoint: str, request: Request, row: Variants) -> None:
        """Let the shadow answer too, unseen; it is skipped when it cannot keep up."""
        if row.shadow is None or len(self._shadows) >= _SHADOWS:
            return
        flight = Flight(
            self._tracing, self._observer, self._table, who, row.shadow, row, self._tracing.start(), row.traffic.type
        )
        flight.root.attributes["twinloop.shadow"] = True
        task = asyncio.create_task(_answer_unseen(flight, request, self._deadline_s))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)


async def _answer_unseen(flight: Flight, request: Request, deadline_s: float) -> None:
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
