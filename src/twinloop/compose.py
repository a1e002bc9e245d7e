"""Settings → App: the only place that chooses backends, puts services together and wires events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from twinloop.backends.duckdb_analytics import DuckAnalytics
from twinloop.backends.embedders import Embedders
from twinloop.backends.generators import Generators
from twinloop.backends.home import Home
from twinloop.backends.lazy_vectors import LazyVectors
from twinloop.backends.loading import open_backend
from twinloop.backends.memory import MemoryOnlineStore
from twinloop.backends.onnx_models import OnnxEngine
from twinloop.backends.parsing.process import ProcessParser
from twinloop.backends.prometheus import PrometheusObserver
from twinloop.backends.spool import FileSpool
from twinloop.backends.xgboost_models import XgboostEngine
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.evaluation.service import EvidenceBook
from twinloop.control.gateway.service import Gateway
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.lineage import repository as lineage_repository
from twinloop.control.lineage.model import Link, Node
from twinloop.control.lineage.service import Lineage
from twinloop.control.pipelines.service import Pipelines
from twinloop.control.registry.ports import Kind
from twinloop.control.registry.service import Registry
from twinloop.control.releases import traffic as transitions
from twinloop.control.releases.declaration import DeclaredEndpointKind
from twinloop.control.releases.kind import ReleaseKind
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import EndpointType, Target
from twinloop.control.releases.service import Releases
from twinloop.control.security.model import Principal, Role
from twinloop.control.security.service import Keys
from twinloop.control.store.ports import Blobs, Store
from twinloop.control.tracing.model import Trace
from twinloop.control.tracing.service import Tracing
from twinloop.control.tracking.service import Tracking
from twinloop.core.clock import Clock, SystemClock, iso
from twinloop.core.errors import TwinloopError
from twinloop.core.events import Bus
from twinloop.core.settings import Settings
from twinloop.llm.documents.kind import DocumentKind
from twinloop.llm.documents.service import Documents
from twinloop.llm.embeddings.endpoint import EmbedEndpoint
from twinloop.llm.embeddings.kind import EmbedderKind
from twinloop.llm.generation.endpoint import ChatEndpoint
from twinloop.llm.generation.kind import GeneratorKind
from twinloop.llm.prompts.kind import PromptKind
from twinloop.llm.retrieval.endpoint import SearchEndpoint
from twinloop.llm.retrieval.evaluation import IndexEvaluation
from twinloop.llm.retrieval.kind import IndexKind
from twinloop.llm.retrieval.opened import OpenIndexes
from twinloop.llm.retrieval.service import Indexes
from twinloop.ml.data.model import DatasetKind
from twinloop.ml.data.service import Datasets
from twinloop.ml.deployment.endpoint import PredictEndpoint
from twinloop.ml.deployment.loading import Loader
from twinloop.ml.features.kind import FeatureViewKind
from twinloop.ml.features.service import Features
from twinloop.ml.prediction.service import Predictions
from twinloop.ml.training.kind import ModelKind
from twinloop.ml.training.service import Models
from twinloop.version import __version__

log = logging.getLogger("twinloop.compose")


@dataclass
class Engines:
    """What both lanes compute with. Engines start when they are first needed."""

    analytics: DuckAnalytics
    online: MemoryOnlineStore
    loader: Loader
    embedders: Embedders
    generators: Generators
    vectors: LazyVectors
    parser: ProcessParser

    @classmethod
    def open(cls, settings: Settings, home: Home, store: Store, blobs: Blobs) -> Engines:
        def secret(name: str) -> str | None:
            return settings.secrets.get(name.lower())

        return cls(
            analytics=DuckAnalytics(home.path / "scratch"),
            online=MemoryOnlineStore(store),
            loader=Loader(blobs, [XgboostEngine(), OnnxEngine()]),
            embedders=Embedders(settings.weights, secret=secret),
            generators=Generators(settings.weights, secret=secret),
            vectors=LazyVectors(lambda: open_backend("vectors", settings.vectors, home.path)),
            parser=ProcessParser(),
        )

    async def aclose(self) -> None:
        await self.parser.aclose()
        await self.vectors.aclose()


@dataclass
class MlLane:
    """data → features → training → deployment → prediction."""

    datasets: Datasets
    features: Features
    models: Models
    predictions: Predictions
    types: list[EndpointType]

    @classmethod
    def build(cls, registry: Registry, blobs: Blobs, evidence: EvidenceBook, engines: Engines, clock: Clock) -> MlLane:
        analytics = engines.analytics
        datasets = Datasets(registry, blobs, analytics)
        features = Features(registry, datasets, analytics, engines.online, clock)
        models = Models(registry, blobs, datasets, features)
        predictions = Predictions(models, datasets, features, engines.loader, analytics, evidence)
        return cls(datasets, features, models, predictions, [PredictEndpoint(engines.loader, engines.online)])


@dataclass
class LlmLane:
    """documents → embeddings → retrieval → prompts → generation."""

    documents: Documents
    indexes: Indexes
    index_evaluation: IndexEvaluation
    opened: OpenIndexes
    types: list[EndpointType]

    @classmethod
    def build(cls, registry: Registry, blobs: Blobs, evidence: EvidenceBook, engines: Engines) -> LlmLane:
        opened = OpenIndexes(blobs, engines.vectors)
        embedders = engines.embedders
        return cls(
            documents=Documents(registry, blobs, engines.parser),
            indexes=Indexes(registry, blobs, embedders),
            index_evaluation=IndexEvaluation(registry, opened, embedders, evidence),
            opened=opened,
            types=[
                ChatEndpoint(engines.generators, opened, embedders),
                SearchEndpoint(opened, embedders),
                EmbedEndpoint(embedders),
            ],
        )


@dataclass
class App:
    """One running Twinloop: every service, ready for use. Close it once."""

    settings: Settings
    home: Home
    started_ns: int
    store: Store
    blobs: Blobs
    artifacts: Artifacts
    bus: Bus
    keys: Keys
    tracing: Tracing
    lineage: Lineage
    tracking: Tracking
    registry: Registry
    pipelines: Pipelines
    evidence: EvidenceBook
    releases: Releases
    gateway: Gateway
    ml: MlLane
    llm: LlmLane
    engines: Engines
    observer: PrometheusObserver
    table: VariantTable
    restored: asyncio.Event

    async def announce(self) -> None:
        """Make known which endpoints there are; until ``restore`` has loaded one, requests to it wait."""
        for tenant, traffic in await self.releases.everything():
            self.table.announce(tenant, traffic)

    async def restore(self) -> None:
        """Load what was live when the last process ended.

        An endpoint whose release cannot be loaded says why when asked, and does not keep the others from answering.
        """
        for tenant, traffic in await self.releases.everything():
            await self._restore_one(tenant, traffic)
        self.restored.set()

    async def _restore_one(self, tenant: str, traffic: Traffic) -> None:
        who = system(tenant)
        try:
            for number in transitions.loaded(traffic):
                await self.table.prepare(tenant, await self.releases.get(who, traffic.endpoint, number))
        except TwinloopError as error:
            log.error("The endpoint %s cannot be loaded: %s", traffic.endpoint, error.message)
            self.table.mark_broken(tenant, traffic, f"its release cannot be loaded: {error.message}")
        else:
            await self.table.switch(tenant, traffic)

    def facts(self) -> dict[str, Any]:
        """What this process is."""
        return {
            "version": __version__,
            "home": str(self.home.path.resolve()),
            "started_at": iso(self.started_ns),
            "engines": [
                {"name": name, "state": state, "detail": detail}
                for name, state, detail in self.engines.generators.states()
            ],
        }

    async def check(self) -> None:
        """Raise unless the store answers."""
        await self.store.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    async def aclose(self) -> None:
        """Let requests' traces reach the store, close engines, let go of the home."""
        self.llm.opened.leave()
        await self.gateway.aclose()
        await self.engines.aclose()
        await self.tracing.aclose()
        await self.store.aclose()
        self.home.release()


