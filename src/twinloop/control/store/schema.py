"""The one schema. Every table carries its tenant and is defined in the repository that owns its queries."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Column, MetaData, String, Table, Text, TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class Json(TypeDecorator[Any]):
    """JSON as text, so that it is the same on every database; None is SQL NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else _encoder.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else _decoder.decode(value)


def pairs(name: str, *owner: Column[Any], key: Any = None, **options: Any) -> Table:
    """A table of texts by owner and key. ``key`` is the type of keys, ``options`` are those of the table."""
    return Table(
        name,
        metadata,
        Column("tenant", String(100), primary_key=True),
        *owner,
        Column("key", String(250) if key is None else key, primary_key=True),
        Column("value", Text, nullable=False),
        **options,
    )
