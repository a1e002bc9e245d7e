"""Traces of another system, with their spans and what was said of them, under the ids and times they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from twinloop.control.security.model import Principal, Role
from twinloop.control.security.redaction import redact
from twinloop.control.store.ports import Store
from twinloop.control.tracing import assessment_rows, info_rows, ingest, repository
from twinloop.control.tracing.conventions import translated
from twinloop.control.tracing.facts import facts
from twinloop.control.tracing.info import (
    COST,
    FINALIZED,
    MODEL_ID,
    SOURCE_RUN,
    STATUSES,
    TOKEN_USAGE,
    Assessment,
    State,
    TraceInfo,
    client_id,
    key_of,
)
from twinloop.control.tracing.model import Span, Trace, TraceLink
from twinloop.control.tracing.ports import LinkWriter
from twinloop.control.tracing.tags import LOCATION, NAME, SPANS, VALUE_LIMIT, check_key
from twinloop.control.transfer import rows
from twinloop.control.transfer.imported import counted
from twinloop.control.transfer.model import Outcome, Sum
from twinloop.control.transfer.tracking import EXPERIMENTS
from twinloop.core.digests import digest_json
from twinloop.core.errors import InvalidInput

_MS = 1_000_000
_NAME = 500
_DERIVED = (LOCATION, SPANS)
"""Tags that are told of a trace and not kept: where it is."""


class ImportedTrace(msgspec.Struct, frozen=True):
    """``id`` is what its clients call it, ``tr-…``; ``experiment`` is the number here. ``runs`` are linked to it."""

    id: str
    experiment: int
    request_ms: int
    duration_ms: int | None
    state: State
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    assessments: tuple[Assessment, ...] = ()
    spans: tuple[Span, ...] = ()
    runs: tuple[str, ...] = ()


class TraceSums(msgspec.Struct, frozen=True):
    """What a trace adds up to: itself with tags and metadata, its spans, what was said of it."""

    traces: Sum
    spans: Sum
    assessments: Sum


class TraceImports:
    """Takes traces; one that is here is kept, and given the assessments that are new."""

    def __init__(self, store: Store, links: LinkWriter) -> None:
        self._store = store
        self._links = links

    async def put(self, who: Principal, origin: str, found: Sequence[ImportedTrace]) -> Outcome:
        """Add traces, in one transaction; one that cannot be taken is refused whole."""
        who.require(Role.admin)

        def work(connection: Connection) -> Outcome:
            outcome = Outcome({}, {}, [])
            there = _present(connection, who.tenant, [trace.id for trace in found])
            wanted = [(trace.experiment,) for trace in found]
            experiments = rows.keys(connection, who.tenant, EXPERIMENTS, wanted)
            for trace in found:
                with counted(connection, outcome, "traces", [trace.id]) as done:
                    if (trace.experiment,) not in experiments:
                        raise InvalidInput(f"There is no experiment {trace.experiment} here.")
                    new = key_of(trace.id) not in there
                    tidy = clean(trace)
                    said = len(tidy.assessments)
                    if new:
                        self._add(connection, who, origin, tidy)
                    else:
                        said = _add_said(connection, who.tenant, tidy)
                    done(new, spans=len(tidy.spans) if new else 0, assessments=said)
            return outcome

        return await self._store.write(work)

    async def sums(self, who: Principal, ids: Sequence[str]) -> list[TraceSums | None]:
        """What traces here add up to, in the order of their ids; None for one that is not here."""
        who.require(Role.admin)
        keys = [key_of(id) for id in ids]

        def work(connection: Connection) -> dict[str, ImportedTrace]:
            spans = repository.spans_of(connection, who.tenant, keys)
            infos = info_rows.many(connection, who.tenant, keys, None)
            return {info.trace_id: _as_imported(info, spans.get(info.trace_id, ())) for info in infos}

        found = await self._store.read(work)
        return [sums_of(found[key]) if key in found else None for key in keys]

    def _add(self, connection: Connection, who: Principal, origin: str, trace: ImportedTrace) -> None:
        _check(trace)
        key, start_ns = key_of(trace.id), trace.request_ms * _MS
        name = trace.tags.get(NAME) or trace.id
        if trace.spans:
            first = min(span.start_ns for span in trace.spans)
            last = max(span.end_ns for span in trace.spans)
            whole = Trace(
                key, name[:_NAME], first, max(first, last), STATUSES[trace.state], "mlflow", who.name,
                span_count=len(trace.spans), summary={"imported_from": origin}, spans=trace.spans,
                experiment=trace.experiment,
            )  # fmt: skip
            ingest.add(connection, who.tenant, [facts(whole)])
        told = TraceInfo(
            trace_id=key,
            experiment=trace.experiment,
            request_ms=trace.request_ms,
            state=trace.state,
            duration_ms=trace.duration_ms,
            client_request_id=trace.client_request_id,
            request_preview=trace.request_preview,
            response_preview=trace.response_preview,
            tags={name: value for name, value in trace.tags.items() if name not in _DERIVED},
            metadata=trace.metadata,
            assessments=trace.assessments,
        )
        info_rows.start(connection, who.tenant, told, who.name, final=True)
        for run in trace.runs:
            info_rows.link_run(connection, who.tenant, [key], run)
        links = _links(trace)
        if links:
            node = Trace(key, name[:_NAME], start_ns, start_ns, "ok", "mlflow", who.name, links=links)
            self._links(connection, who.tenant, [node])


def clean(trace: ImportedTrace) -> ImportedTrace:
    """A trace without the secrets it may hold, and with what belongs to it named after it."""
    key = key_of(trace.id)
    return msgspec.structs.replace(
        trace,
        request_preview=redact(trace.request_preview),
        response_preview=redact(trace.response_preview),
        tags=redact(trace.tags),
        metadata=redact(trace.metadata),
        assessments=tuple(
            msgspec.structs.replace(
                said,
                trace_id=key,
                value=redact(said.value),
                error=redact(said.error),
                rationale=redact(said.rationale),
                metadata=redact(said.metadata),
            )
            for said in trace.assessments
        ),
        spans=tuple(_clean_span(span, key) for span in trace.spans),
    )


def sums_of(trace: ImportedTrace) -> TraceSums:
    """What a clean trace adds up to, the same on both sides."""
    kept = (
        *(
            "request_ms",
            "duration_ms",
            "state",
            "client_request_id",
            "request_preview",
            "response_preview",
            "experiment",
        ),
    )
    about = {name: getattr(trace, name) for name in kept}
    about["tags"] = {name: value for name, value in trace.tags.items() if name not in _DERIVED}
    about["metadata"] = {name: _counted(name, value) for name, value in trace.metadata.items() if name != FINALIZED}
    spans = sorted((_seen_span(span) for span in trace.spans), key=lambda span: str(span["span_id"]))
    said = sorted((msgspec.to_builtins(each) for each in trace.assessments), key=lambda each: str(each["id"]))
    return TraceSums(Sum(1, digest_json(about)), Sum(len(spans), digest_json(spans)), Sum(len(said), digest_json(said)))


def _clean_span(span: Span, key: str) -> Span:
    return msgspec.structs.replace(
        span,
        trace_id=key,
        name=span.name[:_NAME],
        message=redact(span.message),
        attributes=redact(span.attributes),
        events=tuple(msgspec.structs.replace(each, attributes=redact(each.attributes)) for each in span.events),
    )


def _seen_span(span: Span) -> dict[str, Any]:
    seen: dict[str, Any] = msgspec.to_builtins(span)
    # What other conventions say is added to a span when it is kept.
    return {**seen, "attributes": {**span.attributes, **translated(span.attributes)}}


def _counted(name: str, value: str) -> Any:
    """Tokens and cost are kept as numbers and told again as JSON, perhaps in another order."""
    if name not in (TOKEN_USAGE, COST):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _as_imported(info: TraceInfo, spans: Sequence[Span]) -> ImportedTrace:
    return ImportedTrace(
        id=client_id(info.trace_id),
        experiment=info.experiment,
        request_ms=info.request_ms,
        duration_ms=info.duration_ms,
        state=info.state,
        client_request_id=info.client_request_id,
        request_preview=info.request_preview,
        response_preview=info.response_preview,
        tags={name: value for name, value in info.tags.items() if value is not None},
        metadata=info.metadata,
        assessments=info.assessments,
        spans=tuple(spans),
    )


def _check(trace: ImportedTrace) -> None:
    if not trace.id or len(trace.id) > 100 or not trace.id.isprintable():
        raise InvalidInput("The id of a trace has 1 to 100 characters.")
    for name, value in trace.tags.items():
        check_key(name)
        if len(value) > VALUE_LIMIT:
            raise InvalidInput(f"The tag {name!r} is longer than {VALUE_LIMIT} characters.")
    for span in trace.spans:
        if not 0 <= span.start_ns < 2**63 or not 0 <= span.end_ns < 2**63:
            raise InvalidInput(f"The span {span.span_id[:40]} has no time that can be kept.")


def _links(trace: ImportedTrace) -> tuple[TraceLink, ...]:
    wanted: Mapping[str, tuple[str, str]] = {
        SOURCE_RUN: ("part_of_run", "run"),
        MODEL_ID: ("answered_by", "logged_model"),
    }
    return tuple(
        TraceLink(role, f"{kind}:{trace.metadata[name]}")
        for name, (role, kind) in wanted.items()
        if trace.metadata.get(name)
    )


def _add_said(connection: Connection, tenant: str, trace: ImportedTrace) -> int:
    """Assessments that came after the trace was copied; returns how many."""
    key = key_of(trace.id)
    there = {said.id for said in assessment_rows.of_traces(connection, tenant, [key]).get(key, ())}
    fresh = [said for said in trace.assessments if said.id not in there]
    for said in fresh:
        assessment_rows.put(connection, tenant, said)
    return len(fresh)


def _present(connection: Connection, tenant: str, ids: Sequence[str]) -> set[str]:
    return {info.trace_id for info in info_rows.many(connection, tenant, [key_of(id) for id in ids], None)}
