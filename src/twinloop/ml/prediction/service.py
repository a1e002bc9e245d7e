"""Verbs of prediction over whole datasets: predict in batch, evaluate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from twinloop.control.evaluation.model import Estimate, Evidence, Slice
from twinloop.control.evaluation.service import EvidenceBook, EvidenceDraft
from twinloop.control.registry.model import Parent, Registered, Revision
from twinloop.control.security.model import Principal, Role
from twinloop.core.errors import InvalidInput
from twinloop.ml.data import sql
from twinloop.ml.data.model import DatasetManifest
from twinloop.ml.data.ports import Analytics, Session
from twinloop.ml.data.service import Datasets
from twinloop.ml.deployment.loading import Loader
from twinloop.ml.features.service import Features
from twinloop.ml.prediction.applying import Applied, join, open_model
from twinloop.ml.prediction.model import BatchRequest, EvaluationRequest
from twinloop.ml.training.kind import AnyModel
from twinloop.ml.training.service import Models

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays

T = TypeVar("T")

_SLICES = 50


class Predictions:
    """Applies models to datasets, with the same encoder and engines that serve."""

    def __init__(
        self,
        models: Models,
        datasets: Datasets,
        features: Features,
        loader: Loader,
        analytics: Analytics,
        evidence: EvidenceBook,
    ) -> None:
        self._models = models
        self._datasets = datasets
        self._features = features
        self._loader = loader
        self._analytics = analytics
        self._evidence = evidence

    async def batch(self, who: Principal, request: BatchRequest, run_id: str | None = None) -> Registered:
        """Write a dataset with all columns of the input and the model's outputs, row by row in the same order.

        Raises:
            InvalidInput: inputs are missing and no column ``at`` was named, or an output's name is a column already.
            Refused: the model is in an unsafe format.
        """
        who.require(Role.developer)
        revision, model = await self._models.get(who, request.model)
        given, _ = await self._datasets.get(who, request.dataset)
        applied = await open_model(revision.ref, model, self._loader)
        try:
            frame, manifest = await self._with_inputs(who, request, applied, model, run_id)
            answers = join(await self._over(revision, applied, manifest, applied.answers))
        finally:
            await applied.aclose()
        if not answers:
            raise InvalidInput(f"{frame.ref} has no rows to predict. Give a dataset with rows.")
        for name in answers:
            if manifest.column(request.prefix + name) is not None:
                raise InvalidInput(
                    f"The dataset has a column {request.prefix + name!r}, which the model answers. Give a prefix for the answers."
                )
        parts = await self._datasets.parts(manifest)

        def build(session: Session, path: Path) -> None:
            session.attach("answers", {request.prefix + name: values for name, values in answers.items()})
            session.write_parquet(
                f"SELECT d.* EXCLUDE ({sql.ROW}), answers.* FROM ({sql.scan(parts)}) d"
                f" POSITIONAL JOIN answers ORDER BY d.{sql.ROW}",
                path,
            )

        parents = [Parent("model", revision.digest), Parent("rows", frame.digest)]
        if given.digest != frame.digest:
            parents.append(Parent("rows", given.digest))
        return await self._datasets.write(
            who,
            request.name,
            build,
            source={"made_by": "batch prediction", "model": revision.ref, "rows": given.ref},
            parents=parents,
            time_column=manifest.time_column,
            run_id=run_id,
        )

    async def evaluate(self, who: Principal, request: EvaluationRequest) -> Evidence:
        """Score a model, and record what was found, with intervals, as evidence about it.

        Raises:
            InvalidInput: not a binary model, no boolean label, too few rows, an input or slice column that is missing.
            Refused: a model is in an unsafe format.
        """
        who.require(Role.developer)
        dataset, manifest = await self._datasets.get(who, request.dataset)
        revision, model = await self._models.get(who, request.model)
        labels, groups = await self._labels(manifest, request)
        scores, threshold = await self._chances(revision, model, manifest)
        against = None
        baseline: Revision | None = None
        thresholds = (threshold, threshold)
        if request.baseline is not None:
            baseline, other = await self._models.get(who, request.baseline)
            against, threshold = await self._chances(baseline, other, manifest)
            thresholds = (thresholds[0], threshold)
        estimates, slices = await asyncio.to_thread(_estimate, request, scores, against, labels, groups, thresholds)
        draft = EvidenceDraft(
            subject=revision.digest,
            dataset=dataset.digest,
            baseline=baseline.digest if baseline else None,
            estimates=estimates,
            slices=slices,
            note=request.note,
        )
        return await self._evidence.record(who, draft)

    async def _with_inputs(
        self, who: Principal, request: BatchRequest, applied: Applied, model: AnyModel, run_id: str | None
    ) -> tuple[Revision, DatasetManifest]:
        frame, manifest = await self._datasets.get(who, request.dataset)
        missing = [name for name in applied.inputs if manifest.column(name) is None]
        if not missing:
            return frame, manifest
        if request.at is None or not model.views:
            raise InvalidInput(
                f"The dataset has no column {missing[0]!r}. Add it, or name the time column as 'at', so that the model's "
                "feature views can be joined."
            )
        joined = await self._features.join(
            who, f"{request.name}.inputs", frame.digest, model.views, request.at, run_id=run_id
        )
        return await self._datasets.get(who, joined.revision.digest)

    async def _chances(
        self, revision: Revision, model: AnyModel, manifest: DatasetManifest
    ) -> tuple[NDArray[np.float64], float]:
        """The probability of true for every row of the dataset, in its order, and the model's threshold."""
        import numpy as np

        applied = await open_model(revision.ref, model, self._loader)
        try:
            found = await self._over(revision, applied, manifest, applied.chances)
        finally:
            await applied.aclose()
        return np.concatenate(found) if found else np.zeros(0), applied.threshold

    async def _over(
        self, revision: Revision, applied: Applied, manifest: DatasetManifest, work: Callable[[Arrays, int], T]
    ) -> list[T]:
        """``work`` on the model's inputs, chunk by chunk in the dataset's order."""
        for name in applied.inputs:
            if manifest.column(name) is None:
                raise InvalidInput(
                    f"The dataset has no column {name!r}, an input of {revision.ref}. Join its feature views."
                )
        parts = await self._datasets.parts(manifest)
        columns = ", ".join([_cell(manifest, name) for name in applied.inputs] + [sql.ROW])

        def run(session: Session) -> list[T]:
            found = []
            for start in range(0, manifest.rows, applied.chunk):
                page = f"{sql.ROW} >= {start} AND {sql.ROW} < {start + applied.chunk}"
                query = f"SELECT {columns} FROM ({sql.scan(parts)}) WHERE {page} ORDER BY {sql.ROW}"
                values = session.columns(query)
                found.append(work(values, len(values[sql.ROW])))
            return found

        return await self._analytics.run(run)

    async def _labels(
        self, manifest: DatasetManifest, request: EvaluationRequest
    ) -> tuple[NDArray[np.generic], Mapping[str, NDArray[np.generic]]]:
        label = manifest.column(request.label)
        if label is None or label.type != "bool":
            raise InvalidInput(f"The dataset needs a boolean column {request.label!r} with the labels.")
        if len(request.slices) > _SLICES or len(set(request.slices)) < len(request.slices):
            raise InvalidInput(f"Give {_SLICES} columns to slice by at most, each once.")
        for name in request.slices:
            if manifest.column(name) is None:
                raise InvalidInput(f"The dataset has no column {name!r} to slice by.")
        parts = await self._datasets.parts(manifest)
        slices = "".join(f", {_text_cell(name)}" for name in request.slices)
        query = f"SELECT {sql.name(request.label)} AS __label{slices} FROM ({sql.scan(parts)}) ORDER BY {sql.ROW}"
        found = await self._analytics.run(lambda session: session.columns(query))
        return found.pop("__label"), found


