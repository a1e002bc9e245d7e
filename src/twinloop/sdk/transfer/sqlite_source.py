"""MLflow's SQLite file as the source of an import, read without disturbing a server that may be writing to it.

Tables and columns that an older MLflow did not have yet count as empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.found import (
    FoundExperiment,
    FoundFile,
    FoundLoggedModel,
    FoundModel,
    FoundRun,
    FoundTrace,
    FoundVersion,
    Owner,
    Points,
    Refused,
)
from twinloop.sdk.transfer.local_files import LocalFiles
from twinloop.sdk.transfer.sqlite_registry import read_models, read_versions
from twinloop.sdk.transfer.sqlite_rows import Rows, grouped, pairs
from twinloop.sdk.transfer.sqlite_runs import read_logged_models, read_points, read_runs
from twinloop.sdk.transfer.sqlite_traces import read_traces

_PAGE = 500
_TRACES = 100
_WORKSPACE = "default"
_NOT_COPIED = {
    "webhooks": "webhooks",
    "evaluation datasets": "evaluation_datasets",
    "scorers": "scorers",
    "issues": "issues",
    "gateway endpoints": "endpoints",
    "gateway secrets": "secrets",
    "review queues": "review_queues",
    "label schemas": "label_schemas",
    "MCP servers": "mcp_servers",
}
"""What an MLflow may hold and this source does not read, with the table to count it by."""

T = TypeVar("T")


class SqliteSource:
    """Implements Source over the file; the artifacts lie in folders that are named or found beside it."""

    def __init__(self, path: Path, folders: Sequence[Path] = (), workspace: str = "") -> None:
        self._rows = Rows(path)
        self._workspace = workspace or _WORKSPACE
        self._files = LocalFiles(path, folders)
        self.refused: list[Refused] = []
        for table in ("experiments", "runs", "metrics"):
            if not self._rows.has(table):
                raise InvalidInput(f"{path} has no table {table}. Give the database of an MLflow tracking server.")

    @property
    def origin(self) -> str:
        return f"sqlite:///{self._rows.path.absolute()}"

    @property
    def left_out(self) -> dict[str, int]:
        found = {name: self._count(table) for name, table in _NOT_COPIED.items()}
        found["deleted logged models"] = self._count("logged_models", "WHERE lifecycle_stage = 'deleted'")
        if "workspace" in self._rows.columns("experiments"):
            rows = self._rows.run("SELECT count(*) FROM experiments WHERE workspace <> ?", [self._workspace])
            found["experiments of other workspaces"] = rows[0][0]
        return {name: count for name, count in found.items() if count}

    def close(self) -> None:
        self._rows.close()

    def experiments(self) -> Iterator[FoundExperiment]:
        columns = (
            "experiment_id", "name", "lifecycle_stage", "artifact_location", "creation_time", "last_update_time",
        )  # fmt: skip
        rows = self._rows.select("experiments", columns, *self._within("experiments", "ORDER BY experiment_id"))
        tags = grouped(self._rows.select("experiment_tags", ("experiment_id", "key", "value")), "experiment_id")
        return iter(self._each("experiments", rows, "experiment_id", lambda row: _experiment(row, tags)))

    def runs(self, experiment_id: str) -> Iterator[list[FoundRun]]:
        found = self._rows.run(
            "SELECT run_uuid FROM runs WHERE experiment_id = ? ORDER BY start_time, run_uuid", [int(experiment_id)]
        )
        for start in range(0, len(found), _PAGE):
            build, rows = read_runs(self._rows, [row[0] for row in found[start : start + _PAGE]])
            yield self._each("runs", rows, "run_uuid", build)

    def points(self, runs: Sequence[FoundRun]) -> Iterator[tuple[str, Points]]:
        return read_points(self._rows, [run.id for run in runs])

    def logged_models(self, experiment_id: str) -> Iterator[list[FoundLoggedModel]]:
        if not self._rows.has("logged_models"):
            return
        found = self._rows.run(
            "SELECT model_id FROM logged_models WHERE experiment_id = ? AND lifecycle_stage = 'active' "
            "ORDER BY creation_timestamp_ms, model_id",
            [int(experiment_id)],
        )
        for start in range(0, len(found), _PAGE):
            build, rows = read_logged_models(self._rows, [row[0] for row in found[start : start + _PAGE]])
            yield self._each("logged models", rows, "model_id", build)

    def models(self) -> Iterator[FoundModel]:
        build, rows = read_models(self._rows, self._within)
        return iter(self._each("models", rows, "name", build))

    def versions(self, name: str) -> Iterator[FoundVersion]:
        build, rows = read_versions(self._rows, name, self._within)
        return iter(self._each("versions", rows, "version", build))

    def traces(self, experiment_id: str) -> Iterator[list[FoundTrace]]:
        if not self._rows.has("trace_info"):
            return
        found = self._rows.run(
            "SELECT request_id FROM trace_info WHERE experiment_id = ? ORDER BY timestamp_ms, request_id",
            [int(experiment_id)],
        )
        for start in range(0, len(found), _TRACES):
            build, rows = read_traces(self._rows, [row[0] for row in found[start : start + _TRACES]])
            yield self._each("traces", rows, "request_id", build)

    def with_files(self, owner: Owner, places: Mapping[str, str]) -> set[str]:
        return self._files.present(places)

    def files(self, owner: Owner, id: str, location: str) -> Iterator[FoundFile]:
        return self._files.walk(location)

    def read(self, owner: Owner, id: str, location: str, file: FoundFile) -> Iterator[bytes]:
        return self._files.read(location, file, f"the {owner.replace('_', ' ')} {id}")

    def _each(self, entity: str, rows: Sequence[dict[str, Any]], id: str, read: Callable[[Any], T]) -> list[T]:
        """What could be read of some rows; what could not is among ``refused``."""
        found: list[T] = []
        for row in rows:
            try:
                found.append(read(row))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self.refused.append((entity, str(row[id])[:80], f"it is not written as MLflow writes it ({error!r})"))
        return found

    def _within(self, table: str, rest: str = "", condition: str = "", *values: Any) -> tuple[str, list[Any]]:
        """The condition of a table whose rows belong to workspaces, where this MLflow has those."""
        conditions = [condition] if condition else []
        given = list(values)
        if "workspace" in self._rows.columns(table):
            conditions.append("workspace = ?")
            given.append(self._workspace)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        return where + rest, given

    def _count(self, table: str, rest: str = "") -> int:
        return int(self._rows.run(f"SELECT count(*) FROM {table} {rest}")[0][0]) if self._rows.has(table) else 0


def _experiment(row: Mapping[str, Any], tags: Mapping[Any, list[dict[str, Any]]]) -> FoundExperiment:
    created = row["creation_time"] or 0
    return FoundExperiment(
        id=str(row["experiment_id"]),
        name=row["name"],
        lifecycle=row["lifecycle_stage"] or "active",
        location=row["artifact_location"] or "",
        created_ms=created,
        updated_ms=row["last_update_time"] or created,
        tags=pairs(tags.get(row["experiment_id"], ())),
    )
