"""/api/v1/evidence: record, list, compare, evaluate, and ask what a gate would say."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import Route

from twinloop.control.evaluation.model import Condition, Evidence
from twinloop.control.evaluation.service import EvidenceBook, EvidenceDraft
from twinloop.core.clock import iso
from twinloop.ml.prediction.model import EvaluationRequest
from twinloop.ml.prediction.service import Predictions
from twinloop.protocols.http import Call, route
from twinloop.protocols.native.errors import NATIVE


class GateBody(msgspec.Struct, frozen=True):
    subject: str
    conditions: list[Condition]


def routes(evidence: EvidenceBook, predictions: Predictions) -> list[Route]:
    async def record(call: Call) -> Any:
        """Keep evidence that was measured elsewhere."""
        return _encoded(await evidence.record(call.who, await call.json(EvidenceDraft)))

    async def listing(call: Call) -> Any:
        """Evidence about a revision, newest first."""
        found = await evidence.list(call.who, call.query.get("subject", ""), call.integer("limit", 50, 1, 200))
        return {"evidence": [_encoded(item) for item in found]}

    async def compare(call: Call) -> Any:
        """The newest paired comparison of two revisions."""
        return _encoded(await evidence.compare(call.who, call.query.get("subject", ""), call.query.get("baseline", "")))

    async def gate(call: Call) -> Any:
        """What a gate with these conditions says now; nothing is changed."""
        body = await call.json(GateBody)
        return await evidence.gate(call.who, body.subject, body.conditions)

    async def evaluate(call: Call) -> Any:
        """Score a model on a dataset and keep the result as evidence."""
        return _encoded(await predictions.evaluate(call.who, await call.json(EvaluationRequest)))

    return [
        route(NATIVE, "POST", "/api/v1/evidence", record),
        route(NATIVE, "GET", "/api/v1/evidence", listing),
        route(NATIVE, "GET", "/api/v1/evidence/compare", compare),
        route(NATIVE, "POST", "/api/v1/evidence/gate", gate),
        route(NATIVE, "POST", "/api/v1/evidence/evaluate", evaluate),
    ]


def _encoded(item: Evidence) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(item)
    body["created_at"] = iso(item.created_ns)
    return body