def system(tenant: str) -> Principal:
    """Twinloop itself, acting inside one tenant."""
    return Principal("twinloop", tenant, Role.admin)


async def open_app(settings: Settings) -> App:
    """Hold the home and put an App together.

    Raises:
        HomeHeld: another process has the home.
        InstallationError: the home, the database or a setting must be mended first; nothing was changed.
    """
    clock = SystemClock()
    home = Home(settings.home.absolute())  # child processes have another working directory
    home.hold(clock.now_ns())
    try:
        return await _put_together(settings, home, clock)
    except BaseException:
        home.release()
        raise


async def _put_together(settings: Settings, home: Home, clock: Clock) -> App:
    store: Store = open_backend("store", settings.store, home.path)
    blobs: Blobs = open_backend("blobs", settings.blobs, home.path)
    keys = Keys(store, clock)
    await keys.load()
    engines = Engines.open(settings, home, store, blobs)
    kinds: list[Kind] = [
        ReleaseKind(), DeclaredEndpointKind(), DatasetKind(), FeatureViewKind(), ModelKind(), DocumentKind(),
        EmbedderKind(engines.embedders), IndexKind(), PromptKind(), GeneratorKind(engines.generators),
    ]  # fmt: skip
    registry = Registry(store, kinds, clock)
    evidence = EvidenceBook(store, registry, clock)
    tracing = Tracing(store, write_trace_lineage, FileSpool(home.path / "spool"), clock)
    ml = MlLane.build(registry, blobs, evidence, engines, clock)
    llm = LlmLane.build(registry, blobs, evidence, engines)
    types = [*ml.types, *llm.types]
    table = VariantTable(Activation(registry, types))
    observer = PrometheusObserver()
    bus = Bus()
    app = App(
        settings=settings,
        home=home,
        started_ns=clock.now_ns(),
        store=store,
        blobs=blobs,
        artifacts=Artifacts(store, blobs, clock),
        bus=bus,
        keys=keys,
        tracing=tracing,
        lineage=Lineage(store),
        tracking=Tracking(store, clock),
        registry=registry,
        pipelines=Pipelines(store, registry, clock),
        evidence=evidence,
        releases=Releases(store, registry, types, evidence, table, bus, clock),
        gateway=Gateway(table, tracing, observer, settings.deadline_s),
        ml=ml,
        llm=llm,
        engines=engines,
        observer=observer,
        table=table,
        restored=asyncio.Event(),
    )
    await tracing.open()
    await app.announce()
    return app


class Activation:
    """Turns a release into a target: finds what it pins and lets its endpoint type load it."""

    def __init__(self, registry: Registry, types: Sequence[EndpointType]) -> None:
        self._registry = registry
        self._types = {kind.name: kind for kind in types}

    async def __call__(self, tenant: str, release: Release) -> Target:
        who = system(tenant)
        pins = {role: await self._registry.get(who, pin.digest) for role, pin in release.pins.items()}
        required = [await self._registry.get(who, pin.digest) for pin in release.required]
        return await self._types[release.type].activate(tenant, pins, required)


def write_trace_lineage(connection: Connection, tenant: str, traces: Sequence[Trace]) -> None:
    """Traces as nodes of the lineage graph, for those that used something."""
    found = [
        (
            Node(f"trace:{t.trace_id}", "trace", t.endpoint or t.name[:300], t.trace_id, None, t.start_ns),
            [Link(link.role, link.parent, link.via) for link in t.links],
        )
        for t in traces
        if t.links
    ]
    lineage_repository.add_many(connection, tenant, found, leaf=True)
