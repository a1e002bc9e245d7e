"""/api/v1/documents and /api/v1/indexes: take documents in, build and measure indexes."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from starlette.routing import Route

from twinloop.llm.documents.chunks import Chunker
from twinloop.llm.documents.model import Ingested, SourceFile
from twinloop.llm.documents.service import Documents
from twinloop.llm.retrieval.evaluation import IndexEvaluation
from twinloop.llm.retrieval.model import Built
from twinloop.llm.retrieval.service import Indexes
from twinloop.protocols.http import Call, route
from twinloop.protocols.native import encode, wire
from twinloop.protocols.native.errors import NATIVE


class IngestRequest(msgspec.Struct, frozen=True):
    """``files`` name blobs that are there already."""

    corpus: str
    files: tuple[SourceFile, ...]


class BuildRequest(msgspec.Struct, frozen=True):
    name: str
    documents: Annotated[tuple[str, ...], msgspec.Meta(max_length=10_000)]
    embedder: str
    chunker: Chunker = Chunker()
    run_id: str | None = None


class EvaluateRequest(msgspec.Struct, frozen=True):
    index: str
    seed: int = 0


class DocumentText(TypedDict):
    text: str


def routes(documents: Documents, indexes: Indexes, evaluation: IndexEvaluation) -> list[Route]:
    async def ingest(call: Call, body: IngestRequest) -> Ingested:
        """Read files into document revisions; what cannot be read is refused with a reason."""
        return await documents.ingest(call.who, body.corpus, body.files)

    async def text(call: Call) -> DocumentText:
        """The text of a document, into which citations point."""
        return {"text": await documents.text(call.who, call.path["ref"])}

    async def build(call: Call, body: BuildRequest) -> Built:
        """Build an index revision over documents; only text that is new is embedded."""
        return await indexes.build(call.who, body.name, body.documents, body.embedder, body.chunker, body.run_id)

    async def evaluate(call: Call, body: EvaluateRequest) -> wire.Evidence:
        """Record as evidence how often the index finds what it holds."""
        return encode.evidence(await evaluation.evaluate(call.who, body.index, body.seed))

    return [
        route(NATIVE, "POST", "/api/v1/documents", ingest, body=IngestRequest, answer=Ingested),
        route(NATIVE, "GET", "/api/v1/documents/{ref:path}/text", text, answer=DocumentText),
        route(NATIVE, "POST", "/api/v1/indexes", build, body=BuildRequest, answer=Built),
        route(NATIVE, "POST", "/api/v1/indexes/evaluate", evaluate, body=EvaluateRequest, answer=wire.Evidence),
    ]
