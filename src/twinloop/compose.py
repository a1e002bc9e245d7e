"""Settings → App: the only place that chooses backends, puts services together and wires events."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from twinloop.backends.child_models.process import SkopsEngine
from twinloop.backends.duckdb_analytics import DuckAnalytics
from twinloop.backends.embedders import Embedders
from twinloop.backends.generators import Generators
from twinloop.backends.home import Home
from twinloop.backends.lazy_vectors import LazyVectors
from twinloop.backends.lightgbm_models import LightgbmEngine
from twinloop.backends.loading import open_backend
from twinloop.backends.memory import MemoryOnlineStore
from twinloop.backends.onnx_models import OnnxEngine
from twinloop.backends.onnx_packages import OnnxPackages
from twinloop.backends.parsing.process import ProcessParser
from twinloop.backends.prometheus import PrometheusObserver
from twinloop.backends.secret_files import FileSecrets
from twinloop.backends.spool import FileSpool
from twinloop.backends.webhook_http import HttpSender
from twinloop.backends.xgboost_models import XgboostEngine
from twinloop.control.artifacts.service import Artifacts
from twinloop.control.evaluation.datasets.service import EvaluationDatasets
from twinloop.control.evaluation.issues.service import Issues
from twinloop.control.evaluation.labels.service import LabelSchemas
from twinloop.control.evaluation.scorers.service import Scorers
from twinloop.control.evaluation.service import EvidenceBook
from twinloop.control.gateway.service import Gateway
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.lineage import repository as lineage_repository
from twinloop.control.lineage.model import Link, Node
from twinloop.control.lineage.service import Lineage
from twinloop.control.pipelines.service import Pipelines
from twinloop.control.registry import repository as registry_repository
from twinloop.control.registry.ledger import RegistryChanged
from twinloop.control.registry.ports import Kind
from twinloop.control.registry.service import Registry
from twinloop.control.releases import outbox as release_outbox
from twinloop.control.releases import repository as release_rows
from twinloop.control.releases import traffic as transitions
from twinloop.control.releases.declaration import DeclaredEndpointKind
from twinloop.control.releases.history import History
from twinloop.control.releases.kind import ReleaseKind
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import EndpointType, Target
from twinloop.control.releases.service import Releases, TrafficChanged
from twinloop.control.security.model import Principal, Role
from twinloop.control.security.service import Keys
from twinloop.control.store.ports import Blobs, Store
from twinloop.control.tracing.grammar import parse_filter as check_trace_filter
from twinloop.control.tracing.model import Trace
from twinloop.control.tracing.service import Tracing
from twinloop.control.tracking.replay.service import Replays
from twinloop.control.tracking.service import Tracking
from twinloop.control.transfer.imported import Imports
from twinloop.control.transfer.imported_traces import TraceImports
from twinloop.control.transfer.service import Transfer
from twinloop.control.webhooks import events as registry_outbox
from twinloop.control.webhooks.reach import Reach
from twinloop.control.webhooks.service import Webhooks
from twinloop.core.clock import Clock, SystemClock, iso
from twinloop.core.digests import Digest, is_digest
from twinloop.core.errors import TwinloopError
from twinloop.core.events import Bus
from twinloop.core.ids import Ref
from twinloop.core.settings import Settings
from twinloop.llm.documents.kind import DocumentKind
from twinloop.llm.documents.service import Documents
from twinloop.llm.embeddings.endpoint import EmbedEndpoint
from twinloop.llm.embeddings.kind import EmbedderKind
from twinloop.llm.generation.endpoint import ChatEndpoint
from twinloop.llm.generation.kind import GeneratorKind
from twinloop.llm.prompts.kind import PromptKind
from twinloop.llm.prompts.service import Prompts
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
from twinloop.protocols.mlflow import webhooks_events as mlflow_events
from twinloop.version import __version__

log = logging.getLogger("twinloop.compose")

SHELVES = {"prompt": "model"}
"""Models and prompts share one set of titles, as MLflow's clients expect."""


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

        xgboost = XgboostEngine()
        return cls(
            analytics=DuckAnalytics(home.path / "scratch"),
            online=MemoryOnlineStore(store),
            loader=Loader(blobs, [xgboost, OnnxEngine()], [xgboost, OnnxPackages(), LightgbmEngine(), SkopsEngine()]),
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
    prompts: Prompts
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
            prompts=Prompts(registry),
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
    replays: Replays
    registry: Registry
    pipelines: Pipelines
    evidence: EvidenceBook
    evaluation_datasets: EvaluationDatasets
    scorers: Scorers
    issues: Issues
    label_schemas: LabelSchemas
    releases: Releases
    history: History
    gateway: Gateway
    ml: MlLane
    llm: LlmLane
    engines: Engines
    observer: PrometheusObserver
    table: VariantTable
    webhooks: Webhooks
    transfer: Transfer
    imports: Imports
    imported_traces: TraceImports
    restored: asyncio.Event
    taking_up: set[asyncio.Task[None]] = field(default_factory=set)

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

    async def take_up(self, tenant: str, endpoints: Sequence[str]) -> None:
        """Let endpoints answer whose traffic has come in from another home; requests to them wait meanwhile."""
        for owner, traffic in await self.releases.everything():
            if owner == tenant and traffic.endpoint in endpoints:
                self.table.announce(owner, traffic)
                task = asyncio.create_task(
                    self._restore_one(owner, traffic), name=f"twinloop-take-up-{traffic.endpoint}"
                )
                self.taking_up.add(task)
                task.add_done_callback(self.taking_up.discard)

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
        for task in self.taking_up:
            task.cancel()
        await self.webhooks.aclose()
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
    bus = Bus()
    registry = Registry(store, kinds, clock, bus, SHELVES, release_rows.holds)
    evidence = EvidenceBook(store, registry, clock)
    tracking = Tracking(store, clock)
    tracing = Tracing(store, write_trace_lineage, FileSpool(home.path / "spool"), clock, tracking.experiments)
    ml = MlLane.build(registry, blobs, evidence, engines, clock)
    llm = LlmLane.build(registry, blobs, evidence, engines)
    types = [*ml.types, *llm.types]
    table = VariantTable(Activation(registry, types))
    observer = PrometheusObserver()
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
        tracking=tracking,
        replays=Replays(store, blobs, digest_of, clock),
        registry=registry,
        pipelines=Pipelines(store, registry, clock),
        evidence=evidence,
        evaluation_datasets=EvaluationDatasets(store, tracking.experiments, clock),
        scorers=Scorers(store, tracking.experiments, clock, check_filter=check_trace_filter),
        issues=Issues(store, tracking.experiments, clock),
        label_schemas=LabelSchemas(store, tracking.experiments, clock),
        releases=Releases(store, registry, types, evidence, table, bus, clock),
        history=History(store, registry),
        gateway=Gateway(table, tracing, observer, settings.deadline_s),
        ml=ml,
        llm=llm,
        engines=engines,
        observer=observer,
        table=table,
        webhooks=_webhooks(settings, home, store, bus, clock),
        transfer=Transfer(store, blobs, tracking.experiments, {kind.name: kind for kind in kinds}),
        imports=Imports(store, registry, {kind.name: kind for kind in kinds}),
        imported_traces=TraceImports(store, write_trace_lineage),
        restored=asyncio.Event(),
    )
    app.transfer.take_up = app.take_up
    await app.artifacts.uploads.sweep()
    await tracing.open()
    await app.announce()
    await app.webhooks.open()
    return app


