"""A gateway with endpoints written by a test, served on a real socket: what a protocol does, apart from any lane."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from twinloop.backends.spool import FileSpool
from twinloop.backends.sqlite import open_store
from twinloop.compose import write_trace_lineage
from twinloop.control.gateway.service import Gateway
from twinloop.control.gateway.variants import VariantTable
from twinloop.control.releases.answers import Answer, ChatDelta, EndpointKind, Request
from twinloop.control.releases.model import Release, Traffic
from twinloop.control.releases.ports import Target
from twinloop.control.security.model import DEFAULT_TENANT, LOCAL_ADMIN
from twinloop.control.tracing.model import SpanBuilder
from twinloop.control.tracing.service import Tracing
from twinloop.core.digests import digest_json


class Scripted:
    """A target that answers with what a function of the request gives; ``stopped`` counts streams closed early."""

    def __init__(
        self,
        kind: EndpointKind,
        answer: Callable[[Any], Answer] | None = None,
        stream: Callable[[Any], AsyncGenerator[ChatDelta, None]] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self._answer = answer
        self._stream = stream
        self._metadata = metadata or {}
        self.requests: list[Any] = []

    async def answer(self, request: Request, span: SpanBuilder) -> Answer:
        self.requests.append(request)
        assert self._answer is not None
        return self._answer(request)

    def stream(self, request: Request, span: SpanBuilder) -> AsyncIterator[ChatDelta]:
        self.requests.append(request)
        assert self._stream is not None
        return self._stream(request)

    def metadata(self) -> Mapping[str, Any]:
        return self._metadata

    async def aclose(self) -> None:
        return None


@contextmanager
def answering(folder: Path, targets: Mapping[str, Scripted], routes: Callable[[Gateway], list[Any]]) -> Iterator[str]:
    """Serve ``routes`` of a gateway whose endpoints are ``targets``; yields the base URL."""

    @asynccontextmanager
    async def life(application: Starlette) -> AsyncIterator[None]:
        store = open_store(folder / "twinloop.db")
        tracing = Tracing(store, write_trace_lineage, FileSpool(folder / "spool"))
        await tracing.open()
        table = VariantTable(_activate(targets))
        for name, target in targets.items():
            release = _release(name, target.kind)
            await table.prepare(DEFAULT_TENANT, release)
            await table.switch(DEFAULT_TENANT, Traffic(name, target.kind, live=1, updated_ns=1_700_000_000_000_000_000))
        gateway = Gateway(table, tracing)
        application.router.routes.extend(routes(gateway))
        yield
        await gateway.aclose()
        await tracing.aclose()
        await store.aclose()

    none: list[BaseRoute] = []
    application = Starlette(routes=none, lifespan=life)
    application.state.authenticate = lambda headers: LOCAL_ADMIN
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _activate(targets: Mapping[str, Scripted]) -> Callable[[str, Release], Any]:
    async def activate(tenant: str, release: Release) -> Target:
        return targets[release.endpoint]

    return activate


def _release(name: str, kind: EndpointKind) -> Release:
    return Release(
        endpoint=name,
        number=1,
        digest=digest_json(name),
        type=kind,
        pins={},
        required=(),
        gate=None,
        created_ns=0,
        created_by="test",
    )
