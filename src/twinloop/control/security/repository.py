"""Tables and queries of keys."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Index, Integer, String, Table, insert, select, update

from twinloop.control.security.model import Principal, Role
from twinloop.control.store.schema import metadata

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(100), nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("revoked_ns", BigInteger),
    Index("uq_keys_hash", "hash", unique=True),
)


class Key(NamedTuple):
    """A key as it may be shown; the secret itself is not kept."""

    id: str
    tenant: str
    name: str
    role: Role
    created_ns: int
    created_by: str
    revoked_ns: int | None


def add(connection: Connection, key: Key, secret_hash: str) -> None:
    connection.execute(
        insert(keys).values(
            id=key.id,
            tenant=key.tenant,
            name=key.name,
            role=int(key.role),
            hash=secret_hash,
            created_ns=key.created_ns,
            created_by=key.created_by,
        )
    )


def listing(connection: Connection, tenant: str) -> list[Key]:
    rows = connection.execute(select(keys).where(keys.c.tenant == tenant).order_by(keys.c.created_ns))
    return [Key(r.id, r.tenant, r.name, Role(r.role), r.created_ns, r.created_by, r.revoked_ns) for r in rows]


def revoke(connection: Connection, tenant: str, key_id: str, at_ns: int) -> bool:
    done = connection.execute(
        update(keys)
        .where(keys.c.tenant == tenant, keys.c.id == key_id, keys.c.revoked_ns.is_(None))
        .values(revoked_ns=at_ns)
    )
    return done.rowcount == 1


def active(connection: Connection) -> dict[str, Principal]:
    """Principals of all keys in force, by the hash of their secret."""
    rows = connection.execute(select(keys).where(keys.c.revoked_ns.is_(None)))
    return {row.hash: Principal(row.name, row.tenant, Role(row.role)) for row in rows}
