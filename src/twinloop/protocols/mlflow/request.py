"""Reads a request: JSON from the body, or, where there is none, from the query."""

from __future__ import annotations

from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from starlette.datastructures import QueryParams

from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call

T = TypeVar("T")


async def read(call: Call, type: type[T]) -> T:
    """Decode a request as ``type``. Raises InvalidInput naming the field that does not fit."""
    if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
        return await call.json(type)
    try:
        return msgspec.convert(_gathered(QueryParams(call.query), _repeated(type)), type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"The query does not fit: {error}. See MLflow's REST documentation for its parameters."
        ) from error


def _gathered(query: QueryParams, repeated: frozenset[str]) -> dict[str, Any]:
    """A query in which a field that is a list comes as often as it has items; of any other the first counts."""
    found: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name in repeated:
            found.setdefault(name, []).append(value)
        else:
            found.setdefault(name, value)
    return found


_lists: dict[Any, frozenset[str]] = {}


def _repeated(type: Any) -> frozenset[str]:
    """The fields of a struct that are lists."""
    found = _lists.get(type)
    if found is None:
        names = (field.encode_name for field in msgspec.structs.fields(type) if _is_list(field.type))
        found = _lists[type] = frozenset(names)
    return found


def _is_list(type: Any) -> bool:
    if get_origin(type) in (Union, UnionType):
        return any(_is_list(part) for part in get_args(type))
    return type is list or get_origin(type) is list