def _estimate(
    request: EvaluationRequest,
    scores: NDArray[np.float64],
    against: NDArray[np.float64] | None,
    labels: NDArray[np.generic],
    groups: Mapping[str, NDArray[np.generic]],
    thresholds: tuple[float, float],
) -> tuple[tuple[Estimate, ...], tuple[Slice, ...]]:
    """All estimates; rows without a label are left out everywhere."""
    import numpy as np

    from twinloop.control.evaluation import metrics

    known = np.array([value is not None for value in labels.tolist()], dtype=np.bool_)
    truth = labels[known].astype(np.bool_)
    mine = scores[known]
    theirs = None if against is None else against[known]

    def estimate(rows: NDArray[np.intp]) -> tuple[Estimate, ...]:
        found = metrics.binary(
            mine[rows],
            truth[rows],
            metrics=request.metrics or metrics.BINARY,
            threshold=thresholds[0],
            level=request.level,
        )
        if theirs is None:
            return found
        paired = metrics.binary_against(
            mine[rows], theirs[rows], truth[rows], thresholds=thresholds, level=request.level
        )
        return found + paired

    overall = estimate(np.arange(len(truth), dtype=np.intp))
    min_rows = max(20, request.min_rows)
    parts = [
        part
        for name, values in groups.items()
        for part in metrics.slices(name, values[known].tolist(), estimate, min_rows)
    ]
    return overall, tuple(parts)


def _cell(manifest: DatasetManifest, name: str) -> str:
    column = manifest.column(name)
    quoted = sql.name(name)
    # Categories are text in the model, whatever the column's type; numbers and booleans stay what they are.
    return (
        quoted if column and column.type in ("int64", "float64", "bool", "string") else f"{quoted}::VARCHAR AS {quoted}"
    )


def _text_cell(name: str) -> str:
    return f"{sql.name(name)}::VARCHAR AS {sql.name(name)}"
