"""Traces with their assessments and spans out of MLflow's tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from twinloop.sdk.transfer.found import FoundAssessment, FoundTrace
from twinloop.sdk.transfer.spans import LOCATION_TAG, from_content
from twinloop.sdk.transfer.sqlite_rows import Row, Rows, grouped, pairs

_TOKENS = (
    "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
)  # fmt: skip
_COSTS = ("input_cost", "output_cost", "total_cost")
_ASSESSMENT = (
    "assessment_id", "trace_id", "name", "assessment_type", "value", "error", "created_timestamp",
    "last_updated_timestamp", "source_type", "source_id", "run_id", "span_id", "rationale", "overrides", "valid",
    "assessment_metadata",
)  # fmt: skip


def read_traces(rows: Rows, ids: Sequence[str]) -> tuple[Callable[[Row], FoundTrace], list[Row]]:
    """Rows of these traces in their order, and what makes a trace of each."""
    columns = (
        "request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status", "client_request_id",
        "request_preview", "response_preview", "trace_name", "session_id", *_TOKENS, *_COSTS,
    )  # fmt: skip
    found = {row["request_id"]: row for row in rows.within("trace_info", columns, "request_id", ids)}
    tags = grouped(rows.within("trace_tags", ("request_id", "key", "value"), "request_id", ids), "request_id")
    metadata = grouped(
        rows.within("trace_request_metadata", ("request_id", "key", "value"), "request_id", ids), "request_id"
    )
    said = grouped(
        rows.within("assessments", _ASSESSMENT, "trace_id", ids, "ORDER BY created_timestamp, assessment_id"),
        "trace_id",
    )
    spans = grouped(
        rows.within("spans", ("trace_id", "content"), "trace_id", ids, "ORDER BY start_time_unix_nano, span_id"),
        "trace_id",
    )

    linked = grouped(
        (
            row
            for row in rows.within(
                "entity_associations",
                ("source_type", "source_id", "destination_type", "destination_id"),
                "source_id",
                ids,
            )
            if (row["source_type"], row["destination_type"]) == ("trace", "run")
        ),
        "source_id",
    )

    def build(row: Row) -> FoundTrace:
        id = row["request_id"]
        own = pairs(tags.get(id, ()))
        if row["trace_name"] is not None:
            own["mlflow.traceName"] = row["trace_name"]
        return FoundTrace(
            id=id,
            experiment_id=str(row["experiment_id"]),
            started_ms=row["timestamp_ms"],
            duration_ms=row["execution_time_ms"],
            state=row["status"],
            client_request_id=row["client_request_id"],
            request_preview=row["request_preview"],
            response_preview=row["response_preview"],
            location=own.get(LOCATION_TAG, ""),
            metadata=pairs(metadata.get(id, ())) | _promoted(row),
            tags=own,
            assessments=tuple(_assessment(item) for item in said.get(id, ())),
            spans=tuple(from_content(msgspec.json.decode(span["content"])) for span in spans[id])
            if id in spans
            else None,
            runs=tuple(sorted(row["destination_id"] for row in linked.get(id, ()))),
        )

    return build, [found[id] for id in ids if id in found]


def _promoted(row: Row) -> dict[str, str]:
    """Metadata that MLflow moved into columns of their own, as clients are given it."""
    found = {} if row["session_id"] is None else {"mlflow.trace.session": row["session_id"]}
    for key, names in (("mlflow.trace.tokenUsage", _TOKENS), ("mlflow.trace.cost", _COSTS)):
        counts = {name: row[name] for name in names if row[name] is not None}
        if counts:
            found[key] = json.dumps(counts)
    return found


def _assessment(row: Row) -> FoundAssessment:
    return FoundAssessment(
        id=row["assessment_id"],
        name=row["name"],
        kind=row["assessment_type"],
        value=_json(row["value"]),
        error=_json(row["error"]),
        rationale=row["rationale"],
        source_type=row["source_type"],
        source_id=row["source_id"],
        span_id=row["span_id"],
        run_id=row["run_id"],
        overrides=row["overrides"],
        valid=bool(row["valid"]),
        metadata={key: str(value) for key, value in (_json(row["assessment_metadata"]) or {}).items()},
        created_ms=row["created_timestamp"],
        updated_ms=row["last_updated_timestamp"],
    )


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
