"""The tables of traces: one row a trace and a span, and what is said of a trace."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, String, Table, Text, text

from twinloop.control.store.schema import Json, metadata

traces = Table(
    "traces",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("trace_id", String(32), primary_key=True),
    Column("name", String(500), nullable=False),
    Column("endpoint", String(200)),
    Column("release", String(250)),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("source", String(20), nullable=False),
    Column("principal", String(200), nullable=False),
    Column("span_count", Integer, nullable=False),
    Column("summary", Json, nullable=False),
    Column("experiment", BigInteger, nullable=False, server_default="0"),
    Column("title", Text),
    Column("told", Boolean, nullable=False, server_default=text("false")),
    Column("duration_ms", BigInteger),
    Column("client_request_id", Text),
    Column("request_preview", Text),
    Column("response_preview", Text),
    Column("session", String(250)),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("cache_write_1h_tokens", BigInteger),
    Column("input_cost", Float),
    Column("output_cost", Float),
    Column("total_cost", Float),
    Index("ix_traces_newest", "tenant", "start_ns"),
    Index("ix_traces_endpoint", "tenant", "endpoint", "start_ns"),
    Index("ix_traces_release", "tenant", "release", "start_ns"),
    Index("ix_traces_experiment", "tenant", "experiment", "start_ns"),
    Index("ix_traces_session", "tenant", "session"),
)
"""``told`` says that a client has said what the trace is, so that spans that come later change neither times nor totals.

``duration_ms`` is None while no span has ended. An id is longer than its column says where a client of MLflow's protocol
chose it; SQLite does not mind, another database needs the column widened first.
"""

spans = Table(
    "spans",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("trace_id", String(32), primary_key=True),
    Column("span_id", String(16), primary_key=True),
    Column("parent_id", String(16)),
    Column("name", String(500), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("message", Text, nullable=False),
    Column("attributes", Json, nullable=False),
    Column("events", Json, nullable=False),
    Column("type", String(500)),
    Column("model", String(500)),
    Column("provider", String(500)),
    Column("input_cost", Float),
    Column("output_cost", Float),
    Column("total_cost", Float),
    # All that a search by name, type and status reads, so that it never touches the rows, which are large.
    Index("ix_spans_named", "tenant", "name", "start_ns", "trace_id", "type", "status"),
)


def _pairs(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("tenant", String(100), primary_key=True),
        Column("trace_id", String(100), primary_key=True),
        Column("key", String(250), primary_key=True),
        Column("value", Text),
    )


trace_tags = _pairs("trace_tags")
"""Tags may change. One without a value was removed, so that what is derived under the same key stays away."""

trace_metadata = _pairs("trace_metadata")
"""What a client said of a trace for good."""

trace_runs = Table(
    "trace_runs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(100), primary_key=True),
    Column("trace_id", String(100), primary_key=True),
)

trace_prompts = Table(
    "trace_prompts",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("prompt", String(300), primary_key=True),
    Column("trace_id", String(100), primary_key=True),
)
"""``prompt`` is written ``name/version``."""

assessments = Table(
    "assessments",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("trace_id", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("name", String(250), nullable=False),
    Column("value", Text, nullable=False),
    Column("number", Float),
    Column("numeric", Boolean, nullable=False),
    Column("error", Json),
    Column("source_type", String(50), nullable=False),
    Column("source_id", String(250)),
    Column("run", String(100)),
    Column("span_id", String(50)),
    Column("rationale", Text),
    Column("overrides", String(100)),
    Column("valid", Boolean, nullable=False),
    Column("metadata", Json),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("ix_assessments_trace", "tenant", "trace_id", "created_ms"),
    Index("ix_assessments_named", "tenant", "kind", "name", "valid", "trace_id"),
)
"""``value`` is JSON; ``number`` is what aggregates count it as, and ``numeric`` whether it is a number itself."""
