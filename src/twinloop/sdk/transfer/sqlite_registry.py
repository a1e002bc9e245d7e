"""Registered models and their versions out of MLflow's tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twinloop.sdk.transfer.found import FoundModel, FoundVersion
from twinloop.sdk.transfer.sqlite_rows import Row, Rows, grouped, pairs

_DELETED = "Deleted_Internal"
"""What MLflow writes as the stage of a deleted version, whose other fields it blacks out."""


class Within(Protocol):
    """Makes the end of a statement: a condition, restricted to a workspace where there are some."""

    def __call__(self, table: str, rest: str = "", condition: str = "", *values: Any) -> tuple[str, list[Any]]: ...


def read_models(rows: Rows, within: Within) -> tuple[Callable[[Row], FoundModel], list[Row]]:
    """Rows of the registered models by name, and what makes a model of each."""
    columns = ("name", "creation_time", "last_updated_time", "description")
    found = rows.select("registered_models", columns, *within("registered_models", "ORDER BY name"))
    tags = grouped(
        rows.select("registered_model_tags", ("name", "key", "value"), *within("registered_model_tags")), "name"
    )
    aliases = grouped(
        rows.select("registered_model_aliases", ("name", "alias", "version"), *within("registered_model_aliases")),
        "name",
    )

    def build(row: Row) -> FoundModel:
        return FoundModel(
            name=row["name"],
            description=row["description"] or None,
            created_ms=row["creation_time"] or 0,
            updated_ms=row["last_updated_time"] or row["creation_time"] or 0,
            tags=pairs(tags.get(row["name"], ())),
            aliases={alias["alias"]: int(alias["version"]) for alias in aliases.get(row["name"], ())},
        )

    return build, found


def read_versions(rows: Rows, name: str, within: Within) -> tuple[Callable[[Row], FoundVersion], list[Row]]:
    columns = (
        "name", "version", "creation_time", "last_updated_time", "description", "user_id", "current_stage", "source",
        "run_id", "status", "status_message", "run_link",
    )  # fmt: skip
    found = rows.select("model_versions", columns, *within("model_versions", "ORDER BY version", "name = ?", name))
    tags = grouped(
        rows.select(
            "model_version_tags", ("version", "key", "value"), *within("model_version_tags", "", "name = ?", name)
        ),
        "version",
    )

    def build(row: Row) -> FoundVersion:
        deleted = row["current_stage"] == _DELETED
        return FoundVersion(
            name=row["name"],
            number=int(row["version"]),
            created_ms=row["creation_time"] or 0,
            updated_ms=row["last_updated_time"] or row["creation_time"] or 0,
            description=row["description"] or None,
            user=row["user_id"] or None,
            stage="None" if deleted else row["current_stage"] or "None",
            source="" if deleted else row["source"] or "",
            run_id=None if deleted else row["run_id"] or None,
            status=row["status"] or "READY",
            status_message=row["status_message"] or None,
            run_link=None if deleted else row["run_link"] or None,
            tags={} if deleted else pairs(tags.get(row["version"], ())),
            deleted=deleted,
        )

    return build, found
