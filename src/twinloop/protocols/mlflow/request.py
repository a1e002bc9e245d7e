"""Reads a request: JSON from the body, or, where there is none, from the query."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call

T = TypeVar("T")


async def read(call: Call, type: type[T]) -> T:
    """Decode a request as ``type``. Raises InvalidInput naming the field that does not fit."""
    if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
        return await call.json(type)
    try:
        return msgspec.convert(dict(call.query), type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"The query does not fit: {error}. See MLflow's REST documentation for its parameters."
        ) from error
