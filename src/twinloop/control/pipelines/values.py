"""What may pass between steps: JSON. And the key of a step: a digest over its code and its inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from twinloop.control.pipelines.errors import DefinitionError
from twinloop.core.digests import Digest, digest_json, is_digest

SIZE_LIMIT = 256 * 1024
"""Bytes of JSON one step may return."""

_DEPTH = 64
_PLAIN = (str, bool, int, type(None))
_NAMED = re.compile(r"[a-z][a-z0-9_]{0,99}/[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}(?:@[A-Za-z0-9_][A-Za-z0-9._-]{0,99})?\Z")
_NUMBERED = re.compile(r"[^@]+@[0-9]{1,18}\Z")
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def plain(value: Any, what: str, leave: type | tuple[type, ...] = (), depth: int = _DEPTH) -> Any:
    """``value`` as JSON types: tuples become lists, scalars of numpy become numbers; ``leave`` types stay.

    Raises:
        DefinitionError: it holds something JSON cannot say.
    """
    if isinstance(value, _PLAIN) or (leave and isinstance(value, leave)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DefinitionError(f"{what} holds {value}, which JSON cannot say. Use None instead.")
        return float(value)
    if depth == 0:
        raise DefinitionError(f"{what} is nested more than {_DEPTH} levels deep. Register it as an artifact instead.")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise DefinitionError(f"{what} holds a map with keys that are not text. Make them text, as in JSON.")
        return {str(key): plain(item, what, leave, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, what, leave, depth - 1) for item in value]
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return plain(value.item(), what, leave, depth - 1)
    advice = (
        "Use its .ref instead"
        if isinstance(getattr(value, "ref", None), str)
        else "Register it as a dataset or an artifact and pass its reference"
    )
    raise DefinitionError(f"{what} holds a {type(value).__name__}, and only JSON passes between steps. {advice}.")


def stored(value: Any, what: str) -> Any:
    """``value`` as the next step will see it, whether it was just returned or read from the store."""
    data = _encoder.encode(plain(value, what))
    if len(data) > SIZE_LIMIT:
        raise DefinitionError(
            f"{what} has {len(data)} bytes of JSON; {SIZE_LIMIT} is the most. Register it as a dataset or an artifact "
            "and pass its reference."
        )
    return _decoder.decode(data)


def references_in(value: Any) -> Iterator[str]:
    """Every text in ``value`` that could name a revision: a digest, ``kind/name``, ``kind/name@version``."""
    if isinstance(value, str):
        if ("/" in value and _NAMED.match(value)) or is_digest(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item)


def is_fixed(reference: str) -> bool:
    """Whether a reference can never come to mean another revision."""
    return _NUMBERED.match(reference) is not None or is_digest(reference)


def step_key(code: str, inputs: Mapping[str, Any], digests: Mapping[str, str | None]) -> Digest:
    """The key under which a step's result is found again. ``digests`` maps references among the inputs to digests."""
    return digest_json({"code": code, "inputs": _resolved(inputs, digests)})


def _resolved(value: Any, digests: Mapping[str, str | None]) -> Any:
    if isinstance(value, str):
        digest = digests.get(value)
        return value if digest is None else {"$revision": digest}
    if isinstance(value, Mapping):
        return {key: _resolved(item, digests) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, digests) for item in value]
    return value
