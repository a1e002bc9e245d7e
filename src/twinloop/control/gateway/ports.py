"""What the gateway tells others."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Counts requests as they end."""

    def answered(self, endpoint: str, release: str, verb: str, status: str, seconds: float) -> None: ...


class NoObserver:
    """Counts nothing."""

    def answered(self, endpoint: str, release: str, verb: str, status: str, seconds: float) -> None:
        return None
