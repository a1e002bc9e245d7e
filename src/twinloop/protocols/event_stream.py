"""Server-sent events with little overhead: one watcher per answer instead of a task group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class EventStream(Response):
    """Sends each item of ``source``, a whole event with its blank line, as it comes.

    When the client leaves, ``source`` is cancelled where it waits; it is closed however the answer ends.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        headers: Mapping[str, str],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        """``close`` ends what ``source`` reads from; it is called even when ``source`` was never begun."""
        self._source = source
        self._close = close
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = asyncio.current_task()
        assert answering is not None
        watcher = asyncio.create_task(_cancel_when_gone(receive, answering))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for event in self._source:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            # Swallow only the watcher's own cancellation; one from outside must go on.
            if not (watcher.done() and not watcher.cancelled() and answering.uncancel() == 0):
                raise
        finally:
            watcher.cancel()
            try:
                await self._source.aclose()
            finally:
                await self._close()


async def _cancel_when_gone(receive: Receive, answering: asyncio.Task[object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    answering.cancel()
