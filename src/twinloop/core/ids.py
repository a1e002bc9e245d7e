"""Identifiers and names: what a run, a trace and a revision are called."""

from __future__ import annotations

import os
import random
import re
import time
from typing import NamedTuple

from twinloop.core.errors import InvalidInput

_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*\Z")
_KIND = re.compile(r"[a-z][a-z0-9_]*\Z")
_NAME_LIMIT = 200


def new_id() -> str:
    """32 hex digits that sort by the millisecond they were made in (UUIDv7 layout, RFC 9562 section 5.7)."""
    stamp = time.time_ns() // 1_000_000
    rest = int.from_bytes(os.urandom(10), "big")
    value = (stamp & (2**48 - 1)) << 80 | rest
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


def new_trace_id() -> str:
    """A W3C trace id: 32 hex digits, random. It identifies and protects nothing, so no system call is spent on it."""
    return f"{random.getrandbits(128):032x}"


def new_span_id() -> str:
    """A W3C span id: 16 hex digits, random."""
    return f"{random.getrandbits(64):016x}"


def check_name(name: str, what: str = "name") -> str:
    """Return ``name`` if it can name a revision, endpoint or key.

    Raises:
        InvalidInput: empty, over 200 characters, or with anything but letters, digits, ``. _ -`` and inner ``/``.
    """
    if len(name) > _NAME_LIMIT or not _NAME.match(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot be a {what}. Use letters, digits, '.', '_' and '-', in parts joined by '/', each "
            f"starting with a letter, digit or '_', {_NAME_LIMIT} characters at most."
        )
    return name


def check_kind(kind: str) -> str:
    if not _KIND.match(kind):
        raise InvalidInput(f"{kind[:80]!r} cannot be a kind. Use lower-case letters, digits and '_'.")
    return kind


class Ref(NamedTuple):
    """What a caller calls a revision: ``kind/name@3``, ``kind/name@alias`` or ``kind/name`` (the newest)."""

    kind: str
    name: str
    number: int | None = None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Raises InvalidInput when the text is not ``kind/name``, ``kind/name@number`` or ``kind/name@alias``."""
        path, at, version = text.partition("@")
        kind, slash, name = path.partition("/")
        if not slash or (at and not version):
            raise InvalidInput(f"{text[:120]!r} is not a revision. Write kind/name@3, kind/name@alias or kind/name.")
        check_kind(kind)
        check_name(name)
        if not at:
            return cls(kind, name)
        if version.isascii() and version.isdigit():
            return cls(kind, name, number=int(version[:18]))
        return cls(kind, name, alias=check_name(version, "alias"))

    def __str__(self) -> str:
        version = self.alias if self.number is None else str(self.number)
        return f"{self.kind}/{self.name}" + (f"@{version}" if version else "")
