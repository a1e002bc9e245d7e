"""Tables of tracking. ``repository`` imports them, so they are found with it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, String, Table, Text, desc

from twinloop.control.store.schema import Json, metadata, pairs

experiments = Table(
    "experiments",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(500), nullable=False),
    Column("lifecycle", String(10), nullable=False),
    Column("artifact_location", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Index("uq_experiments_name", "tenant", "name", unique=True),
)

experiment_tags = pairs(
    "experiment_tags", Column("experiment", BigInteger, primary_key=True, autoincrement=False), sqlite_with_rowid=False
)

runs = Table(
    "runs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("experiment", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger),
    Column("lifecycle", String(10), nullable=False),
    Column("deleted_ms", BigInteger),
    Column("artifact_uri", Text, nullable=False),
    Column("resumed_ms", BigInteger),
)
Index("ix_runs_newest", runs.c.tenant, runs.c.experiment, runs.c.lifecycle, desc(runs.c.started_ms), runs.c.id)

run_params = pairs("run_params", Column("run", String(32), primary_key=True), sqlite_with_rowid=False)

run_tags = pairs("run_tags", Column("run", String(32), primary_key=True), sqlite_with_rowid=False)

run_inputs = Table(
    "run_inputs",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("name", String(500), primary_key=True),
    Column("digest", String(100), primary_key=True),
    Column("context", Text),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text),
    Column("profile", Text),
    Column("tags", Json),
)

# A series is one metric of one run. Its last point is kept beside it, because that is what lists, filters and orders read;
# its number keeps the many rows of ``metrics`` short. The experiment of the run is repeated, so that an index gives the
# runs of an experiment by the value of a metric; UNPLACED marks rows from before it was, until the first use places them.
UNPLACED = -1
latest_metrics = Table(
    "latest_metrics",
    metadata,
    Column("series", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", String(100), nullable=False),
    Column("run", String(32), nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Double, nullable=False),
    Column("is_nan", Boolean, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("model_id", String(100)),
    Column("dataset_name", Text),
    Column("dataset_digest", String(100)),
    Column("experiment", BigInteger, nullable=False, server_default=str(UNPLACED)),
    Index("uq_latest_metrics_run_key", "tenant", "run", "key", unique=True),
    Index("ix_latest_metrics_value", "tenant", "experiment", "key", "is_nan", "value"),
)

metrics = Table(
    "metrics",
    metadata,
    Column("series", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Double, primary_key=True),
    Column("is_nan", Boolean, primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("model_id", String(100)),
    Column("dataset_name", Text),
    Column("dataset_digest", String(100)),
    sqlite_with_rowid=False,
)

# Logged models that a run read (role "input") or made (role "output", at a step of its training).
run_models = Table(
    "run_models",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("run", String(32), primary_key=True),
    Column("role", String(10), primary_key=True),
    Column("model", String(100), primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

logged_models = Table(
    "logged_models",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("experiment", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text),
    Column("run", String(100)),
    Column("status", String(20), nullable=False),
    Column("status_message", Text),
    Column("artifact_uri", Text, nullable=False),
    Column("lifecycle", String(10), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
)
Index(
    "ix_logged_models_newest",
    logged_models.c.tenant,
    logged_models.c.experiment,
    logged_models.c.lifecycle,
    desc(logged_models.c.created_ms),
    logged_models.c.id,
)

logged_model_params = pairs(
    "logged_model_params", Column("model", String(100), primary_key=True), key=Text(), sqlite_with_rowid=False
)

logged_model_tags = pairs(
    "logged_model_tags", Column("model", String(100), primary_key=True), key=Text(), sqlite_with_rowid=False
)

# Points of runs that say which logged model they measure, by that model.
logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("model", String(100), primary_key=True),
    Column("key", String(250), primary_key=True),
    Column("at_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("run", String(32), primary_key=True),
    Column("value", Double, primary_key=True),
    Column("is_nan", Boolean, primary_key=True),
    Column("dataset_name", Text),
    Column("dataset_digest", String(100)),
    sqlite_with_rowid=False,
)
