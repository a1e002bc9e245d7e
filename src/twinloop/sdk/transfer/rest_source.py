"""A running MLflow server as the source of an import, read through its REST interface."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from twinloop.core.errors import NotFound
from twinloop.sdk.transfer.errors import SourceUnreadable
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
from twinloop.sdk.transfer.mlflow_server import MlflowServer
from twinloop.sdk.transfer.rest_files import RestFiles
from twinloop.sdk.transfer.rest_reading import (
    read_experiment,
    read_logged_model,
    read_model,
    read_place,
    read_points,
    read_run,
    read_version,
)
from twinloop.sdk.transfer.rest_traces import read_trace

API = "/api/2.0/mlflow"
_EXPERIMENTS = 1000
_RUNS = 500
_LOGGED_MODELS = 50
_MODELS = 100
_VERSIONS = 1000
_TRACES = 100
_POINTS = 25_000
"""The most points that one answer about several runs holds; the server cuts the rest off without saying so."""
_RUNS_AT_ONCE = 100
_PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"

Json = Mapping[str, Any]
T = TypeVar("T")


class RestSource:
    """Implements Source over HTTP."""

    def __init__(self, server: MlflowServer) -> None:
        self._server = server
        self._files = RestFiles(server)
        self._bulk = True
        self.left_out: dict[str, int] = {}
        self.refused: list[Refused] = []

    @property
    def origin(self) -> str:
        return self._server.url

    def close(self) -> None:
        self._server.close()

    def experiments(self) -> Iterator[FoundExperiment]:
        body = {"max_results": _EXPERIMENTS, "view_type": "ALL", "order_by": ["experiment_id ASC"]}
        for page in self._pages(f"{API}/experiments/search", body):
            yield from self._each("experiments", page.get("experiments"), "experiment_id", read_experiment)

    def runs(self, experiment_id: str) -> Iterator[list[FoundRun]]:
        # In the order they began: a run that begins meanwhile comes last and shifts no page.
        body = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ALL",
            "max_results": _RUNS,
            "order_by": ["attributes.start_time ASC"],
        }
        for page in self._pages(f"{API}/runs/search", body):
            yield self._each("runs", page.get("runs"), "info", read_run)

    def points(self, runs: Sequence[FoundRun]) -> Iterator[tuple[str, Points]]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for run in runs:
            for key, *_ in run.last:
                wanted[key].append(run.id)
        for key, ids in sorted(wanted.items()):
            for start in range(0, len(ids), _RUNS_AT_ONCE):
                yield from self._series(key, sorted(ids[start : start + _RUNS_AT_ONCE]))

    def logged_models(self, experiment_id: str) -> Iterator[list[FoundLoggedModel]]:
        body = {"experiment_ids": [experiment_id], "max_results": _LOGGED_MODELS}
        try:
            for page in self._pages(f"{API}/logged-models/search", body):
                yield self._each("logged models", page.get("models"), "info", read_logged_model)
        except NotFound:  # an MLflow of before logged models
            return

    def models(self) -> Iterator[FoundModel]:
        seen: set[str] = set()
        for filter in ("", _PROMPTS):
            query = {"max_results": str(_MODELS)} | ({"filter": filter} if filter else {})
            for page in self._listed(f"{API}/registered-models/search", query):
                for model in self._each("models", page.get("registered_models"), "name", read_model):
                    if model.name not in seen:
                        seen.add(model.name)
                        yield model

    def versions(self, name: str) -> Iterator[FoundVersion]:
        quoted = name.replace("'", "''")
        query = {"filter": f"name = '{quoted}'", "max_results": str(_VERSIONS), "order_by": "version_number ASC"}
        found: dict[int, FoundVersion] = {}
        for filter in (query["filter"], f"{query['filter']} AND {_PROMPTS}"):
            for page in self._listed(f"{API}/model-versions/search", {**query, "filter": filter}):
                versions = self._each("versions", page.get("model_versions"), "version", read_version)
                found.update({version.number: version for version in versions})
            if found:
                break
        for number in sorted(found):
            yield found[number]

    def traces(self, experiment_id: str) -> Iterator[list[FoundTrace]]:
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
        body = {"locations": [location], "max_results": _TRACES, "order_by": ["timestamp_ms ASC"]}
        try:
            for page in self._pages("/api/3.0/mlflow/traces/search", body):
                read = partial(self._trace, experiment_id)
                yield self._each("traces", page.get("traces"), "trace_id", read)
        except NotFound:  # an MLflow of before traces
            return

    def with_files(self, owner: Owner, places: Mapping[str, str]) -> set[str]:
        return self._files.present(places)

    def files(self, owner: Owner, id: str, location: str) -> Iterator[FoundFile]:
        return self._files.walk(owner, id, location)

    def read(self, owner: Owner, id: str, location: str, file: FoundFile) -> Iterator[bytes]:
        return self._files.read(owner, id, location, file)

    def _trace(self, experiment_id: str, info: Json) -> FoundTrace:
        spans = None
        if (info.get("tags") or {}).get("mlflow.trace.spansLocation") == "TRACKING_STORE":
            query = {"trace_id": str(info["trace_id"]), "allow_partial": "true"}
            spans = self._server.get("/api/3.0/mlflow/traces/get", query)["trace"].get("spans", [])
        return read_trace(experiment_id, info, spans)

    def _series(self, key: str, ids: list[str]) -> Iterator[tuple[str, Points]]:
        """One metric of up to 100 runs in one request where the server offers that, else run by run."""
        while self._bulk and len(ids) > 1:
            query = [("metric_key", key), ("max_results", str(_POINTS)), *(("run_id", id) for id in ids)]
            try:
                found = self._server.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", query)["metrics"]
            except (NotFound, SourceUnreadable, KeyError):
                self._bulk = False
                break
            by_run: dict[str, list[Json]] = defaultdict(list)
            for point in found:
                by_run[point["run_id"]].append(point)
            # Runs come in the order of their ids: when the answer is cut, the last one in it is not whole.
            cut = max(by_run) if len(found) >= _POINTS else None
            for id in sorted(by_run):
                if id != cut:
                    yield from self._read(id, key, by_run[id])
            if cut is None:
                return
            yield from self._one_series(key, cut)
            ids = [id for id in ids if id > cut]
        for id in ids:
            yield from self._one_series(key, id)

    def _read(self, run_id: str, key: str, found: Sequence[Json]) -> Iterator[tuple[str, Points]]:
        try:
            if found:
                yield run_id, read_points(key, found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.refused.append(("metrics", f"{run_id}/{key}"[:200], f"its points cannot be read ({error})"))

    def _one_series(self, key: str, run_id: str) -> Iterator[tuple[str, Points]]:
        query: dict[str, Any] = {"run_id": run_id, "metric_key": key, "max_results": _POINTS}
        held: list[Json] = []
        for page in self._listed(f"{API}/metrics/get-history", query):
            found = [*held, *page.get("metrics", [])]
            # The server orders by time, step and value, in which NaN counts as 0: what may be out of order stays back.
            more = bool(page.get("next_page_token"))
            held = [p for p in found[-2:] if read_place(p)[:3] == read_place(found[-1])[:3]] if more else []
            whole = found[: len(found) - len(held)]
            yield from self._read(run_id, key, whole)
        yield from self._read(run_id, key, held)

    def _each(self, entity: str, items: Sequence[Json] | None, id: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """What could be read of a list; what could not is among ``refused`` and does not stop the rest."""
        if not isinstance(items, list | None):
            raise SourceUnreadable(f"The server sent {entity} that are no list. Is it an MLflow server?")
        found: list[T] = []
        for item in items or []:
            try:
                found.append(read(dict(item)))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                named = str(item.get(id, "?"))[:80] if isinstance(item, dict) else "?"
                self.refused.append((entity, named, f"it is not written as MLflow writes it ({error!r})"))
        return found

    def _pages(self, path: str, body: Json) -> Iterator[Json]:
        """Answers of a search that takes its page token in the body."""
        return _turn(lambda token: self._server.post(path, {**body, "page_token": token} if token else body))

    def _listed(self, path: str, query: Json) -> Iterator[Json]:
        """The same for one that takes it in the query."""
        return _turn(lambda token: self._server.get(path, {**query, "page_token": token} if token else query))


def _turn(ask: Callable[[str], Json]) -> Iterator[Json]:
    token, seen = "", set()
    while True:
        page = ask(token)
        if not isinstance(page, dict):
            raise SourceUnreadable("The server sent something that is not a page of a list. Is it an MLflow server?")
        yield page
        token = str(page.get("next_page_token") or "")
        if not token:
            return
        if token in seen:
            raise SourceUnreadable(
                "The server gives the same page again and again. The import of this list stops here."
            )
        seen.add(token)
