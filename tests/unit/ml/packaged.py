"""Folders in MLflow's format, written by hand, in the artifact tree of a lane."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from tests.unit.ml.lane import ME, Lane
from twinloop.control.registry.model import Revision
from twinloop.control.security.model import Principal
from twinloop.ml.training.describing import Packages, Source
from twinloop.ml.training.packages import PackageManifest

FOLDER = "1/models/m-1/artifacts"
URI = f"mlflow-artifacts:/{FOLDER}"

Json = dict[str, Any]


def numbers(*names: str, type: str = "double") -> list[Json]:
    return [{"type": type, "name": name, "required": True} for name in names]


def tensor(dtype: str, *shape: int, name: str | None = None) -> list[Json]:
    named = {} if name is None else {"name": name}
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}, **named}]


def mlmodel(
    flavors: Json,
    inputs: list[Json] | None = None,
    outputs: list[Json] | None = None,
    params: list[Json] | None = None,
    example: bool = False,
) -> bytes:
    """The text of an MLmodel file; YAML takes JSON."""
    found: Json = {"flavors": flavors, "mlflow_version": "3.17.2"}
    if inputs is not None or outputs is not None:
        parts = {"inputs": inputs, "outputs": outputs, "params": params}
        found["signature"] = {name: None if part is None else json.dumps(part) for name, part in parts.items()}
    if example:
        found["saved_input_example_info"] = {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
        }
    return json.dumps(found).encode()


def xgboost_flavors(model_class: str = "xgboost.core.Booster") -> Json:
    return {
        "python_function": {"loader_module": "mlflow.xgboost", "data": "model.ubj", "python_version": "3.11.7"},
        "xgboost": {"data": "model.ubj", "model_class": model_class, "model_format": "ubj", "xgb_version": "3.2.0"},
    }


class NoUris:
    """Tracking that knows the runs and models it was given."""

    def __init__(self, runs: Mapping[str, str] | None = None, models: Mapping[str, str] | None = None) -> None:
        self._runs = runs or {}
        self._models = models or {}

    async def of_run(self, who: Principal, run_id: str) -> str | None:
        return self._runs.get(run_id)

    async def of_model(self, who: Principal, model_id: str) -> str | None:
        return self._models.get(model_id)


async def put(lane: Lane, files: Mapping[str, bytes], folder: str = FOLDER) -> None:
    for path, content in files.items():

        async def chunks(content: bytes = content) -> AsyncIterator[bytes]:
            yield content

        await lane.artifacts.put(ME, f"{folder}/{path}", chunks())


async def describe(lane: Lane, uri: str = URI, uris: NoUris | None = None) -> PackageManifest:
    return await Packages(lane.artifacts, uris or NoUris()).describe(ME, Source(uri, "r1", "m-1"))


async def register(lane: Lane, files: Mapping[str, bytes], name: str = "iris") -> Revision:
    """Put a folder into the tree and register what it is described as."""
    folder = f"1/models/{name}/artifacts"
    await put(lane, files, folder)
    found = await describe(lane, f"mlflow-artifacts:/{folder}")
    return (await lane.registry.register(ME, "model", name, msgspec.to_builtins(found))).revision
