"""Verbs on what people, judges and code say of traces."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.security.model import Principal, Role
from twinloop.control.security.redaction import redact
from twinloop.control.store.ports import Store
from twinloop.control.tracing import assessment_rows, info_rows
from twinloop.control.tracing.info import Assessment, AssessmentKind, client_id
from twinloop.core.clock import Clock
from twinloop.core.errors import InvalidInput, NotFound

_LABELS = {"feedback": "a Feedback", "expectation": "an Expectation", "issue": "an Issue"}


class AssessmentChange(msgspec.Struct, frozen=True):
    """What may change of an assessment; None stays as it is. ``value`` is of ``kind``; metadata is merged."""

    name: str | None = None
    kind: AssessmentKind | None = None
    value: Any = None
    error: dict[str, Any] | None = None
    rationale: str | None = None
    metadata: dict[str, str] | None = None


def new_id() -> str:
    return f"a-{uuid.uuid4().hex}"


class Assessments:
    """Feedback, expectations and references to issues. Secrets are masked before anything is written."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, who: Principal, said: Assessment) -> Assessment:
        """Raises NotFound when there is no such trace, or nothing to override."""
        who.require(Role.developer)
        clean = masked(said)

        def work(connection: Connection) -> None:
            info_rows.require(connection, who.tenant, clean.trace_id)
            if clean.overrides and not assessment_rows.set_valid(
                connection, who.tenant, clean.trace_id, clean.overrides, valid=False
            ):
                raise NotFound(
                    f"Assessment with ID '{clean.overrides[:100]}' not found for trace '{client_id(clean.trace_id)}'. "
                    "Override one of the same trace."
                )
            assessment_rows.put(connection, who.tenant, clean)

        await self._store.write(work)
        return clean

    async def get(self, who: Principal, key: str, id: str) -> Assessment:
        """Raises NotFound."""
        who.require(Role.viewer)
        return await self._store.read(lambda c: assessment_rows.get(c, who.tenant, key, id))

    async def update(self, who: Principal, key: str, id: str, change: AssessmentChange) -> Assessment:
        """Raises NotFound, and InvalidInput when the new value is of another kind."""
        who.require(Role.developer)
        now = self.now()

        def work(connection: Connection) -> Assessment:
            changed = masked(_changed(assessment_rows.get(connection, who.tenant, key, id), change, now))
            assessment_rows.put(connection, who.tenant, changed)
            return changed

        return await self._store.write(work)

    async def delete(self, who: Principal, key: str, id: str) -> None:
        """What it overrode counts again. Deleting one that is not there is no error."""
        who.require(Role.developer)

        def work(connection: Connection) -> None:
            try:
                found = assessment_rows.get(connection, who.tenant, key, id)
            except NotFound:
                return
            if found.overrides:
                assessment_rows.set_valid(connection, who.tenant, key, found.overrides, valid=True)
            assessment_rows.remove(connection, who.tenant, key, id)

        await self._store.write(work)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._clock.now_ns() // 1_000_000


def _changed(found: Assessment, change: AssessmentChange, now: int) -> Assessment:
    values: dict[str, Any] = {"updated_ms": max(now, found.updated_ms + 1)}
    if change.kind is not None:
        if change.kind != found.kind:
            raise InvalidInput(
                f"Cannot update {change.kind} value on {_LABELS[found.kind]} assessment. Create another assessment instead."
            )
        values.update(value=change.value, error=change.error)
    if change.name is not None:
        values["name"] = change.name
    if change.rationale is not None and found.kind != "expectation":
        values["rationale"] = change.rationale
    if change.metadata is not None:
        values["metadata"] = {**found.metadata, **change.metadata}
    return msgspec.structs.replace(found, **values)


def masked(said: Assessment) -> Assessment:
    return msgspec.structs.replace(
        said,
        value=redact(said.value),
        error=redact(said.error),
        rationale=redact(said.rationale),
        metadata=redact(said.metadata),
    )
