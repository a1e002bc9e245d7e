"""A part of a longer list."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a longer list; ``next`` is the token of the part after it, None at the end."""

    items: tuple[T, ...]
    next: str | None = None
