"""What the prompt engineering page of MLflow's interface keeps: a prompt, how a model was asked, what it said, as one run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from twinloop.control.artifacts.paths import join, place_of
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.tracking.model import RunChange
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import InvalidInput
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import translate, wire
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import Int64, read

_TABLE = "eval_results_table.json"
_NEEDED = (
    "experiment_id",
    "prompt_template",
    "prompt_parameters",
    "model_route",
    "model_input",
    "mlflow_version",
)


class Setting(msgspec.Struct, frozen=True):
    key: str
    value: Any = ""


class PromptlabRun(msgspec.Struct, frozen=True):
    """Most of it must be there."""

    experiment_id: str = ""
    run_name: str | None = None
    tags: list[wire.Pair] = []
    prompt_template: str = ""
    prompt_parameters: list[Setting] = []
    model_route: str = ""
    model_parameters: list[Setting] = []
    model_input: Any = None
    model_output: Any = None
    model_output_parameters: list[Setting] = []
    mlflow_version: str = ""
    user_id: str = "unknown"
    start_time: Int64 | None = None


class PromptlabHandlers:
    def __init__(self, tracking: Tracking, artifacts: Artifacts) -> None:
        self._tracking = tracking
        self._artifacts = artifacts

    async def create(self, call: Call) -> dict[str, Any]:
        """Keep a prompt and its answer as a finished run, with a table that pages can show."""
        request = await read(call, PromptlabRun)
        for name in _NEEDED:
            if not getattr(request, name):
                raise InvalidInput(f"CreatePromptlabRun request must specify {name}.")
        run = await self._tracking.create(
            call.who,
            request.experiment_id,
            name=request.run_name or None,
            user=request.user_id,
            started_ms=request.start_time,
            tags=translate.tags(request.tags),
        )
        about = {"model_route": request.model_route, "prompt_template": request.prompt_template}
        params = translate.params(
            [wire.Pair(key, value) for key, value in (_texts(request.model_parameters) | about).items()]
        )
        tags = {
            "mlflow.loggedArtifacts": json.dumps([{"path": _TABLE, "type": "table"}]),
            "mlflow.runSourceType": "PROMPT_ENGINEERING",
        }
        await self._tracking.log(call.who, run.id, params=params, tags=tags)
        await self._artifacts.put(call.who, join(place_of(run.artifact_uri), _TABLE), _once(_table(request)))
        done = await self._tracking.finish(call.who, run.id, RunChange(status="FINISHED"))
        return {"run": translate.run_json(done)}


def _texts(settings: Sequence[Setting]) -> dict[str, str]:
    return {setting.key: str(setting.value) for setting in settings}


def _table(request: PromptlabRun) -> bytes:
    given, told = _texts(request.prompt_parameters), _texts(request.model_output_parameters)
    columns = [*given, "prompt", "output", *told]
    row = [*given.values(), request.model_input, request.model_output, *told.values()]
    return json.dumps({"columns": columns, "data": [row]}).encode()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def endpoints(tracking: Tracking, artifacts: Artifacts) -> list[Endpoint]:
    handlers = PromptlabHandlers(tracking, artifacts)
    return [Endpoint("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run", handlers.create)]
