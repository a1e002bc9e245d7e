"""Runs from a program: start, log, finish, read and search."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

from twinloop.sdk.client import Client

Json = dict[str, Any]


class Runs:
    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self, experiment: str = "Default", name: str | None = None, tags: Mapping[str, str] | None = None) -> Run:
        """Start a run; the experiment is made when there is none. Use the run as a context manager, or finish it."""
        body = {"experiment": experiment, "name": name, "tags": dict(tags or {})}
        return Run(self._client, self._client.call("POST", "/api/v1/runs", body))

    def get(self, run_id: str) -> Json:
        """A run with its params, tags and the last point of each metric."""
        return self._client.call("GET", f"/api/v1/runs/{_part(run_id)}")

    def search(
        self,
        experiment: str = "Default",
        filter: str = "",
        order: Sequence[str] = (),
        limit: int = 100,
        view: str = "active",
    ) -> Iterator[Json]:
        """Every run that fits, newest first unless ``order`` says otherwise; ``limit`` is the size of a page.

        ``filter`` is in MLflow's grammar: ``metrics.loss < 0.1 AND params.depth = '3'``. ``view`` may be ``deleted`` or
        ``all`` too.
        """
        query: Json = {
            "experiment": experiment,
            "filter": filter,
            "order": ",".join(order),
            "limit": limit,
            "view": view,
        }
        while True:
            page = self._client.call("GET", "/api/v1/runs", query=query)
            yield from page["runs"]
            if page["next"] is None:
                return
            query["token"] = page["next"]

    def history(self, run_id: str, key: str, most: int | None = None) -> list[Json]:
        """Every point of one metric (value, step, at), or at most ``most`` (2 to 2,500), evenly spread by step."""
        query: Json = {"limit": 100_000} if most is None else {"most": most}
        found: list[Json] = []
        while True:
            page = self._client.call("GET", f"/api/v1/runs/{_part(run_id)}/metrics/{quote(key)}", query=query)
            found += page["points"]
            if page["next"] is None:
                return found
            query["token"] = page["next"]

    def experiments(self, filter: str = "") -> list[Json]:
        """The newest experiments that fit."""
        return self._client.call("GET", "/api/v1/experiments", query={"filter": filter})["experiments"]

    def experiment(self, experiment_id: str) -> Json:
        """One experiment by its id. Raises NotFound."""
        return self._client.call("GET", f"/api/v1/experiments/{_part(experiment_id)}")

    def delete(self, run_id: str) -> None:
        """Delete a run; ``restore`` brings it back."""
        self._client.call("DELETE", f"/api/v1/runs/{_part(run_id)}")

    def restore(self, run_id: str) -> None:
        self._client.call("POST", f"/api/v1/runs/{_part(run_id)}/restore")


class Run:
    """A run under way. Leaving its ``with`` block finishes it: FINISHED, or FAILED when an exception passes."""

    def __init__(self, client: Client, made: Json) -> None:
        self._client = client
        self.id: str = made["id"]
        self.name: str = made["name"]

    def log(
        self,
        metrics: Mapping[str, float] | None = None,
        *,
        step: int = 0,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Add metrics at ``step``, params and tags, all or none. A param never changes; values are kept as text."""
        points = [
            {"key": key, "value": None if math.isnan(value) else float(value), "step": step}
            for key, value in (metrics or {}).items()
        ]
        body = {"metrics": points, "params": _texts(params), "tags": _texts(tags)}
        self._client.call("POST", f"/api/v1/runs/{self.id}/log", body)

    def consumed(self, **revisions: str) -> None:
        """Say which revisions this run used, by role: ``run.consumed(dataset="dataset/flights@3")``."""
        body = {"revisions": [{"role": role, "ref": ref} for role, ref in revisions.items()]}
        self._client.call("POST", f"/api/v1/runs/{self.id}/consumed", body)

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self._client.call("PATCH", f"/api/v1/runs/{self.id}", {"status": status})

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish("FINISHED" if kind is None else "FAILED")


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (values or {}).items()}


def _part(text: str) -> str:
    return quote(text, safe="")
