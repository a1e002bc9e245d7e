"""What an evaluation dataset holds. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

from typing import Any

import msgspec

USER_TAG = "mlflow.user"
"""The tag by which clients say who they are."""

SOURCE_TYPES = ("UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE")


class Dataset(msgspec.Struct, frozen=True):
    """A named set of records. ``digest`` is over what the records say: equal records give an equal digest.

    ``schema`` maps each field of inputs, outputs and expectations to its type, None before the first record came;
    ``records`` counts them.
    """

    id: str
    name: str
    digest: str
    created_ms: int
    updated_ms: int
    created_by: str | None = None
    updated_by: str | None = None
    schema: dict[str, Any] | None = None
    records: int = 0
    tags: dict[str, str] = {}


class Draft(msgspec.Struct, frozen=True):
    """A record as its client gives it; the fields in ``given`` were there, also when they say null."""

    inputs: dict[str, Any]
    outputs: Any = None
    expectations: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None
    source_type: str | None = None
    source_data: dict[str, Any] | None = None
    given: frozenset[str] = frozenset()

    @property
    def user(self) -> str | None:
        """Who gave it, if its tags say so."""
        told = (self.tags or {}).get(USER_TAG)
        return None if told is None else str(told)

    @property
    def source_id(self) -> str | None:
        """What in the source it is from: its trace, or whatever the source calls itself."""
        if self.source_type is None:
            return None
        found = (self.source_data or {}).get("trace_id" if self.source_type == "TRACE" else "source_id")
        return None if found is None else str(found)


class Record(msgspec.Struct, frozen=True):
    """One example. Its ``inputs`` identify it within its dataset."""

    id: str
    dataset: str
    inputs: dict[str, Any]
    outputs: Any
    expectations: dict[str, Any] | None
    tags: dict[str, Any] | None
    source_type: str | None
    source_data: dict[str, Any] | None
    source_id: str | None
    created_ms: int
    updated_ms: int
    created_by: str | None = None
    updated_by: str | None = None


class Merged(msgspec.Struct, frozen=True):
    """What a merge did."""

    inserted: int
    updated: int
