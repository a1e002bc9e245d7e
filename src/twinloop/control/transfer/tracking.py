"""What is carried of tracking: experiments, runs and everything logged on them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

from sqlalchemy import Connection, select, update

from twinloop.control.tracking.model import Lifecycle, ModelStatus, RunStatus
from twinloop.control.tracking.names import check_experiment_name, check_key
from twinloop.control.tracking.tables import (
    experiment_tags,
    experiments,
    logged_model_metrics,
    logged_model_params,
    logged_model_tags,
    logged_models,
    run_inputs,
    run_models,
    run_params,
    run_tags,
    runs,
)
from twinloop.control.transfer import points, rows
from twinloop.control.transfer.model import Row
from twinloop.control.transfer.shape import Need, Shape
from twinloop.core.errors import InvalidInput

_ID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
_MODEL = re.compile(r"[A-Za-z0-9_-]{1,80}\Z")
_UNDER_WAY = ("RUNNING", "SCHEDULED")


def _experiment(row: Row) -> None:
    check_experiment_name(row["name"])
    _lifecycle(row)
    if row["number"] < 0:
        raise InvalidInput("The number of an experiment is 0 or more.")


def _run(row: Row) -> None:
    if not _ID.match(row["id"]):
        raise InvalidInput("The id of a run has 1 to 32 letters, digits, '_' and '-'.")
    if row["status"] not in get_args(RunStatus):
        raise InvalidInput(
            f"{row['status'][:40]!r} is not a status of runs. Use one of: {', '.join(get_args(RunStatus))}."
        )
    _lifecycle(row)


def _admit_experiments(connection: Connection, tenant: str, found: Sequence[Row]) -> list[str | None]:
    """Numbers and names go together: who sends experiments gives them numbers that are free here, or theirs."""
    numbers = {row["number"]: row["name"] for row in _held(connection, tenant, "number", found)}
    names = {row["name"]: row["number"] for row in _held(connection, tenant, "name", found)}
    said: list[str | None] = []
    for row in found:
        number, name = row["number"], row["name"]
        if numbers.setdefault(number, name) != name:
            said.append(f"the number {number} is that of the experiment {numbers[number]!r} here")
        elif names.setdefault(name, number) != number:
            said.append(f"the experiment {name!r} has the number {names[name]} here")
        else:
            said.append(None)
    return said


def _held(connection: Connection, tenant: str, column: str, found: Sequence[Row]) -> list[Row]:
    return rows.read(connection, tenant, EXPERIMENTS, [(row[column],) for row in found], None, 2**31, by=(column,))


def _lifecycle(row: Row) -> None:
    if row["lifecycle"] not in get_args(Lifecycle):
        raise InvalidInput(f"{row['lifecycle'][:40]!r} is not a lifecycle. Use active or deleted.")


def _model(row: Row) -> None:
    if not _MODEL.match(row["id"]):
        raise InvalidInput("The id of a logged model has 1 to 80 letters, digits, '_' and '-'.")
    if row["status"] not in get_args(ModelStatus):
        raise InvalidInput(f"{row['status'][:40]!r} is not a status of logged models.")
    _lifecycle(row)


def _role(row: Row) -> None:
    if row["role"] not in ("input", "output"):
        raise InvalidInput("A run reads a logged model as input or makes it as output.")


def _param(row: Row) -> None:
    check_key(row["key"], "param key")


def _tag(row: Row) -> None:
    check_key(row["key"], "tag key")


def _write_experiments(connection: Connection, tenant: str, found: Sequence[Row]) -> int:
    """Experiment 0 is made before anything can come in; while it holds nothing it becomes the one that comes."""
    added = rows.insert(connection, tenant, _PLAIN_EXPERIMENTS, found)
    for row in found:
        if row["number"] == _DEFAULT and not _used(connection, tenant, _DEFAULT):
            mine = (experiments.c.tenant == tenant, experiments.c.number == _DEFAULT)
            connection.execute(update(experiments).where(*mine).values(row))
    return added


def _used(connection: Connection, tenant: str, number: int) -> bool:
    for table in (runs, logged_models, experiment_tags):
        mine = (table.c.tenant == tenant, table.c.experiment == number)
        if connection.execute(select(table.c.experiment).where(*mine).limit(1)).first() is not None:
            return True
    return False


def _write_runs(connection: Connection, tenant: str, found: Sequence[Row]) -> int:
    """Runs that are there stay as they are, except that one that was under way when it was carried may have ended since."""
    there = rows.keys(connection, tenant, _PLAIN_RUNS, [(row["id"],) for row in found])
    added = rows.insert(connection, tenant, _PLAIN_RUNS, found)
    for row in found:
        if (row["id"],) in there and row["ended_ms"] is not None and row["status"] not in _UNDER_WAY:
            under_way = (runs.c.ended_ms.is_(None), runs.c.status.in_(_UNDER_WAY))
            connection.execute(
                update(runs)
                .where(runs.c.tenant == tenant, runs.c.id == row["id"], *under_way)
                .values(status=row["status"], ended_ms=row["ended_ms"])
            )
    return added


def _write_models(connection: Connection, tenant: str, found: Sequence[Row]) -> int:
    """The same of logged models: one whose files were still on their way when it was carried may be READY since."""
    there = rows.keys(connection, tenant, _PLAIN_MODELS, [(row["id"],) for row in found])
    added = rows.insert(connection, tenant, _PLAIN_MODELS, found)
    for row in found:
        if (row["id"],) in there and row["status"] != _PENDING:
            mine = (logged_models.c.tenant == tenant, logged_models.c.id == row["id"])
            told = {name: row[name] for name in ("status", "status_message", "updated_ms")}
            connection.execute(update(logged_models).where(*mine, logged_models.c.status == _PENDING).values(told))
    return added


_DEFAULT = 0
_PENDING = "PENDING"
_EXPERIMENTS: dict[str, Any] = {
    "name": "experiments",
    "table": experiments,
    "key": ("number",),
    "scope": ("number",),
    "check": _experiment,
    "admit": _admit_experiments,
}
_PLAIN_EXPERIMENTS = Shape(**_EXPERIMENTS)
EXPERIMENTS = Shape(**_EXPERIMENTS, writer=_write_experiments)
_IN_EXPERIMENT = Need(("experiment",), "experiments", ("number",))
_OF_RUN = (Need(("run",), "runs", ("id",)),)
_OF_MODEL = (Need(("model",), "logged_models", ("id",)),)
_RUNS: dict[str, Any] = {
    "name": "runs",
    "table": runs,
    "key": ("id",),
    "scope": ("id",),
    "needs": (_IN_EXPERIMENT,),
    "lookups": (("experiment",),),
    "defaults": {"resumed_ms": None},
    "check": _run,
}
_PLAIN_RUNS = Shape(**_RUNS)
RUNS = Shape(**_RUNS, writer=_write_runs)
_MODELS: dict[str, Any] = {
    "name": "logged_models",
    "table": logged_models,
    "key": ("id",),
    "scope": ("id",),
    "needs": (_IN_EXPERIMENT,),
    "lookups": (("experiment",), ("run",)),
    "check": _model,
}
_PLAIN_MODELS = Shape(**_MODELS)
SHAPES = (
    EXPERIMENTS,
    Shape("experiment_tags", experiment_tags, ("experiment", "key"), ("experiment",), (_IN_EXPERIMENT,), check=_tag),
    RUNS,
    Shape("params", run_params, ("run", "key"), ("run",), _OF_RUN, check=_param),
    Shape("tags", run_tags, ("run", "key"), ("run",), _OF_RUN, check=_tag),
    Shape("inputs", run_inputs, ("run", "name", "digest"), ("run",), _OF_RUN),
    points.SHAPE,
    Shape("run_models", run_models, ("run", "role", "model", "step"), ("run",), _OF_RUN, check=_role),
    Shape(**_MODELS, writer=_write_models),
    Shape("logged_model_params", logged_model_params, ("model", "key"), ("model",), _OF_MODEL),
    Shape("logged_model_tags", logged_model_tags, ("model", "key"), ("model",), _OF_MODEL),
    Shape(
        "logged_model_metrics",
        logged_model_metrics,
        ("model", "key", "at_ms", "step", "run", "value", "is_nan"),
        ("model",),
        _OF_MODEL,
    ),
)
