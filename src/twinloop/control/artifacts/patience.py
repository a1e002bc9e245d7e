"""Gives up on a sender that is gone without saying so: its connection stays open, and nothing comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from twinloop.core.errors import InvalidInput

IDLE_S = 60.0
"""Seconds without a byte after which a sender counts as gone; clients themselves wait longer for an answer."""


async def patient(chunks: AsyncIterable[bytes], idle_s: float = IDLE_S) -> AsyncIterator[bytes]:
    """The chunks as they come. Raises InvalidInput when none comes for ``idle_s`` seconds."""
    coming = aiter(chunks)
    while True:
        try:
            async with asyncio.timeout(idle_s):
                chunk = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise InvalidInput(f"Nothing came for {idle_s:g} s. Send it again.") from error
        yield chunk
