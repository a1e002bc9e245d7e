"""Tables and queries of uploads in parts."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, delete, insert, select, update

from twinloop.control.artifacts.model import Part, Upload
from twinloop.control.artifacts.paths import PATH_LIMIT
from twinloop.control.store.schema import metadata
from twinloop.control.store.sql import upsert
from twinloop.core.digests import Digest

# A finished upload stays for a while, so that a client that did not hear the answer is given it again.
uploads = Table(
    "artifact_uploads",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("path", String(PATH_LIMIT), nullable=False),
    Column("size", BigInteger),
    Column("part_size", BigInteger),
    Column("begun_ms", BigInteger, nullable=False),
    Column("touched_ms", BigInteger, nullable=False),
    Column("token_hash", String(64), nullable=False),
    Column("digest", String(71)),
    Index("ix_artifact_uploads_token", "token_hash", unique=True),
    Index("ix_artifact_uploads_touched", "touched_ms"),
)

parts = Table(
    "artifact_parts",
    metadata,
    Column("tenant", String(100), primary_key=True),
    Column("upload", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(71), nullable=False),
)


def add(connection: Connection, tenant: str, made: Upload, token_hash: str) -> None:
    row = {**msgspec.structs.asdict(made), "tenant": tenant, "token_hash": token_hash}
    del row["parts"]
    connection.execute(insert(uploads), row)


def get(connection: Connection, tenant: str, id: str) -> Upload | None:
    row = connection.execute(select(uploads).where(uploads.c.tenant == tenant, uploads.c.id == id)).one_or_none()
    if row is None:
        return None
    mine = select(parts).where(parts.c.tenant == tenant, parts.c.upload == id).order_by(parts.c.number)
    found = tuple(Part(part.number, part.size, Digest(part.digest)) for part in connection.execute(mine))
    return _upload(row, found)


def by_token(connection: Connection, token_hash: str) -> tuple[str, Upload] | None:
    """The tenant and the upload, without its parts, that a token is for."""
    row = connection.execute(select(uploads).where(uploads.c.token_hash == token_hash)).one_or_none()
    return None if row is None else (row.tenant, _upload(row))


def under_way(connection: Connection, tenant: str, path: str) -> list[Upload]:
    """The uploads to ``path`` that are not complete, the newest first, without their parts."""
    mine = (uploads.c.tenant == tenant, uploads.c.path == path, uploads.c.digest.is_(None))
    rows = connection.execute(select(uploads).where(*mine).order_by(uploads.c.touched_ms.desc()).limit(10))
    return [_upload(row) for row in rows]


def put_part(connection: Connection, tenant: str, id: str, part: Part, at_ms: int) -> bool:
    """Add or replace a part; False when the upload is gone or complete."""
    touched = connection.execute(
        update(uploads)
        .where(uploads.c.tenant == tenant, uploads.c.id == id, uploads.c.digest.is_(None))
        .values(touched_ms=at_ms)
    ).rowcount
    if touched:
        row = {"tenant": tenant, "upload": id, **msgspec.structs.asdict(part)}
        upsert(connection, parts, [row], ("tenant", "upload", "number"), ("size", "digest"))
    return bool(touched)


def forget_part(connection: Connection, tenant: str, id: str, number: int) -> None:
    mine = (parts.c.tenant == tenant, parts.c.upload == id, parts.c.number == number)
    connection.execute(delete(parts).where(*mine))


def finish(connection: Connection, tenant: str, id: str, digest: Digest, at_ms: int) -> None:
    """Mark an upload as complete. Its parts are joined and need no account any more."""
    mine = (uploads.c.tenant == tenant, uploads.c.id == id)
    connection.execute(update(uploads).where(*mine).values(digest=digest, touched_ms=at_ms))
    connection.execute(delete(parts).where(parts.c.tenant == tenant, parts.c.upload == id))


def remove(connection: Connection, tenant: str, id: str) -> bool:
    connection.execute(delete(parts).where(parts.c.tenant == tenant, parts.c.upload == id))
    gone = connection.execute(delete(uploads).where(uploads.c.tenant == tenant, uploads.c.id == id)).rowcount
    return bool(gone)


def remove_untouched(connection: Connection, before_ms: int) -> list[str]:
    """Remove the uploads of all tenants that nobody has touched since; returns what is still under way."""
    old = connection.execute(select(uploads.c.tenant, uploads.c.id).where(uploads.c.touched_ms < before_ms)).all()
    for row in old:
        remove(connection, row.tenant, row.id)
    return list(connection.execute(select(uploads.c.id).where(uploads.c.digest.is_(None))).scalars())


def _upload(row: Any, found: tuple[Part, ...] = ()) -> Upload:
    return Upload(
        id=row.id,
        path=row.path,
        size=row.size,
        part_size=row.part_size,
        begun_ms=row.begun_ms,
        touched_ms=row.touched_ms,
        digest=row.digest,
        parts=found,
    )
