"""The input example of a packaged model, as the columns of a request.

Source: the forms in which MLflow writes ``serving_input_example.json`` (a scoring request: ``dataframe_split``,
``dataframe_records``, ``inputs`` or ``instances``) and ``input_example.json`` (the data alone).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.control.releases.answers import PredictRequest
from twinloop.core.errors import InvalidInput
from twinloop.ml.training.fields import Field, finite

LIMIT = 4 * 2**20
"""The most bytes of an example that are read."""

MOST_ROWS = 100


def read_example(content: bytes, inputs: Sequence[Field]) -> PredictRequest:
    """The example's first rows as a request to a model that takes ``inputs``.

    Raises:
        InvalidInput: it is not JSON, or not in a form that stands for rows of these inputs.
    """
    try:
        read = finite(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The input example is not JSON: {str(error)[:200]}.") from error
    columns = _request(read, [field.name for field in inputs])
    if not columns or any(not isinstance(values, list) for values in columns.values()):
        raise InvalidInput("The input example is not a table, a tensor or a map of tensors.")
    shortened = {name: values[:MOST_ROWS] for name, values in columns.items()}
    return PredictRequest(shortened, len(next(iter(shortened.values()))))


def _request(read: Any, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(read, Mapping):
        if isinstance(read.get("dataframe_split"), Mapping):
            return _split(read["dataframe_split"], names)
        if "columns" in read and "data" in read:
            return _split(read, names)
        for key in ("dataframe_records", "instances", "inputs"):
            if key in read:
                return _request(read[key], names)
        return {str(name): values for name, values in read.items()}
    if isinstance(read, list) and read and isinstance(read[0], Mapping):
        found = dict.fromkeys(str(name) for row in read if isinstance(row, Mapping) for name in row)
        return {name: [row.get(name) for row in read] for name in found}
    return _tensor(read, names)


def _split(read: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    rows, columns = read.get("data"), read.get("columns")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise InvalidInput("The input example has no rows.")
    if not isinstance(columns, list):
        return _tensor(rows, names)
    return {str(name): [row[place] if place < len(row) else None for row in rows] for place, name in enumerate(columns)}


def _tensor(read: Any, names: Sequence[str]) -> dict[str, Any]:
    """One tensor: the only input, or, with a number for each of several inputs in every row, all of them."""
    if not isinstance(read, list) or not read:
        raise InvalidInput("The input example is empty.")
    if len(names) == 1:
        return {names[0]: read}
    if not all(isinstance(row, list) and len(row) == len(names) for row in read):
        raise InvalidInput(f"The input example has no value for each of the {len(names)} inputs in every row.")
    return {name: [row[place] for row in read] for place, name in enumerate(names)}
