"""Handlers of ``traces/{trace_id}/assessments``."""

from __future__ import annotations

from typing import Any

from twinloop.control.tracing.assessments import Assessments
from twinloop.control.tracing.info import key_of
from twinloop.protocols.http import Call
from twinloop.protocols.mlflow import traces_wire as wire
from twinloop.protocols.mlflow.assessments_translate import assessment_json, assessment_of, change_of
from twinloop.protocols.mlflow.endpoint import Endpoint
from twinloop.protocols.mlflow.request import read
from twinloop.protocols.mlflow.traces_translate import required

Json = dict[str, Any]
_PREFIX = "/api/3.0/mlflow/traces/{trace_id}/assessments"


class AssessmentHandlers:
    """One method per endpoint: decode, call one verb, encode."""

    def __init__(self, assessments: Assessments) -> None:
        self._assessments = assessments

    async def create(self, call: Call) -> Json:
        """Add an assessment to a trace."""
        given = required((await read(call, wire.OfAssessment)).assessment, "assessment")
        said = assessment_of(given, key_of(call.path["trace_id"]), self._assessments.now())
        return {"assessment": assessment_json(await self._assessments.create(call.who, said))}

    async def get(self, call: Call) -> Json:
        """One assessment."""
        found = await self._assessments.get(call.who, key_of(call.path["trace_id"]), call.path["assessment_id"])
        return {"assessment": assessment_json(found)}

    async def update(self, call: Call) -> Json:
        """Change the fields that the mask names."""
        request = await read(call, wire.OfAssessment)
        given = required(request.assessment, "assessment")
        change = change_of(given, required(request.update_mask, "update_mask"))
        key, id = key_of(call.path["trace_id"]), call.path["assessment_id"]
        return {"assessment": assessment_json(await self._assessments.update(call.who, key, id, change))}

    async def delete(self, call: Call) -> Json:
        """Remove an assessment; what it overrode counts again."""
        await self._assessments.delete(call.who, key_of(call.path["trace_id"]), call.path["assessment_id"])
        return {}


def endpoints(assessments: Assessments) -> list[Endpoint]:
    handlers = AssessmentHandlers(assessments)
    one = f"{_PREFIX}/{{assessment_id}}"
    return [
        Endpoint("POST", _PREFIX, handlers.create),
        Endpoint("GET", one, handlers.get),
        Endpoint("PATCH", one, handlers.update),
        Endpoint("DELETE", one, handlers.delete),
    ]
