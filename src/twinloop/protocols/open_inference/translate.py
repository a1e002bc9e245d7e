"""Inference requests to rows of a predict endpoint, and its answers to tensors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from twinloop.control.releases.answers import PredictAnswer, PredictRequest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.protocols.http import decode_json
from twinloop.protocols.open_inference import tensors
from twinloop.protocols.open_inference.wire import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    Parameters,
    RequestInput,
    ResponseOutput,
    TensorMetadata,
)

PLATFORM = "twinloop"


def metadata_tensors(metadata: Mapping[str, Any], side: str) -> list[TensorMetadata]:
    """The ``inputs`` or ``outputs`` of a target's metadata."""
    return [TensorMetadata(t["name"], t["datatype"], list(t["shape"])) for t in metadata.get(side, ())]


def model_metadata(name: str, versions: Sequence[str], metadata: Mapping[str, Any]) -> ModelMetadata:
    return ModelMetadata(
        name=name,
        versions=list(versions),
        platform=str(metadata.get("platform", PLATFORM)),
        inputs=metadata_tensors(metadata, "inputs"),
        outputs=metadata_tensors(metadata, "outputs"),
    )


class Parsed(NamedTuple):
    """A decoded body: its JSON, and the raw tensors that follow it."""

    request: InferenceRequest
    binary: memoryview


def parse_body(body: bytes, json_length: str | None) -> Parsed:
    """Split a body at ``Inference-Header-Content-Length`` and decode its JSON part.

    Raises:
        InvalidInput: the length is not a number within the body, or the JSON does not fit.
    """
    if json_length is None:
        return Parsed(decode_json(body, InferenceRequest), memoryview(b""))
    if not (
        json_length.isascii() and json_length.isdigit() and len(json_length) < 12 and int(json_length) <= len(body)
    ):
        raise InvalidInput(
            f"Inference-Header-Content-Length is {json_length[:20]!r}, but the body has {len(body)} bytes. "
            "Send the length of the JSON that opens the body."
        )
    length = int(json_length)
    return Parsed(decode_json(body[:length], InferenceRequest), memoryview(body)[length:])


def predict_request(parsed: Parsed, metadata: Mapping[str, Any]) -> PredictRequest:
    """Each input tensor of shape [n] or [n, 1] is one column. One tensor of shape [n, m] is the m inputs that the
    metadata lists, in that order. An input that the metadata lists with several dimensions is one column of lists; a
    model with a single such input takes its tensor under any name.

    Raises:
        InvalidInput: no or duplicate inputs, wrong shapes, counts or elements, or bytes that no input claims.
    """
    inputs = parsed.request.inputs
    if not inputs:
        raise InvalidInput("The request has no inputs. Send one tensor per input that the model's metadata lists.")
    columns: dict[str, list[Any]] = {}
    rest = parsed.binary
    for tensor in inputs:
        values, rest = _elements(tensor, rest)
        for name, column in _columns(tensor, values, metadata, alone=len(inputs) == 1):
            if name in columns:
                raise InvalidInput(f"Input {name!r} is given twice. Send it once.")
            columns[name] = column
    if rest:
        raise InvalidInput(f"{len(rest)} bytes follow that no input claims. Set binary_data_size on each binary input.")
    counts = {name: len(column) for name, column in columns.items()}
    rows = inputs[0].shape[0]
    for name, count in counts.items():
        if count != rows:
            raise InvalidInput(
                f"Input {name!r} has {count} rows, but {inputs[0].name!r} has {rows}. Send as many in each."
            )
    return PredictRequest(columns, rows)


def _elements(tensor: RequestInput, binary: memoryview) -> tuple[list[Any], memoryview]:
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        if tensor.data is None:
            raise InvalidInput(f"Input {tensor.name!r} has no data. Send data, or binary_data_size and the bytes.")
        tensors.data_type(tensor.name, tensor.datatype)
        return tensors.from_json(tensor.name, tensor.datatype, tensor.shape, tensor.data), binary
    if tensor.data is not None:
        raise InvalidInput(f"Input {tensor.name!r} has both data and binary_data_size. Send one of them.")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
        raise InvalidInput(f"binary_data_size of input {tensor.name!r} is {size!r}, but {len(binary)} bytes are left.")
    return tensors.from_bytes(tensor.name, tensor.datatype, tensor.shape, binary[:size]), binary[size:]


