"""A released package in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from twinloop.control.releases.answers import ChatDelta, PredictAnswer, PredictRequest, Request
from twinloop.control.tracing.model import SpanBuilder
from twinloop.core.errors import InvalidInput
from twinloop.ml.deployment.batching import Batcher, Tables
from twinloop.ml.deployment.package_inputs import PackageInputs
from twinloop.ml.deployment.package_outputs import PackageOutputs, columns, described
from twinloop.ml.deployment.ports import LoadedPackage
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    from twinloop.ml.deployment.ports import Arrays

_TOLD = 100


class PackageTarget:
    """Checks a request against the signature, runs the model together with whatever else waits, and names its answers.

    ``probe`` is what the model answered when it was tried, which tells the outputs' types and shapes.
    """

    def __init__(self, ref: str, package: PackageManifest, loaded: LoadedPackage, probe: Arrays | None) -> None:
        self._ref = ref
        self._package = package
        self._loaded = loaded
        self._inputs = PackageInputs(loaded.inputs)
        self._outputs = PackageOutputs(package.outputs)
        self._described = [] if probe is None else described(probe)
        self._batcher: Batcher[Arrays, Arrays] = Batcher(loaded, Tables())

    async def answer(self, request: Request, span: SpanBuilder) -> PredictAnswer:
        if not isinstance(request, PredictRequest):
            raise InvalidInput("This endpoint predicts: send rows of inputs.")
        given = self._inputs.arrays(request)
        with span.child("model.predict") as predicting:
            predicting.attributes["twinloop.model"] = self._ref
            found = self._outputs.arrays(await self._batcher.predict(given), request.rows)
        answer = PredictAnswer(columns(found), request.rows)
        _summarise(span, request, answer)
        return answer

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        raise InvalidInput("This endpoint predicts and does not stream: ask it for an answer at once.")

    def metadata(self) -> Mapping[str, Any]:
        fields = self._inputs.fields
        found: dict[str, Any] = {
            "platform": f"mlflow_{self._package.flavor}",
            "model": self._ref,
            "inputs": [field.described() for field in fields if field.required],
            "optional_inputs": [field.described() for field in fields if not field.required],
            "outputs": self._described,
        }
        if self._loaded.classes is not None:
            found["classes"] = list(self._loaded.classes)
        return found

    async def aclose(self) -> None:
        await self._batcher.aclose()
        await asyncio.to_thread(self._loaded.close)


def _summarise(span: SpanBuilder, request: PredictRequest, answer: PredictAnswer) -> None:
    """A request of one row is told whole, as far as it is no large tensor; a larger one by its size."""
    span.summarise(rows=request.rows)
    if request.rows != 1:
        return
    given = {name: values[0] for name, values in request.columns.items()}
    if sum(_size(value) for value in given.values()) <= _TOLD:
        span.attributes["twinloop.inputs"] = given
    told = {name: values[0] for name, values in answer.columns.items() if _size(values[0]) <= _TOLD}
    told.pop("self", None)  # the one name that a keyword cannot have
    span.summarise(**told)


def _size(value: Any) -> int:
    return sum(_size(item) for item in value) if isinstance(value, list) else 1
