"""The files behind an MLflow server: through its artifact proxy, or, for other stores, through what its own pages use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from twinloop.core.errors import NotFound
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.file_walk import Entry, exactly, walk
from twinloop.sdk.transfer.found import FoundFile, Owner
from twinloop.sdk.transfer.mlflow_server import MlflowServer, segments

_PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_FEW = 20


class RestFiles:
    """Lists and reads the files of runs, logged models and traces."""

    def __init__(self, server: MlflowServer) -> None:
        self._server = server

    def present(self, places: Mapping[str, str]) -> set[str]:
        """Of many places in one folder (the runs of an experiment) one listing tells which are there at all."""
        proxied = {id: path.split("/") for id, place in places.items() if (path := proxied_path(place)) is not None}
        folders = {"/".join(parts[:-2]) for parts in proxied.values()}
        if len(places) < _FEW or len(proxied) < len(places) or len(folders) != 1:
            return set(places)
        listed = {entry.path for entry in self._list_proxied(folders.pop())}
        return {id for id, parts in proxied.items() if parts[-2] in listed}

    def walk(self, owner: Owner, id: str, location: str) -> Iterator[FoundFile]:
        root = proxied_path(location)
        if root is not None:
            return walk(lambda folder: self._list_proxied(f"{root}/{folder}" if folder else root))
        if owner == "run":
            return walk(lambda folder: self._list_run(id, folder))
        if owner == "logged_model":
            return walk(lambda folder: self._list_logged_model(id, folder))
        raise SourceUnreadable(f"The files of the trace {id} lie at {location[:200]}, which only their server reaches.")

    def read(self, owner: Owner, id: str, location: str, file: FoundFile) -> Iterator[bytes]:
        root = proxied_path(location)
        if root is not None:
            chunks = self._server.stream(f"{_PROXY}/{segments(f'{root}/{file.path}')}")
        elif owner == "run":
            chunks = self._server.stream("/get-artifact", {"path": file.path, "run_uuid": id})
        else:
            path = f"/ajax-api/2.0/mlflow/logged-models/{segments(id)}/artifacts/files"
            chunks = self._server.stream(path, {"artifact_file_path": file.path})
        return exactly(chunks, file, f"the {owner.replace('_', ' ')} {id}")

    def _list_proxied(self, folder: str) -> list[Entry]:
        try:
            return _entries(self._server.get(_PROXY, {"path": folder}))
        except NotFound:
            return []

    def _list_run(self, run_id: str, folder: str) -> list[Entry]:
        query = {"run_id": run_id} | ({"path": folder} if folder else {})
        return _all_pages(self._server, "/api/2.0/mlflow/artifacts/list", query, folder)

    def _list_logged_model(self, id: str, folder: str) -> list[Entry]:
        query = {"artifact_directory_path": folder} if folder else {}
        path = f"/api/2.0/mlflow/logged-models/{segments(id)}/artifacts/directories"
        return _all_pages(self._server, path, query, folder)


def proxied_path(location: str) -> str | None:
    """The path of a place that the server keeps for its clients, None for one in another store."""
    parts = urlsplit(location)
    return parts.path.strip("/") if parts.scheme == "mlflow-artifacts" else None


def _all_pages(server: MlflowServer, path: str, query: Mapping[str, str], folder: str) -> list[Entry]:
    """Entries with names relative to ``folder``; here the server gives paths relative to the root."""
    found: list[Entry] = []
    token = ""
    while True:
        try:
            page = server.get(path, {**query, "page_token": token} if token else query)
        except NotFound:
            return found
        found += [
            Entry(entry.path.removeprefix(f"{folder}/") if folder else entry.path, entry.size, entry.is_folder)
            for entry in _entries(page)
        ]
        following = str(page.get("next_page_token") or "")
        if not following or following == token:
            return found
        token = following


def _entries(page: Any) -> list[Entry]:
    try:
        return [
            Entry(str(item["path"]), int(item.get("file_size") or 0), bool(item.get("is_dir")))
            for item in page.get("files", [])
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceUnreadable(f"A list of files is not written as MLflow writes it ({error!r}).") from error
