"""Share one open engine among all who ask for the same one; close it with the last of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    async def aclose(self) -> None: ...


T = TypeVar("T", bound=Closable)


class _Slot(Generic[T]):
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.engine: T | None = None
        self.holders = 0


class Leases(Generic[T]):
    """Open engines by key."""

    def __init__(self) -> None:
        self._slots: dict[str, _Slot[T]] = {}

    @property
    def engines(self) -> dict[str, T]:
        return {key: slot.engine for key, slot in self._slots.items() if slot.engine is not None}

    async def take(self, key: str, open_engine: Callable[[], Awaitable[T]]) -> tuple[T, Callable[[], Awaitable[None]]]:
        """The engine of ``key``, opened if nobody holds it, and what gives it back (once; later calls do nothing)."""
        slot = self._slots.setdefault(key, _Slot())
        async with slot.lock:
            if slot.engine is None:
                slot.engine = await open_engine()
            slot.holders += 1
            engine = slot.engine
        given_back = False

        async def give_back() -> None:
            nonlocal given_back
            if given_back:
                return
            given_back = True
            async with slot.lock:
                slot.holders -= 1
                if slot.holders == 0 and slot.engine is not None:
                    unused, slot.engine = slot.engine, None
                    await unused.aclose()

        return engine, give_back
