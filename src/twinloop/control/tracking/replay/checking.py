"""Which operations of a journal can be kept, and what they become."""

from __future__ import annotations

import math
import re

from twinloop.control.tracking.model import CONTEXT_TAG, DatasetInput, Metric
from twinloop.control.tracking.names import check_key
from twinloop.control.tracking.replay.operations import Log, Read
from twinloop.core.errors import InvalidInput

_MS = 1_000_000
_INT64 = 2**63
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}\Z")


def metrics_of(log: Log) -> list[Metric]:
    """Raises InvalidInput when a key, step or time cannot be kept."""
    name, digest = log.dataset or (None, None)
    at = moment(log.at)
    found = []
    for key, value, step in log.points:
        check_key(key, "metric key")
        if not -_INT64 <= step < _INT64:
            raise InvalidInput(f"The step of metric {key!r} must fit into 64 bits.")
        found.append(Metric(key, math.nan if value is None else value, at, step, log.model, name, digest))
    return found


def input_of(read: Read) -> DatasetInput:
    return DatasetInput(
        read.name, read.digest, read.source_type, read.source, read.schema, read.profile, {CONTEXT_TAG: read.role}
    )


def moment(at: int) -> int:
    if not 0 <= at < _INT64 // _MS:
        raise InvalidInput(f"{at} is no time in milliseconds since 1970.")
    return at


def check_model_id(id: str) -> str:
    if not _MODEL_ID.match(id):
        raise InvalidInput(f"{id[:80]!r} cannot be the id of a logged model. Use m- and 32 hex digits.")
    return id


def check_run_id(id: str) -> str:
    if not _RUN_ID.match(id):
        raise InvalidInput(f"{id[:80]!r} cannot be the id of a run. Use up to 32 letters, digits, '_' and '-'.")
    return id
