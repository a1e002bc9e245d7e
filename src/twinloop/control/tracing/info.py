"""What is known of a trace beside its spans, as clients of MLflow's protocol see it. Times are milliseconds since 1970."""

from __future__ import annotations

import string
from typing import Any, Literal

import msgspec

from twinloop.control.tracing.model import Span, TraceStatus
from twinloop.core.errors import InvalidInput

State = Literal["STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS"]

STATES: dict[TraceStatus, State] = {
    "ok": "OK",
    "error": "ERROR",
    "running": "IN_PROGRESS",
    "unset": "STATE_UNSPECIFIED",
}
STATUSES: dict[str, TraceStatus] = {state: status for status, state in STATES.items()}

FINALIZED = "mlflow.trace.infoFinalized"
SESSION = "mlflow.trace.session"
TOKEN_USAGE = "mlflow.trace.tokenUsage"
COST = "mlflow.trace.cost"
SIZE_STATS = "mlflow.trace.sizeStats"
SOURCE_RUN = "mlflow.sourceRun"
MODEL_ID = "mlflow.modelId"

_PREFIX = "tr-"
_HEX = frozenset(string.hexdigits.lower())
_NS = 1_000_000
_LARGEST = 2**63 - 1


def column_ns(at_ms: int) -> int:
    """A bound on times in milliseconds, as times are kept: nanoseconds, or the nearest to them that a column can hold."""
    return max(-_LARGEST, min(at_ms * _NS, _LARGEST))


def check_moment(at_ms: int) -> None:
    """Raises InvalidInput for a time that no trace can have."""
    if not 0 <= at_ms * _NS <= _LARGEST:
        raise InvalidInput(f"A trace cannot begin or end at {at_ms} ms: give a time from 1970 to 2262.")


def key_of(client_id: str) -> str:
    """The id a trace is kept under: OpenTelemetry's hex digits where the client's id is made of them."""
    digits = client_id.removeprefix(_PREFIX)
    return digits if len(digits) == 32 and _HEX.issuperset(digits) else client_id


def client_id(key: str) -> str:
    """The id that clients of MLflow's protocol know a trace by."""
    return _PREFIX + key if len(key) == 32 and _HEX.issuperset(key) else key


AssessmentKind = Literal["feedback", "expectation", "issue"]


class Assessment(msgspec.Struct, frozen=True):
    """What somebody says of a trace or of one of its spans. ``value`` is any JSON; an issue's is its name.

    ``valid`` is false once another assessment overrides this one.
    """

    id: str
    trace_id: str
    kind: AssessmentKind
    name: str
    value: Any
    source_type: str
    source_id: str | None
    created_ms: int
    updated_ms: int
    error: dict[str, Any] | None = None
    run: str | None = None
    span_id: str | None = None
    rationale: str | None = None
    overrides: str | None = None
    valid: bool = True
    metadata: dict[str, str] = {}


class TraceInfo(msgspec.Struct, frozen=True):
    """``trace_id`` is the key it is kept under; see ``client_id``. ``spans`` says whether any span is here."""

    trace_id: str
    experiment: int
    request_ms: int
    state: State
    duration_ms: int | None = None
    client_request_id: str | None = None
    request_preview: str | None = None
    response_preview: str | None = None
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    assessments: tuple[Assessment, ...] = ()
    spans: bool = False


class Whole(msgspec.Struct, frozen=True):
    """A trace with its spans, the root first, then by their start."""

    info: TraceInfo
    spans: tuple[Span, ...]
