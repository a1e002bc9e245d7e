"""The file ``MLmodel`` that describes a folder in MLflow's format: read as data, within bounds, and never trusted.

Source: https://mlflow.org/docs/latest/ml/model/ (storage format). It is YAML; aliases, which MLflow never writes, are
refused, because a few of them can stand for more text than any memory holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from twinloop.core.errors import InvalidInput, MissingDependency
from twinloop.ml.training.fields import Field, Param, read_fields, read_params

NAME = "MLmodel"
LIMIT = 4 * 2**20
"""The most bytes of an MLmodel file that are read."""

_DEPTH = 24
_EVENTS = 200_000


class ExampleFile(msgspec.Struct, frozen=True):
    """Where the input example lies in the folder, and the form it has: ``serving`` or MLflow's name for its type."""

    path: str
    form: str


class MlModel(msgspec.Struct, frozen=True):
    """What an MLmodel file says. ``inputs`` and ``outputs`` are None where the signature leaves them out."""

    flavors: dict[str, dict[str, Any]]
    inputs: tuple[Field, ...] | None = None
    outputs: tuple[Field, ...] | None = None
    params: tuple[Param, ...] = ()
    example: ExampleFile | None = None
    mlflow_version: str | None = None
    python_version: str | None = None

    @property
    def loader(self) -> str | None:
        """The Python module that MLflow's generic flavour loads the model with."""
        found = self.flavors.get("python_function", {}).get("loader_module")
        return None if found is None else str(found)


def read_mlmodel(content: bytes) -> MlModel:
    """Read an MLmodel file.

    Raises:
        InvalidInput: not one, too large, or nested too deeply; the message says what is wrong.
        MissingDependency: the YAML reader is not installed.
    """
    read = _yaml(content)
    if not isinstance(read, Mapping) or not isinstance(read.get("flavors"), Mapping):
        raise InvalidInput("The MLmodel file lists no flavors.")
    flavors = {
        str(name): {str(key): value for key, value in options.items()}
        for name, options in read["flavors"].items()
        if isinstance(options, Mapping)
    }
    inputs, outputs, params = _signature(read.get("signature"))
    python = flavors.get("python_function", {}).get("python_version")
    return MlModel(
        flavors=flavors,
        inputs=inputs,
        outputs=outputs,
        params=params,
        example=_example(read.get("saved_input_example_info")),
        mlflow_version=_text(read.get("mlflow_version")),
        python_version=_text(python),
    )


def _yaml(content: bytes) -> Any:
    if len(content) > LIMIT:
        raise InvalidInput(f"The MLmodel file has over {LIMIT} bytes.")
    try:
        import yaml  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise MissingDependency("pyyaml", "ml") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = content.decode()
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _DEPTH or count > _EVENTS:
                raise InvalidInput("The MLmodel file has aliases, or is larger or deeper than any MLflow writes.")
        return yaml.load(text, Loader=loader)
    except (UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())[:200]
        raise InvalidInput(f"The MLmodel file is not YAML: {line}.") from error


_Signature = tuple[tuple[Field, ...] | None, tuple[Field, ...] | None, tuple[Param, ...]]


def _signature(given: Any) -> _Signature:
    if not isinstance(given, Mapping):
        return None, None, ()
    parts = {name: _json(given.get(name)) for name in ("inputs", "outputs", "params")}
    inputs = None if parts["inputs"] is None else read_fields(parts["inputs"], "input")
    outputs = None if parts["outputs"] is None else read_fields(parts["outputs"], "prediction")
    return inputs, outputs, () if parts["params"] is None else read_params(parts["params"])


def _json(value: Any) -> Any:
    """A signature's parts are JSON inside YAML; its defaults may be NaN, so Python's reader takes them."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The signature in the MLmodel file is not JSON: {str(error)[:200]}.") from error


def _example(given: Any) -> ExampleFile | None:
    if not isinstance(given, Mapping):
        return None
    for key, form in (("serving_input_path", "serving"), ("artifact_path", _text(given.get("type")) or "")):
        path = given.get(key)
        if isinstance(path, str) and path:
            return ExampleFile(path, form)
    return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:200]
