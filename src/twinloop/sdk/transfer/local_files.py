"""The artifact folders that lie beside MLflow's SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.file_walk import Entry, exactly, walk
from twinloop.sdk.transfer.found import FoundFile

_CHUNK = 2**20
_USUAL = ("mlartifacts", "mlruns")
_TAIL = 4
"""How many of a place's last names (experiment/run/artifacts, experiment/models/id/artifacts) are looked for below a
folder that has been moved."""


class LocalFiles:
    """Reads files below some folders and nowhere else: what the database says of other places is not followed.

    Symbolic links are not followed either.
    """

    def __init__(self, database: Path, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise InvalidInput(f"There is no folder {folder}. Give --artifacts the folder of MLflow's artifacts.")
        usual = [database.absolute().parent / name for name in _USUAL]
        self._folders = [folder.resolve() for folder in (folders or [folder for folder in usual if folder.is_dir()])]

    def present(self, places: Mapping[str, str]) -> set[str]:
        """Those whose folder is there, and those whose place is not known, so that reading them says why."""
        found = set()
        for id, location in places.items():
            try:
                if self._root(location).is_dir():
                    found.add(id)
            except SourceUnreadable:
                found.add(id)
        return found

    def walk(self, location: str) -> Iterator[FoundFile]:
        root = self._root(location)
        return walk(lambda folder: _entries(root / folder)) if root.is_dir() else iter(())

    def read(self, location: str, file: FoundFile, of: str) -> Iterator[bytes]:
        return exactly(_chunks(self._root(location) / file.path), file, of)

    def _root(self, location: str) -> Path:
        """Where the files of a place lie.

        Raises:
            SourceUnreadable: the place is in another kind of store, or outside the folders.
        """
        parts = urlsplit(location)
        if parts.scheme == "mlflow-artifacts":
            return self._below(parts.path.strip("/"), location)
        if parts.scheme not in ("", "file"):
            raise SourceUnreadable(
                f"The files at {location[:200]} lie in another store. Import from the running server, which can reach them."
            )
        path = Path(unquote(parts.path) if parts.scheme else location)
        if path.is_absolute():
            place = _resolved(path)
            if any(place.is_relative_to(folder) for folder in self._folders):
                return place
        names = PurePosixPath(path).parts[-_TAIL:]
        for start in range(len(names)):
            for folder in self._folders:
                place = _resolved(folder.joinpath(*names[start:]))
                if place.is_dir() and place.is_relative_to(folder) and start < len(names) - 1:
                    return place
        raise SourceUnreadable(
            f"The files at {location[:200]} lie outside the folders of artifacts. Name theirs with --artifacts FOLDER."
        )

    def _below(self, path: str, location: str) -> Path:
        if not self._folders:
            raise SourceUnreadable(
                f"Where the files at {location[:200]} lie is not known. Name the folder with --artifacts FOLDER."
            )
        places = [(folder, _resolved(folder / path)) for folder in self._folders]
        inside = [place for folder, place in places if place.is_relative_to(folder) and place != folder]
        if not inside:
            raise SourceUnreadable(f"{location[:200]} leads out of the folder of artifacts.")
        return next((place for place in inside if place.is_dir()), inside[0])


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceUnreadable(f"{str(path)[:200]!r} is no place in a file system ({error}).") from error


def _entries(folder: Path) -> list[Entry]:
    try:
        with os.scandir(folder) as found:
            return [_entry(item) for item in found]
    except OSError as error:
        raise SourceUnreadable(f"The folder {folder} cannot be read ({error.strerror}).") from error


def _entry(item: os.DirEntry[str]) -> Entry:
    if item.is_dir(follow_symlinks=False):
        return Entry(item.name, 0, True)
    if not item.is_file(follow_symlinks=False):
        return Entry(item.name, -1, False)  # a link, a socket or a device: its size is refused
    return Entry(item.name, item.stat(follow_symlinks=False).st_size, False)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise SourceUnreadable(f"The file {path} cannot be read ({error.strerror}).") from error
    with os.fdopen(handle, "rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
