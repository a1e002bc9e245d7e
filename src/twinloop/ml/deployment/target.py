"""A released model in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from twinloop.control.releases.answers import ChatDelta, PredictAnswer, PredictRequest, Request
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.ml.deployment.batching import Batcher, Matrices
from twinloop.ml.deployment.ports import LoadedModel
from twinloop.ml.deployment.signature import Signature
from twinloop.ml.features.online import BoundView, OnlineFeatures, Read
from twinloop.ml.features.ports import OnlineStore
from twinloop.ml.training.encoding import Encoder
from twinloop.ml.training.model import ModelManifest

_LINKED_ROWS = 100


class PredictTarget:
    """Checks a request, looks its features up, runs the model together with whatever else waits, and says what it read."""

    def __init__(
        self,
        ref: str,
        model: ModelManifest,
        loaded: LoadedModel,
        views: Sequence[BoundView],
        online: OnlineStore,
        tenant: str,
    ) -> None:
        self._ref = ref
        self._model = model
        self._signature = Signature(model, views)
        self._features = OnlineFeatures(online, tenant, views)
        self._encoder = Encoder(model.inputs)
        self._batcher = Batcher(loaded, Matrices())

    async def answer(self, request: Request, span: SpanBuilder) -> PredictAnswer:
        if not isinstance(request, PredictRequest):
            raise InvalidInput("This endpoint predicts: send rows of inputs.")
        checked = self._signature.check(request)
        with span.child("features.read") as reading:
            columns, reads = await self._features.read(checked.columns, request.rows, checked.at)
            reading.attributes["twinloop.rows"] = request.rows
            _link(span, reads)
        with span.child("model.predict") as predicting:
            predicting.attributes["twinloop.model"] = self._ref
            found = await self._batcher.predict(self._encoder.matrix(columns, request.rows))
        answer = PredictAnswer(outputs(self._model, found.tolist()), request.rows)
        _summarise(span, request, answer)
        return answer

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        raise InvalidInput("This endpoint predicts and does not stream: ask it for an answer at once.")

    def metadata(self) -> Mapping[str, Any]:
        return {
            "platform": f"twinloop_{self._model.format.replace('-', '_')}",
            "model": self._ref,
            "inputs": self._signature.inputs,
            "optional_inputs": self._signature.optional,
            "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in self._model.outputs],
        }

    async def aclose(self) -> None:
        await self._batcher.aclose()


def _summarise(span: SpanBuilder, request: PredictRequest, answer: PredictAnswer) -> None:
    """A request of one row is told whole, with what was asked and answered; a larger one by its size."""
    span.summarise(rows=request.rows)
    if request.rows == 1:
        span.attributes["twinloop.inputs"] = {name: values[0] for name, values in request.columns.items()}
        span.summarise(**{name: values[0] for name, values in answer.columns.items()})


def outputs(model: ModelManifest, values: list[float]) -> dict[str, list[Any]]:
    """The answer's columns for one number per row."""
    if model.task == "binary":
        return {"probability": values, model.label: [value >= model.threshold for value in values]}
    return {model.label: values}


def _link(span: SpanBuilder, reads: Sequence[Sequence[Read]]) -> None:
    """Say what was read: each set of values for a small request, only the materialised datasets for a large one."""
    found: dict[tuple[Any, ...], Read] = {}
    each = len(reads) <= _LINKED_ROWS
    for row in reads:
        for read in row:
            found.setdefault((read.bound.digest, read.entity) if each else (read.bound.digest,), read)
    for read in found.values():
        span.link("read", read.generation.dataset, read.via() if each else None)
