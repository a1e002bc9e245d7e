"""Between MLflow's messages and evaluation datasets. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from twinloop.control.evaluation.datasets.model import Dataset, Draft, Record
from twinloop.control.tracking.model import Query
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow import evaluation_datasets_wire as wire
from twinloop.protocols.mlflow import translate

Json = dict[str, Any]
_UNSPECIFIED = "SOURCE_TYPE_UNSPECIFIED"


def tags(text: str | None) -> Json:
    """Tags given as the text of a JSON object. Raises InvalidInput."""
    found = _parsed(text, "tags") if text else {}
    if not isinstance(found, dict):
        raise InvalidInput("Invalid value for parameter 'tags' supplied: It must be the text of a JSON object.")
    return found


def drafts(text: str) -> list[Draft]:
    """Records given as the text of a JSON array. Raises InvalidInput naming the record that does not fit."""
    found = _parsed(text, "records")
    if not isinstance(found, list):
        raise InvalidInput("Invalid value for parameter 'records' supplied: It must be the text of a JSON array.")
    return [_draft(item, number) for number, item in enumerate(found)]


def query(request: wire.Search) -> Query:
    return Query(
        filter=request.filter_string or "",
        order=tuple(request.order_by),
        view="all",
        limit=translate.integer(request.max_results, "max_results"),
        token=request.page_token or None,
    )


def position(token: str | None) -> int | None:
    """Where a page of records goes on. Raises InvalidInput."""
    if not token:
        return None
    try:
        found = int(base64.urlsafe_b64decode(token.encode()).decode("ascii"))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.") from error
    if not 0 <= found < 2**62:
        raise InvalidInput("Invalid page token. Give the next_page_token of the page before, unchanged.")
    return found


def token(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def dataset_json(dataset: Dataset, experiment_ids: Sequence[str] | None = None) -> Json:
    """A dataset; ``experiment_ids`` only where MLflow tells them, because clients ask for them otherwise."""
    found: Json = {
        "dataset_id": dataset.id,
        "name": dataset.name,
        "tags": json.dumps(dataset.tags),
        "digest": dataset.digest,
        "created_time": dataset.created_ms,
        "last_update_time": dataset.updated_ms,
    }
    if dataset.schema is not None:
        found["schema"] = json.dumps(dataset.schema)
    if dataset.records:
        found["profile"] = json.dumps({"num_records": dataset.records})
    if dataset.created_by is not None:
        found["created_by"] = dataset.created_by
    if dataset.updated_by is not None:
        found["last_updated_by"] = dataset.updated_by
    if experiment_ids:
        found["experiment_ids"] = list(experiment_ids)
    return found


def records_json(records: Sequence[Record]) -> str:
    """Records as the text of a JSON array."""
    return json.dumps([_record_json(record) for record in records])


def _record_json(record: Record) -> Json:
    found: Json = {
        "dataset_record_id": record.id,
        "dataset_id": record.dataset,
        "inputs": record.inputs,
        "tags": record.tags or {},
        "created_time": record.created_ms,
        "last_update_time": record.updated_ms,
    }
    if record.source_type is not None:
        found["source"] = {"source_type": record.source_type, "source_data": record.source_data or {}}
        found["source_type"] = record.source_type
    told = {
        "outputs": record.outputs,
        "expectations": record.expectations,
        "source_id": record.source_id,
        "created_by": record.created_by,
        "last_updated_by": record.updated_by,
    }
    return found | {name: value for name, value in told.items() if value is not None}


def _draft(item: Any, number: int) -> Draft:
    if not isinstance(item, dict):
        raise InvalidInput(f"The record {number} is not a JSON object. Give it inputs and, where known, expectations.")
    # MLflow's own default: a record that says nothing of outputs has an empty object there.
    outputs = item.get("outputs", {})
    kind, data = _source(item.get("source"), number)
    return Draft(
        inputs=_object(item, "inputs", number) or {},
        outputs=outputs,
        expectations=_object(item, "expectations", number),
        tags=_object(item, "tags", number),
        source_type=kind,
        source_data=data,
        given=frozenset(item),
    )


def _source(given: Any, number: int) -> tuple[str | None, Json | None]:
    if not given:
        return None, None
    if not isinstance(given, dict) or not isinstance(given.get("source_type"), str):
        raise InvalidInput(f"The source of record {number} must be an object with a source_type.")
    kind = given["source_type"].upper()
    return ("UNSPECIFIED" if kind == _UNSPECIFIED else kind), _object(given, "source_data", number)


def _object(item: Json, name: str, number: int) -> Json | None:
    found = item.get(name)
    if found is not None and not isinstance(found, dict):
        raise InvalidInput(f"The field {name} of record {number} must be a JSON object.")
    return found


def _parsed(text: str, name: str) -> Any:
    try:
        # Python's own JSON, because clients write it: it knows NaN and infinities.
        found = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
        return found
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"Invalid value for parameter '{name}' supplied: It is not JSON ({error}).") from error
