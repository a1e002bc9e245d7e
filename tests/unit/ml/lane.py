"""The ML lane put together on a fresh store, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from twinloop.backends.child_models.process import SkopsEngine
from twinloop.backends.duckdb_analytics import DuckAnalytics
from twinloop.backends.lightgbm_models import LightgbmEngine
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.memory import MemoryOnlineStore
from twinloop.backends.onnx_models import OnnxEngine
from twinloop.backends.onnx_packages import OnnxPackages
from twinloop.backends.sqlite import open_store
from twinloop.backends.xgboost_models import XgboostEngine
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.evaluation.service import EvidenceBook
from twinloop.control.registry.model import Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.store.ports import Blobs, Store
from twinloop.ml.data.model import DatasetKind, FileInput
from twinloop.ml.data.service import Datasets
from twinloop.ml.deployment.endpoint import PredictEndpoint
from twinloop.ml.deployment.loading import Loader
from twinloop.ml.features.kind import FeatureViewKind
from twinloop.ml.features.service import Features
from twinloop.ml.prediction.service import Predictions
from twinloop.ml.training.kind import ModelKind
from twinloop.ml.training.service import Models
from twinloop.sdk import tables

ME = LOCAL_ADMIN
START = datetime(2013, 1, 1)


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def micros(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000)


class Lane(NamedTuple):
    store: Store
    blobs: Blobs
    registry: Registry
    analytics: DuckAnalytics
    online: MemoryOnlineStore
    datasets: Datasets
    features: Features
    models: Models
    loader: Loader
    endpoint: PredictEndpoint
    evidence: EvidenceBook
    predictions: Predictions
    artifacts: Artifacts

    async def upload(self, content: bytes) -> str:
        async def chunks() -> Any:
            yield content

        return (await self.blobs.put(chunks())).digest

    async def snapshot(self, name: str, table: Any, **options: Any) -> Revision:
        digest = await self.upload(tables.parquet_bytes(tables.arrow(table)))
        done = await self.datasets.snapshot(ME, name, [FileInput("part-0.parquet", digest)], **options)
        return done.revision

    async def rows(self, ref: str) -> list[dict[str, Any]]:
        return (await self.datasets.rows(ME, ref, 1000)).rows


def open_lane(home: Path) -> Lane:
    store = open_store(home / "twinloop.db")
    blobs = LocalBlobs(home / "blobs")
    registry = Registry(store, [DatasetKind(), FeatureViewKind(), ModelKind()])
    analytics = DuckAnalytics(home / "scratch", threads=1)
    online = MemoryOnlineStore(store)
    datasets = Datasets(registry, blobs, analytics)
    features = Features(registry, datasets, analytics, online)
    models = Models(registry, blobs, datasets, features)
    xgboost = XgboostEngine()
    loader = Loader(blobs, [xgboost, OnnxEngine()], [xgboost, OnnxPackages(), LightgbmEngine(), SkopsEngine()])
    evidence = EvidenceBook(store, registry)
    predictions = Predictions(models, datasets, features, loader, analytics, evidence)
    endpoint = PredictEndpoint(loader, online)
    return Lane(
        store,
        blobs,
        registry,
        analytics,
        online,
        datasets,
        features,
        models,
        loader,
        endpoint,
        evidence,
        predictions,
        Artifacts(store, blobs),
    )


def table(rows: list[dict[str, Any]], **types: pa.DataType) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))
