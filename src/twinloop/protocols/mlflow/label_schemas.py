"""Handlers of ``label-schemas/…``, with their requests."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from twinloop.control.evaluation.labels.model import Categorical, Change, Input, LabelSchema, Numeric, PassFail, Text
from twinloop.control.evaluation.labels.service import LabelSchemas
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.evaluation_datasets_translate import position, token
from twinloop.protocols.mlflow.request import Required, read
from twinloop.protocols.mlflow.translate import integer
from twinloop.protocols.mlflow.wire import Integer

Json = dict[str, Any]
_PATH = "/api/3.0/mlflow/label-schemas"
_TYPES: dict[str | int, Literal["FEEDBACK", "EXPECTATION"]] = {
    **dict.fromkeys(("FEEDBACK", 1, "1"), "FEEDBACK"),
    **dict.fromkeys(("EXPECTATION", 2, "2"), "EXPECTATION"),
}


class NumericInput(msgspec.Struct, frozen=True):
    min_value: float | None = None
    max_value: float | None = None


class TextInput(msgspec.Struct, frozen=True):
    max_length: Integer | None = None


class PassFailInput(msgspec.Struct, frozen=True):
    positive_label: str = ""
    negative_label: str = ""


class CategoricalInput(msgspec.Struct, frozen=True):
    options: list[str] = []
    multi_select: bool = False


class InputForm(msgspec.Struct, frozen=True):
    """Exactly one of them."""

    pass_fail: PassFailInput | None = None
    categorical: CategoricalInput | None = None
    numeric: NumericInput | None = None
    text: TextInput | None = None


class Create(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: str = ""
    type: str | int = ""
    input: InputForm = InputForm()
    instruction: str | None = None
    enable_comment: bool = False


class Update(msgspec.Struct, frozen=True):
    schema_id: Required
    name: str | None = None
    instruction: str | None = None
    enable_comment: bool | None = None
    input: InputForm | None = None


class Named(msgspec.Struct, frozen=True):
    experiment_id: Required
    name: Required


class OfId(msgspec.Struct, frozen=True):
    schema_id: Required


class Listing(msgspec.Struct, frozen=True):
    experiment_id: Required
    max_results: Integer = 100
    page_token: str | None = None


class LabelSchemaHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, schemas: LabelSchemas) -> None:
        self._schemas = schemas

    async def create(self, call: Call) -> Json:
        """Make a label schema: a question about traces."""
        request = await read(call, Create)
        made = await self._schemas.create(
            call.who,
            request.experiment_id,
            request.name,
            _type(request.type),
            _input(request.input),
            request.instruction,
            request.enable_comment,
        )
        return {"label_schema": schema_json(made)}

    async def get(self, call: Call) -> Json:
        """One label schema by its id."""
        request = await read(call, OfId)
        return {"label_schema": schema_json(await self._schemas.get(call.who, request.schema_id))}

    async def by_name(self, call: Call) -> Json:
        """One label schema of an experiment by its name."""
        request = await read(call, Named)
        return {"label_schema": schema_json(await self._schemas.by_name(call.who, request.experiment_id, request.name))}

    async def listing(self, call: Call) -> Json:
        """The label schemas of an experiment, newest first."""
        request = await read(call, Listing)
        limit, offset = integer(request.max_results, "max_results"), position(request.page_token) or 0
        found, following = await self._schemas.schemas(call.who, request.experiment_id, limit, offset)
        more = "" if following is None else token(following)
        return {"label_schemas": [schema_json(schema) for schema in found], "next_page_token": more}

    async def update(self, call: Call) -> Json:
        """Change some of a label schema."""
        request = await read(call, Update)
        given = None if request.input is None else _input(request.input)
        change = Change(request.name, request.instruction, request.enable_comment, given)
        return {"label_schema": schema_json(await self._schemas.update(call.who, request.schema_id, change))}

    async def delete(self, call: Call) -> Json:
        """Delete a label schema; labels that were given stay."""
        request = await read(call, OfId)
        await self._schemas.delete(call.who, request.schema_id)
        return {}


def _type(given: str | int) -> Literal["FEEDBACK", "EXPECTATION"]:
    found = _TYPES.get(given)
    if found is None:
        raise InvalidInput(
            f"Label schema `type` must be one of FEEDBACK or EXPECTATION; got {str(given)[:40]!r}. Say what it asks for."
        )
    return found


def _input(given: InputForm) -> Input:
    found: list[Input] = []
    if given.pass_fail is not None:
        found.append(PassFail(given.pass_fail.positive_label, given.pass_fail.negative_label))
    if given.categorical is not None:
        found.append(Categorical(given.categorical.options, given.categorical.multi_select))
    if given.numeric is not None:
        found.append(Numeric(given.numeric.min_value, given.numeric.max_value))
    if given.text is not None:
        length = given.text.max_length
        found.append(Text(None if length is None else integer(length, "max_length")))
    if len(found) != 1:
        raise InvalidInput(
            "Label schema `input` must have exactly one of `pass_fail`, `categorical`, `numeric`, or `text` set."
        )
    return found[0]


def schema_json(schema: LabelSchema) -> Json:
    kind = {PassFail: "pass_fail", Categorical: "categorical", Numeric: "numeric", Text: "text"}[type(schema.input)]
    asked = {name: value for name, value in msgspec.structs.asdict(schema.input).items() if value is not None}
    found: Json = {
        "schema_id": schema.id,
        "experiment_id": schema.experiment_id,
        "name": schema.name,
        "type": schema.type,
        "input": {kind: asked},
        "enable_comment": schema.enable_comment,
        "created_at": schema.created_ms,
        "last_updated_at": schema.updated_ms,
        "is_default": schema.default,
    }
    return found if schema.instruction is None else {**found, "instruction": schema.instruction}


def endpoints(schemas: LabelSchemas) -> list[Endpoint]:
    """What MLflow offers on label schemas."""
    handlers = LabelSchemaHandlers(schemas)
    return [
        Endpoint("POST", f"{_PATH}/create", handlers.create),
        Endpoint("GET", f"{_PATH}/get", handlers.get),
        Endpoint("GET", f"{_PATH}/get-by-name", handlers.by_name),
        Endpoint("GET", f"{_PATH}/list", handlers.listing),
        Endpoint("PATCH", f"{_PATH}/update", handlers.update),
        Endpoint("DELETE", f"{_PATH}/delete", handlers.delete),
    ]