def _webhooks(settings: Settings, home: Home, store: Store, bus: Bus, clock: Clock) -> Webhooks:
    """Webhooks over the histories of the registry and of releases, in Twinloop's words and in MLflow's."""
    webhooks = Webhooks(
        store,
        FileSecrets(home.path / "secrets"),
        HttpSender(Reach(settings.webhook_hosts, loopback=settings.loopback)),
        [
            registry_outbox.RegistryOutbox([registry_outbox.tell, mlflow_events.tell]),
            release_outbox.ReleaseOutbox(),
        ],
        {**registry_outbox.REGISTRY, **release_outbox.EXAMPLES, **mlflow_events.EXAMPLES},
        clock,
    )
    bus.subscribe(RegistryChanged, webhooks.follow)
    bus.subscribe(TrafficChanged, webhooks.follow)
    return webhooks


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


def digest_of(connection: Connection, tenant: str, ref: str) -> Digest | None:
    """The digest of the revision that ``ref`` means; None when there is none."""
    found = (
        registry_repository.by_digest(connection, tenant, Digest(ref))
        if is_digest(ref)
        else registry_repository.by_ref(connection, tenant, Ref.parse(ref))
    )
    return None if found is None else found.digest


def write_trace_lineage(connection: Connection, tenant: str, traces: Sequence[Trace]) -> None:
    """Traces as nodes of the lineage graph, for those that used something; one that is there gains what is new to it."""
    found = [
        (
            Node(f"trace:{t.trace_id}", "trace", t.endpoint or t.name[:300], t.trace_id, None, t.start_ns),
            [Link(link.role, link.parent, link.via) for link in t.links],
        )
        for t in traces
        if t.links
    ]
    known = lineage_repository.parents(connection, tenant, [node.key for node, _ in found])
    counts = Counter(row.child for row in known)
    there = {(row.child, row.role, row.parent) for row in known}
    lineage_repository.add_many(connection, tenant, [item for item in found if not counts[item[0].key]], leaf=True)
    for node, links in found:
        if counts[node.key]:
            fresh = [link for link in links if (node.key, link.role, link.parent) not in there]
            lineage_repository.add(connection, tenant, node, fresh, leaf=True, first=counts[node.key])
