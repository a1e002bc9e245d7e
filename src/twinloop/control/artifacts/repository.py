"""Table and queries of the artifact tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, String, Table, delete, or_, select

from twinloop.control.artifacts import upload_rows as upload_rows  # its tables belong to the schema too
from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.paths import NAME_LIMIT, PATH_LIMIT, join
from twinloop.control.store.schema import metadata
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest
from twinloop.core.errors import Conflict


def _binary(length: int) -> Any:
    """Text that compares by its bytes on every database, because ranges of it stand for folders."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


# Folders are rows too, made with the first file below them, so that a listing reads only what it shows. The key begins with
# the folder: the rows of one folder lie side by side, and those below it in one range.
artifacts = Table(
    "artifacts",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("folder", _binary(PATH_LIMIT), primary_key=True),
    Column("name", _binary(NAME_LIMIT), primary_key=True),
    Column("is_dir", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(71), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("flag", String(100)),
    Index("ix_artifacts_digest", "digest"),
    sqlite_with_rowid=False,
)
_KEY = ("tenant", "folder", "name")


def put(connection: Connection, tenant: str, made: Artifact) -> None:
    """Put a file at its path, in place of the file that may be there, and make the folders above it.

    Raises:
        Conflict: the path is a folder with something in it, or a part of the path is a file.
    """
    check_free(connection, tenant, made.path)
    above = [Artifact(path, 0, Digest(""), True, made.at_ms) for path in _folders_above(made.path)]
    upsert(connection, artifacts, [_row(tenant, folder) for folder in above], _KEY)
    changed = ("is_dir", "size", "digest", "at_ms", "flag")
    upsert(connection, artifacts, [_row(tenant, made)], _KEY, changed)


def check_free(connection: Connection, tenant: str, path: str) -> None:
    """Raise Conflict when a file cannot be put at ``path``."""
    for above in _folders_above(path):
        there = get(connection, tenant, above)
        if there is not None and not there.is_dir:
            raise Conflict(
                f"{above!r} is a file, so nothing can lie below it. Choose another path, or delete it first."
            )
    if _has_children(connection, tenant, path):
        raise Conflict(f"{path!r} is a folder. Choose another name, or delete the folder first.")


def get(connection: Connection, tenant: str, path: str) -> Artifact | None:
    folder, _, name = path.rpartition("/")
    row = connection.execute(
        select(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.folder == folder, artifacts.c.name == name)
    ).one_or_none()
    return None if row is None else _artifact(row)


def children(connection: Connection, tenant: str, folder: str, limit: int, after: str) -> list[Artifact]:
    """Files and folders directly in ``folder``, by name, those after the name ``after``."""
    query = select(artifacts).where(
        artifacts.c.tenant == tenant, artifacts.c.folder == folder, artifacts.c.name > after
    )
    return [_artifact(row) for row in connection.execute(query.order_by(artifacts.c.name).limit(limit))]


def below(connection: Connection, tenant: str, folder: str) -> list[Artifact]:
    """Every file at any depth below ``folder``, by path."""
    rows = connection.execute(
        select(artifacts).where(artifacts.c.tenant == tenant, _within(folder), artifacts.c.is_dir.is_(False))
    )
    return sorted((_artifact(row) for row in rows), key=lambda artifact: artifact.path)


def remove(connection: Connection, tenant: str, path: str) -> int:
    """Remove the file at ``path``, or the folder with all below it; returns how many files went."""
    folder, _, name = path.rpartition("/")
    one = connection.execute(
        delete(artifacts).where(
            artifacts.c.tenant == tenant,
            artifacts.c.folder == folder,
            artifacts.c.name == name,
            artifacts.c.is_dir.is_(False),
        )
    ).rowcount
    if one:
        return 1
    mine = (artifacts.c.tenant == tenant, _within(path))
    gone = connection.execute(delete(artifacts).where(*mine, artifacts.c.is_dir.is_(False))).rowcount
    connection.execute(delete(artifacts).where(*mine))
    connection.execute(
        delete(artifacts).where(artifacts.c.tenant == tenant, artifacts.c.folder == folder, artifacts.c.name == name)
    )
    return gone


def _has_children(connection: Connection, tenant: str, folder: str) -> bool:
    query = select(artifacts.c.name).where(artifacts.c.tenant == tenant, artifacts.c.folder == folder).limit(1)
    return connection.execute(query).first() is not None


def _within(folder: str) -> Any:
    """Rows below ``folder``; '0' is the character after '/'."""
    if not folder:
        return artifacts.c.folder >= ""
    inner = (artifacts.c.folder >= f"{folder}/") & (artifacts.c.folder < f"{folder}0")
    return or_(artifacts.c.folder == folder, inner)


def _folders_above(path: str) -> Sequence[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _row(tenant: str, made: Artifact) -> dict[str, Any]:
    folder, _, name = made.path.rpartition("/")
    return {
        "tenant": tenant,
        "folder": folder,
        "name": name,
        "is_dir": made.is_dir,
        "size": made.size,
        "digest": made.digest,
        "at_ms": made.at_ms,
        "flag": made.flag,
    }


def _artifact(row: Any) -> Artifact:
    return Artifact(join(row.folder, row.name), row.size, Digest(row.digest), row.is_dir, row.at_ms, row.flag)
