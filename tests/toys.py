"""The smallest lane there can be: revisions of kind ``word`` and a chat endpoint that says the pinned word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twinloop.backends.spool import MemorySpool
from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.compose import Activation, write_trace_lineage
from twinloop.control.evaluation.model import Condition, Finding, GateResult
from twinloop.control.gateway.service import Gateway
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.registry.model import Revision
from twinloop.control.registry.service import Registry
from twinloop.control.releases.answers import Answer, ChatDelta, EmbedAnswer, Request, Usage
from twinloop.control.releases.kind import ReleaseKind
from twinloop.control.releases.model import ReleaseRequest
from twinloop.control.releases.repository import holds
from twinloop.control.releases.service import Releases
from twinloop.control.security.model import LOCAL_ADMIN, Principal
from twinloop.control.tracing.model import SpanBuilder
from twinloop.control.tracing.service import Tracing
from twinloop.core.clock import ManualClock
from twinloop.core.digests import Digest
from twinloop.core.errors import InvalidInput
from twinloop.core.events import Bus


class WordKind:
    """Manifest: {text, needs?: [digests], breaks?: bool}."""

    name = "word"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        if not isinstance(manifest.get("text"), str):
            raise InvalidInput("The field text must be text.")

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return [Digest(digest) for digest in manifest.get("needs", [])]


class WordTarget:
    """Says its word; the message "wait" holds it until ``go`` is set, "fail" makes it fail."""

    def __init__(self, revision: Revision, log: list[str]) -> None:
        self.revision = revision
        self.go = asyncio.Event()
        self.closed = False
        self._log = log

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        return EmbedAnswer([[1.0]], Usage(1, 0))

    async def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        text = request.messages[-1].content  # type: ignore[union-attr]
        if text == "fail":
            raise InvalidInput("asked to fail")
        span.link("cited", self.revision.digest, {"kind": "letter", "name": "first", "version": "0-1", "digest": "d"})
        yield ChatDelta(self.revision.manifest["text"])
        if text == "wait":
            await self.go.wait()
        yield ChatDelta(finish="stop", usage=Usage(1, 1))

    def metadata(self) -> Mapping[str, Any]:
        return {"inputs": [], "outputs": []}

    async def aclose(self) -> None:
        self.closed = True
        self._log.append(f"closed {self.revision.ref}")


class WordEndpoint:
    name = "chat"

    def __init__(self) -> None:
        self.log: list[str] = []
        self.targets: dict[str, WordTarget] = {}

    def check(self, pins: Mapping[str, Revision]) -> None:
        if set(pins) != {"word"}:
            raise InvalidInput("Pin exactly the role word.")

    def gate_subject(self, pins: Mapping[str, Revision]) -> Revision:
        return pins["word"]

    async def activate(self, tenant: str, pins: Mapping[str, Revision], required: Sequence[Revision]) -> WordTarget:
        word = pins["word"]
        if word.manifest.get("breaks"):
            raise InvalidInput("this word cannot be loaded")
        self.log.append(f"activated {word.ref}")
        target = self.targets[word.ref] = WordTarget(word, self.log)
        return target


class FixedGate:
    """Says ``verdict`` to every condition."""

    def __init__(self) -> None:
        self.verdict: Any = "pass"

    async def gate(self, who: Principal, subject: str, conditions: Sequence[Condition]) -> GateResult:
        findings = tuple(Finding(c, self.verdict, None, f"{c.metric} {self.verdict}") for c in conditions)
        return GateResult(self.verdict, findings, ())


class Toy(NamedTuple):
    store: SqliteStore
    registry: Registry
    releases: Releases
    gateway: Gateway
    table: VariantTable
    tracing: Tracing
    endpoint: WordEndpoint
    gate: FixedGate
    clock: ManualClock

    async def word(self, text: str, name: str = "hello", **more: Any) -> str:
        done = await self.registry.register(LOCAL_ADMIN, "word", name, {"text": text, **more})
        return done.revision.ref

    async def release(
        self, ref: str, stage: Any = "live", weight: float = 0.1, gate: tuple[Condition, ...] = ()
    ) -> str:
        request = ReleaseRequest("chat", {"word": ref}, stage=stage, weight=weight, gate=gate)
        return (await self.releases.release(LOCAL_ADMIN, "say", request)).release.ref

    async def aclose(self) -> None:
        await self.gateway.aclose()
        await self.tracing.aclose()
        await self.store.aclose()


async def open_toy(folder: Path) -> Toy:
    """Everything of control over a real SQLite file, with the toy lane."""
    clock = ManualClock()
    store = open_store(folder / "toy.db")
    registry = Registry(store, [ReleaseKind(), WordKind()], clock, holds=holds)
    endpoint, gate = WordEndpoint(), FixedGate()
    table = VariantTable(Activation(registry, [endpoint]))  # type: ignore[list-item]
    tracing = Tracing(store, write_trace_lineage, MemorySpool(), clock)
    releases = Releases(store, registry, [endpoint], gate, table, Bus(), clock)  # type: ignore[list-item]
    await tracing.open()
    return Toy(store, registry, releases, Gateway(table, tracing), table, tracing, endpoint, gate, clock)
