"""Evidence from a program: evaluate models, read what is known about a revision, ask a gate."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from twinloop.control.evaluation.model import Condition, Evidence, GateResult
from twinloop.control.evaluation.service import EvidenceDraft
from twinloop.sdk.client import Client


class EvidenceArea:
    def __init__(self, client: Client) -> None:
        self._client = client

    def evaluate(
        self,
        model: str,
        dataset: str,
        label: str,
        *,
        metrics: Sequence[str] = (),
        slices: Sequence[str] = (),
        baseline: str | None = None,
        min_rows: int = 100,
        note: str = "",
    ) -> Evidence:
        """Score ``model`` on ``dataset`` against the boolean column ``label`` and keep the result, with 95 % intervals.

        With a ``baseline`` model, estimates named ``delta_*`` are paired differences on the same rows.
        """
        body = {
            "model": model,
            "dataset": dataset,
            "label": label,
            "metrics": list(metrics),
            "slices": list(slices),
            "baseline": baseline,
            "min_rows": min_rows,
            "note": note,
        }
        return msgspec.convert(self._client.call("POST", "/api/v1/evidence/evaluate", body), Evidence)

    def record(self, draft: EvidenceDraft) -> Evidence:
        """Keep evidence that was measured elsewhere."""
        return msgspec.convert(self._client.call("POST", "/api/v1/evidence", msgspec.to_builtins(draft)), Evidence)

    def list(self, subject: str, limit: int = 50) -> Sequence[Evidence]:
        """Evidence about a revision, newest first."""
        found = self._client.call("GET", "/api/v1/evidence", query={"subject": subject, "limit": limit})
        return [msgspec.convert(item, Evidence) for item in found["evidence"]]

    def compare(self, subject: str, baseline: str) -> Evidence:
        """The newest paired comparison of two revisions. Raises NotFound when they were never compared."""
        query = {"subject": subject, "baseline": baseline}
        return msgspec.convert(self._client.call("GET", "/api/v1/evidence/compare", query=query), Evidence)

    def gate(self, subject: str, conditions: Sequence[Condition]) -> GateResult:
        """What a gate with these conditions says now; nothing is changed."""
        body = {"subject": subject, "conditions": msgspec.to_builtins(tuple(conditions))}
        return msgspec.convert(self._client.call("POST", "/api/v1/evidence/gate", body), GateResult)
