"""Content digests: ``sha256:<64 hex>`` over bytes, or over JSON in one canonical form."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NewType

import msgspec

from twinloop.core.errors import InvalidInput

Digest = NewType("Digest", str)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_canonical = msgspec.json.Encoder(order="deterministic")


def is_digest(text: str) -> bool:
    return _DIGEST.match(text) is not None


def parse_digest(text: str) -> Digest:
    """Return ``text`` as a digest.

    Raises:
        InvalidInput: it is not ``sha256:`` and 64 lower-case hex digits.
    """
    if not is_digest(text):
        raise InvalidInput(f"{text[:80]!r} is not a digest. Give sha256: and 64 lower-case hex digits.")
    return Digest(text)


def digest_bytes(data: bytes | bytearray | memoryview) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def canonical_json(value: Any) -> bytes:
    """Encode JSON with sorted keys, no spaces and UTF-8; equal values give equal bytes.

    Raises:
        InvalidInput: the value holds NaN or an infinity (JSON has none), or something JSON cannot say.
    """
    _refuse_non_finite(value)
    try:
        return _canonical.encode(value)
    except (TypeError, UnicodeEncodeError) as error:
        raise InvalidInput(
            f"The value cannot be written as JSON: {error}. Use numbers, text, lists and maps."
        ) from error


def digest_json(value: Any) -> Digest:
    return digest_bytes(canonical_json(value))


def _refuse_non_finite(value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput("The value holds NaN or an infinity, which JSON cannot say. Use null instead.")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_non_finite(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            _refuse_non_finite(item)
