"""How records come together, and what they say as one: the digest and the schema of a dataset. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from twinloop.control.evaluation.datasets.model import Draft, Record

_MODULUS = 1 << 256
_DIGEST = 16
_VERSION = "1.0"
_PARTS = ("inputs", "outputs", "expectations")


def input_hash(inputs: Mapping[str, Any]) -> str:
    """What identifies a record: SHA-256 over its inputs as JSON with sorted keys, in hex."""
    return hashlib.sha256(_json(inputs)).hexdigest()


def merged(record: Record, draft: Draft, now_ms: int) -> Record:
    """``record`` with what ``draft`` adds: expectations and tags key by key, outputs as a whole.

    Where it came from and who made it stay what they were.
    """
    return msgspec.structs.replace(
        record,
        outputs=draft.outputs if "outputs" in draft.given else record.outputs,
        expectations=_joined(record.expectations, draft.expectations),
        tags=_joined(record.tags, draft.tags),
        updated_ms=now_ms,
        updated_by=draft.user or record.updated_by,
    )


def made(id: str, dataset: str, draft: Draft, now_ms: int) -> Record:
    """A new record of what ``draft`` says."""
    return Record(
        id=id,
        dataset=dataset,
        inputs=draft.inputs,
        outputs=draft.outputs,
        expectations=draft.expectations,
        tags=draft.tags,
        source_type=draft.source_type,
        source_data=draft.source_data,
        source_id=draft.source_id,
        created_ms=now_ms,
        updated_ms=now_ms,
        created_by=draft.user,
        updated_by=draft.user,
    )


def weight(record: Record) -> int:
    """What a record adds to the sum of its dataset: a hash of what an evaluation reads of it.

    The sum of the hashes modulo 2**256 does not depend on order and is kept up to date by adding and taking away
    (Bellare and Micciancio's AdHash, 1997), so changing one record of many does not mean reading all.
    """
    told = [record.inputs, record.outputs, record.expectations or {}]
    return int.from_bytes(hashlib.sha256(_json(told)).digest(), "big")


def added(total: int, more: Iterable[int] = (), less: Iterable[int] = ()) -> int:
    return (total + sum(more) - sum(less)) % _MODULUS


def digest(name: str, total: int) -> str:
    """The digest of a dataset of this name whose records' weights sum up to ``total``."""
    return hashlib.sha256(f"{name}:{total:064x}".encode()).hexdigest()[:_DIGEST]


def schema(there: Mapping[str, Any] | None, drafts: Iterable[Draft]) -> dict[str, Any]:
    """The schema with the fields that ``drafts`` bring; a field keeps the type it had first."""
    found: dict[str, Any] = {part: _copy((there or {}).get(part, {})) for part in _PARTS} | {"version": _VERSION}
    for draft in drafts:
        for part, value in (("inputs", draft.inputs), ("outputs", draft.outputs), ("expectations", draft.expectations)):
            if isinstance(value, dict) and isinstance(found[part], dict):
                for key, item in value.items():
                    found[part].setdefault(key, _type(item))
            elif part == "outputs" and value is not None and not found[part]:
                found[part] = _type(value)
    return found


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _type(value: Any) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (type(None), "null"),
        (bool, "boolean"),
        (int, "integer"),
        (float, "float"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "unknown")


def _joined(there: dict[str, Any] | None, more: dict[str, Any] | None) -> dict[str, Any] | None:
    return {**(there or {}), **more} if more else there


def _json(value: Any) -> bytes:
    # Python's own JSON, because clients make records with it: it knows NaN and infinities.
    return json.dumps(value, sort_keys=True).encode()
