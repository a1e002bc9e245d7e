"""The tags by which MLflow's clients say which traces of an experiment may be archived; checked here, obeyed by nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from twinloop.core.errors import InvalidInput

_DURATION = re.compile(r"[1-9][0-9]*[mhd]")
_DURATION_LIMIT = 32


class _Form(NamedTuple):
    """What the JSON of a tag holds: a duration under ``field``, and a ``type`` where one is demanded."""

    field: str
    type: str | None
    needed: bool


_FORMS: Mapping[str, _Form] = {
    "mlflow.trace.archivalRetention": _Form("value", "duration", needed=True),
    "mlflow.trace.archiveNow": _Form("older_than", None, needed=False),
}


def check_archiving(tags: Mapping[str, str]) -> None:
    """Raises InvalidInput when one of these tags is among them and is not of its form; other tags are free."""
    for key, form in _FORMS.items():
        if key in tags:
            _check(tags[key], form)


def _check(value: str, form: _Form) -> None:
    said = _object(value)
    if form.type is not None and said.get("type") != form.type:
        raise InvalidInput(f"Trace archival config must use type '{form.type}'.")
    duration = said.get(form.field)
    if duration is not None or form.needed:
        _check_duration(duration)


def _object(value: str) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise InvalidInput("Trace archival config must be encoded as a JSON object.")
    return said


def _check_duration(duration: object) -> None:
    text = duration.strip() if isinstance(duration, str) else ""
    if len(text) > _DURATION_LIMIT:
        raise InvalidInput(f"Trace archival duration must be at most {_DURATION_LIMIT} characters.")
    if not _DURATION.fullmatch(text):
        raise InvalidInput(
            "Trace archival retention must be in the form `<int><unit>`, where unit is one of 'm', 'h', or 'd'."
        )
