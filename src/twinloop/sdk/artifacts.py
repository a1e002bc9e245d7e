"""Files of runs, models and traces from a program: upload, download, list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from twinloop.control.artifacts.paths import check_folder, check_path, join
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.sdk.client import Client
from twinloop.sdk.file_transfer import LARGE, Sending, fetch, file_digest, persist, slices

Json = dict[str, Any]
Rows = list[Json]
_SMALL = 2**20


class HasId(Protocol):
    """A run, as ``client.runs.start`` gives it."""

    @property
    def id(self) -> str: ...


class Artifacts:
    """Named files in a tree. ``where`` is a run, whose folder is meant, or a path such as ``1/<run>/artifacts/model``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def upload(self, where: HasId | str, source: str | Path, into: str = "") -> Rows:
        """Send a file, or all files of a folder by their paths in it, to the folder ``into`` of ``where``.

        What is there already, by its digest, is not sent again. A file over 100 MB goes in parts; when the connection
        breaks, sending goes on, and calling this again goes on with what an earlier call left.

        Returns:
            {path, size, digest, is_dir, at, flag} of each file.

        Raises:
            InvalidInput: the source is no file or folder, or a path cannot be one.
            Unavailable: the server did not come back in time; call this again to go on.
        """
        source = Path(source)
        folder = join(self.folder(where), check_folder(into))
        files = {join(folder, source.name): source} if source.is_file() else _files(source, folder)
        there = {found["path"]: found for found in self._list(folder, deep=True)} if len(files) > 1 else {}
        return [self._send(path, file, there.get(path)) for path, file in files.items()]

    def download(self, where: HasId | str, into: str | Path, path: str = "") -> Path:
        """Write the file or folder ``path`` of ``where`` below the local folder ``into``, and return where it is.

        A file is compared with its digest; one that is there already is left as it is. What an earlier call left half
        done is gone on with.

        Raises:
            NotFound: there is nothing at the path.
            StorageCorrupt: what arrived is not what was stored.
            Unavailable: the server did not come back in time; call this again to go on.
        """
        root = join(self.folder(where), check_folder(path))
        into = Path(into)
        found = self._file(root)
        if found is not None:
            return fetch(self._client, found, into / _name(root))
        files = self._list(root, deep=True)
        if not files and root:
            raise NotFound(f"There is no file or folder {root!r}. See what there is with: client.artifacts.list")
        for file in files:
            below = file["path"].removeprefix(f"{root}/") if root else file["path"]
            fetch(self._client, file, into / check_path(below))
        return into

    def read(self, where: HasId | str, path: str) -> bytes:
        """The bytes of one file."""
        one = target(join(self.folder(where), check_path(path)))
        return persist(lambda: b"".join(self._client.stream("GET", one)))

    def list(self, where: HasId | str, path: str = "", *, deep: bool = False) -> Rows:
        """What lies directly in a folder, by name; with ``deep`` every file below it."""
        return self._list(join(self.folder(where), check_folder(path)), deep=deep)

    def delete(self, where: HasId | str, path: str) -> None:
        """Remove a file, or a folder with all in it."""
        self._ask("DELETE", target(join(self.folder(where), check_path(path))))

    def folder(self, where: HasId | str) -> str:
        """The path that ``where`` means."""
        if isinstance(where, str):
            return check_folder(where)
        return self._ask("GET", f"/api/v1/runs/{quote(where.id, safe='')}/artifact-folder")["path"]

    def _ask(self, method: str, path: str, json: Any = None, query: Json | None = None) -> Any:
        """One request, sent again while the server is away: sent twice, each of ours does what it does once."""
        return persist(partial(self._client.call, method, path, json, query))

    def _file(self, path: str) -> Json | None:
        """The path, size and digest of a file; None when there is none, or a folder."""
        if not path:
            return None
        try:
            headers = persist(lambda: _headers(self._client, target(path)))
        except NotFound:
            return None
        return {"path": path, "size": int(headers["content-length"]), "digest": headers["etag"].strip('"')}

    def _list(self, folder: str, *, deep: bool) -> Rows:
        query: Json = {"folder": folder, "deep": "true" if deep else None}
        found: Rows = []
        while True:
            page = self._ask("GET", "/api/v1/artifact-list", query=query)
            found += page["artifacts"]
            if page["next"] is None:
                return found
            query["token"] = page["next"]

    def _send(self, path: str, file: Path, there: Json | None) -> Json:
        digest, size = file_digest(file)
        if there is not None and there["digest"] == digest:
            return there
        if size > _SMALL and (attached := self._attach(path, digest)) is not None:
            return attached
        if size > LARGE:
            return Sending(self._client, path, file, size, digest).run()
        headers = {"x-content-digest": digest, "content-length": str(size)}
        put = partial(self._client.call, "PUT", target(path), headers=headers)
        return persist(lambda: put(content=slices(file, 0, size)))

    def _attach(self, path: str, digest: str) -> Json | None:
        """Enter bytes that the server has already; None when it has not."""
        try:
            return self._ask("POST", target(path), {"digest": digest})
        except NotFound:
            return None


def target(path: str) -> str:
    return f"/api/v1/artifacts/{quote(path)}"


def _headers(client: Client, path: str) -> Mapping[str, str]:
    answered = client.send("HEAD", path)
    for _ in answered.body:
        pass  # lets go of the connection
    return answered.headers


def _files(source: Path, folder: str) -> dict[str, Path]:
    if not source.is_dir():
        raise InvalidInput(f"{source} is neither a file nor a folder.")
    return {join(folder, file.relative_to(source).as_posix()): file for file in _walk(source)}


def _walk(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _name(path: str) -> str:
    return path.rpartition("/")[2]
