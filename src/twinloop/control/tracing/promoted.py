"""Metadata that is kept in columns of the trace, because it is counted and searched: session, tokens and cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, false, or_

from twinloop.control.search.reader import Clause
from twinloop.control.tracing import info
from twinloop.control.tracing.tables import traces
from twinloop.control.tracing.usage import COSTS, TOKENS, cost_columns, token_columns
from twinloop.core.errors import InvalidInput


def totals(row: Row[Any]) -> dict[str, str]:
    """Session, tokens and cost as the metadata that MLflow's clients read them from."""
    found = {} if row.session is None else {info.SESSION: row.session}
    for key, columns in ((info.TOKEN_USAGE, TOKENS), (info.COST, COSTS)):
        said = {name: getattr(row, column) for name, column in columns.items()}
        values = {name: value for name, value in said.items() if value is not None}
        if values:
            found[key] = json.dumps(values)
    return found


def columns_of(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The columns that promoted metadata sets; what is not a JSON map of numbers, or of their text, sets nothing."""
    found: dict[str, Any] = {}
    if info.SESSION in metadata:
        found["session"] = metadata[info.SESSION]
    found.update(token_columns(_map(metadata.get(info.TOKEN_USAGE))))
    found.update(cost_columns(_map(metadata.get(info.COST))))
    return found


def _map(text: str | None) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return {}
    return {name: _read(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _read(value: Any) -> Any:
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                return kind(value)
    return value


def compare_promoted(clause: Clause) -> ColumnElement[bool]:
    """Tokens and cost are kept as numbers; their JSON is compared with the one that is shown for them."""
    names = TOKENS if clause.key == info.TOKEN_USAGE else COSTS
    columns = {name: traces.c[column] for name, column in names.items()}
    present = or_(*(column.is_not(None) for column in columns.values()))
    if clause.comparator == "IS NULL":
        return ~present
    if clause.comparator == "IS NOT NULL":
        return present
    if clause.comparator not in ("=", "!="):
        raise InvalidInput(
            f"Comparator '{clause.comparator}' is not supported for reserved metadata '{clause.key}'. "
            "Only '=', '!=', 'IS NULL', and 'IS NOT NULL' are supported."
        )
    set_columns = columns_of({clause.key: str(clause.value)})
    shown = json.dumps({name: set_columns[names[name]] for name in names if names[name] in set_columns})
    same: ColumnElement[bool] = false()
    if set_columns and shown == clause.value:
        same = and_(
            *(
                column == set_columns[names[name]] if names[name] in set_columns else column.is_(None)
                for name, column in columns.items()
            )
        )
    return same if clause.comparator == "=" else and_(present, ~same)
