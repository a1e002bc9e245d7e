"""/api/v1/evidence: record, list, compare, evaluate, and ask what a gate would say."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.control.evaluation.model import Condition, GateResult
from twinloop.control.evaluation.service import EvidenceBook, EvidenceDraft
from twinloop.ml.prediction.model import EvaluationRequest
from twinloop.ml.prediction.service import Predictions
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE


class GateBody(msgspec.Struct, frozen=True):
    subject: str
    conditions: list[Condition]


class EvidenceQuery(msgspec.Struct, frozen=True):
    """``subject`` is a revision's reference."""

    subject: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ComparisonQuery(msgspec.Struct, frozen=True):
    """Two revisions by their references."""

    subject: str
    baseline: str


class EvidenceList(TypedDict):
    evidence: list[wire.Evidence]


def routes(evidence: EvidenceBook, predictions: Predictions) -> list[Route]:
    async def record(call: Call, draft: EvidenceDraft) -> wire.Evidence:
        """Keep evidence that was measured elsewhere."""
        return encode.evidence(await evidence.record(call.who, draft))

    async def listing(call: Call, query: EvidenceQuery) -> EvidenceList:
        """Evidence about a revision, newest first."""
        found = await evidence.list(call.who, query.subject, query.limit)
        return {"evidence": [encode.evidence(item) for item in found]}

    async def compare(call: Call, query: ComparisonQuery) -> wire.Evidence:
        """The newest paired comparison of two revisions."""
        return encode.evidence(await evidence.compare(call.who, query.subject, query.baseline))

    async def gate(call: Call, body: GateBody) -> GateResult:
        """What a gate with these conditions says now; nothing is changed."""
        return await evidence.gate(call.who, body.subject, body.conditions)

    async def evaluate(call: Call, request: EvaluationRequest) -> wire.Evidence:
        """Score a model on a dataset and keep the result as evidence."""
        return encode.evidence(await predictions.evaluate(call.who, request))

    return [
        route(NATIVE, "POST", "/api/v1/evidence", record, body=EvidenceDraft, answer=wire.Evidence),
        route(NATIVE, "GET", "/api/v1/evidence", listing, query=EvidenceQuery, answer=EvidenceList),
        route(NATIVE, "GET", "/api/v1/evidence/compare", compare, query=ComparisonQuery, answer=wire.Evidence),
        route(NATIVE, "POST", "/api/v1/evidence/gate", gate, body=GateBody, answer=GateResult),
        route(NATIVE, "POST", "/api/v1/evidence/evaluate", evaluate, body=EvaluationRequest, answer=wire.Evidence),
    ]