def _columns(
    tensor: RequestInput, values: list[Any], metadata: Mapping[str, Any], *, alone: bool
) -> list[tuple[str, list[Any]]]:
    listed_inputs = [*metadata.get("inputs", ()), *metadata.get("optional_inputs", ())]
    own = [listed for listed in listed_inputs if len(listed["shape"]) > 1]
    found = next((listed for listed in own if listed["name"] == tensor.name), None)
    if found is None and alone and len(own) == 1 and len(listed_inputs) == 1:
        found = own[0]
    if found is not None:
        return [(str(found["name"]), _nested(tensor, values, found["shape"]))]
    width = 1 if len(tensor.shape) == 1 else tensor.shape[1]
    if len(tensor.shape) > 2:
        raise InvalidInput(
            f"Input {tensor.name!r} has the shape {tensor.shape[:8]}. Send [rows], [rows, 1] or [rows, inputs]."
        )
    if width == 1:
        return [(tensor.name, values)]
    names = [str(listed["name"]) for listed in metadata.get("inputs", ())]
    if not alone or len(names) != width:
        raise InvalidInput(
            f"Input {tensor.name!r} has the shape {tensor.shape}. Send one tensor of shape [rows] or [rows, 1] per input, "
            f"or a single tensor of shape [rows, {len(names)}] with the inputs in the order of the model's metadata."
        )
    return [(name, values[index::width]) for index, name in enumerate(names)]


def _nested(tensor: RequestInput, values: list[Any], wanted: Sequence[int]) -> list[Any]:
    """Rows of a tensor that the model takes whole, each a list nested as the tensor's shape says."""
    shape = tensor.shape
    if len(shape) != len(wanted) or any(size not in (-1, given) for size, given in zip(wanted, shape, strict=True)):
        raise InvalidInput(
            f"Input {tensor.name!r} has the shape {shape[:8]}. Send {list(wanted)}, the first being the rows."
        )
    for size in reversed(shape[1:]):
        values = [values[start : start + size] for start in range(0, len(values), size)]
    return values


class Answered(NamedTuple):
    """What an inference answers with: the model as the caller called it, what answered, and its columns."""

    model: str
    version: str
    answer: PredictAnswer
    parameters: Parameters


class Encoded(NamedTuple):
    """A response body; ``json_length`` is set when raw tensors follow the JSON."""

    body: bytes
    json_length: int | None


def inference_response(request: InferenceRequest, metadata: Mapping[str, Any], answered: Answered) -> Encoded:
    """The outputs asked for, or all; each as JSON or raw as its parameters (or the request's) say.

    Raises:
        InvalidInput: an output is asked for that the model does not have.
    """
    known = {tensor.name: tensor for tensor in metadata_tensors(metadata, "outputs")}
    by_default = request.parameters.get("binary_data_output") is True
    outputs: list[ResponseOutput] = []
    raw: list[bytes] = []
    for name, binary in _wanted(request, answered.answer, by_default):
        tensor, data = _output(name, answered.answer, known.get(name), binary)
        outputs.append(tensor)
        raw.append(data)
    head = msgspec.json.encode(
        InferenceResponse(answered.model, answered.version, outputs, request.id, answered.parameters)
    )
    tail = b"".join(raw)
    return Encoded(head + tail, len(head) if tail else None)


def check_outputs(request: InferenceRequest, metadata: Mapping[str, Any]) -> None:
    """Refuse an unknown output before anything is computed."""
    known = [str(listed["name"]) for listed in metadata.get("outputs", ())]
    for output in request.outputs or ():
        if known and output.name not in known:
            raise InvalidInput(f"The model has no output {output.name[:80]!r}. It has: {', '.join(known)}.")


def _wanted(request: InferenceRequest, answer: PredictAnswer, by_default: bool) -> list[tuple[str, bool]]:
    if not request.outputs:
        return [(name, by_default) for name in answer.columns]
    wanted = []
    for output in request.outputs:
        if output.name not in answer.columns:
            raise InvalidInput(f"The model has no output {output.name[:80]!r}. It has: {', '.join(answer.columns)}.")
        wanted.append((output.name, output.parameters.get("binary_data", by_default) is True))
    return wanted


def _output(
    name: str, answer: PredictAnswer, known: TensorMetadata | None, binary: bool
) -> tuple[ResponseOutput, bytes]:
    column = answer.columns[name]
    shape = [answer.rows]
    while column and isinstance(column[0], list):
        shape.append(len(column[0]))
        column = [value for row in column for value in row]
    if len(shape) == 1 and known is not None and len(known.shape) == 2:
        shape.append(1)
    datatype = known.datatype if known is not None else tensors.guess(column)
    if not binary:
        return ResponseOutput(name, shape, datatype, data=tensors.to_json(datatype, column)), b""
    data = tensors.to_bytes(name, datatype, column)
    return ResponseOutput(name, shape, datatype, {"binary_data_size": len(data)}), data


def check_version(name: str, asked: str | None, versions: Sequence[str]) -> None:
    """A version is a release's number; only what answers now can be asked for.

    Raises:
        NotFound: that release does not answer.
    """
    if asked is not None and asked not in versions:
        raise NotFound(
            f"Version {asked[:40]!r} of {name} does not answer now. Leave it out, or use: {', '.join(versions)}."
        )
