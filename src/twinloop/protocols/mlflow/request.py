"""Reads a request: JSON from the body, or, where there is none, from the query; and says what is wrong with one.

MLflow's server parses protobuf's JSON: 64-bit integers and numbers may be text, null is as good as left out, fields it
does not know are ignored. Its clients and tests read the words of its refusals, so ours begin with the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call

T = TypeVar("T")

Required = Annotated[str, msgspec.Meta(min_length=1)]
"""Text that must be there; MLflow takes empty text as left out."""
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_ADVICE = "See the API docs for more information about request parameters."
_MISSING = re.compile(r"missing required field `(?P<field>\w+)`(?: - at `\$(?P<path>[^`]*)`)?")
_AT = re.compile(r"- at `\$\.?(?P<path>[^`]*)`")
_SHOWN = 500
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


async def read(call: Call, type: type[T]) -> T:
    """Decode a request as ``type``. Raises InvalidInput naming the field that does not fit."""
    if call.headers.get("content-length", "0") != "0" or "transfer-encoding" in call.headers:
        return decode(await call.body(), type)
    return _convert(_gathered(call.query, _repeated(type)), type)


def decode(data: bytes, type: type[T]) -> T:
    """Decode a body: strictly first, which is quick, and once more leniently when it does not fit."""
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type)
    try:
        if not data.isascii():
            data.decode()  # fields that nobody reads are not looked at below
        return decoder.decode(data)  # type: ignore[no-any-return]
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The body is not valid JSON: {error}.") from error
    try:
        found = msgspec.json.decode(data)
        if isinstance(found, str):  # old clients encode twice
            found = msgspec.json.decode(found)
        return _convert(found, type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The body is not a JSON object but text: {error}.") from error
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply. Send a flatter one.") from error


def _convert(found: Any, type: type[T]) -> T:
    plain = _without_nulls(found)
    try:
        return msgspec.convert(plain, type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(_explain(plain, str(error))) from error


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _explain(found: Any, error: str) -> str:
    if not isinstance(found, dict):
        return f"The body is not a JSON object: {error}. {_ADVICE}"
    missing = _MISSING.search(error)
    if missing is not None:
        path = f"{(missing['path'] or '').removeprefix('.')}.{missing['field']}".removeprefix(".")
        return f"Missing value for required parameter '{path}'. {_ADVICE}"
    at = _AT.search(error)
    path = at["path"] if at is not None else ""
    if "of length >= 1" in error:
        return f"Missing value for required parameter '{path}'. {_ADVICE}"
    name = re.split(r"[.\[]", path, maxsplit=1)[0]
    value = found.get(name)
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))[:_SHOWN]
    about = f"{error}." if path != name else f"Hint: Value was of type '{type(value).__name__}'. {error}."
    return f"Invalid value {shown} for parameter '{name}' supplied: {about} {_ADVICE}"


def _gathered(query: Mapping[str, str], repeated: frozenset[str]) -> dict[str, Any]:
    """A query in which a field that is a list comes as often as it has items."""
    found: dict[str, Any] = dict(query)
    for name in repeated & found.keys():
        found[name] = query.getlist(name)  # type: ignore[attr-defined]
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
    if get_origin(type) in (Union, UnionType, Annotated):
        return any(_is_list(part) for part in get_args(type))
    return type is list or get_origin(type) is list
