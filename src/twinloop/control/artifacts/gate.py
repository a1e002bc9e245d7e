"""Keeps the parts of one upload from changing while they are joined."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twinloop.core.errors import Conflict


class Gate:
    """Parts pass beside each other, the same part one after the other; the gate closes when none passes.

    A part that is written after its file was hashed would change a blob behind its digest. One process holds the blobs, so
    that a gate in its memory is enough.
    """

    def __init__(self) -> None:
        self._passing = 0
        self._closing = False
        self._empty = asyncio.Condition()
        self._completing = asyncio.Lock()
        self._numbers: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def passing(self, number: int) -> AsyncIterator[None]:
        """Hold the gate open for a part. Raises Conflict when it is closed."""
        if self._closing:
            raise Conflict("The upload is being completed and takes no parts. Wait for that to end.")
        self._passing += 1
        try:
            async with self._numbers[number]:
                yield
        finally:
            self._passing -= 1
            if self._passing == 0:
                async with self._empty:
                    self._empty.notify_all()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Close the gate, once what passes is through. Who asks meanwhile waits: completing is slow, and clients ask again."""
        async with self._completing:
            self._closing = True
            try:
                async with self._empty:
                    await self._empty.wait_for(lambda: self._passing == 0)
                yield
            finally:
                self._closing = False
