"""The whole lane over a real store, with engines that need no weights."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twinloop.backends.exact_vectors import ExactVectorEngine
from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.parsing import ProcessParser
from twinloop.backends.sqlite import SqliteStore, open_store
from twinloop.control.evaluation.service import EvidenceBook
from twinloop.control.registry.service import Registry
from twinloop.control.releases.answers import ChatDelta, ChatRequest, Message
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracing.model import Recorder, SpanBuilder
from twinloop.core.digests import digest_bytes
from twinloop.core.ids import new_span_id, new_trace_id
from twinloop.llm.documents.kind import DocumentKind
from twinloop.llm.documents.model import Ingested, SourceFile
from twinloop.llm.documents.service import Documents
from twinloop.llm.embeddings.kind import EmbedderKind
from twinloop.llm.generation.endpoint import ChatEndpoint, ChatTarget
from twinloop.llm.generation.kind import GeneratorKind
from twinloop.llm.generation.ports import Chunk, EngineDescription, GenerationOptions, Usage
from twinloop.llm.generation.ports import Message as EngineMessage
from twinloop.llm.prompts.kind import PromptKind
from twinloop.llm.prompts.model import Prompt
from twinloop.llm.retrieval.evaluation import IndexEvaluation
from twinloop.llm.retrieval.kind import IndexKind
from twinloop.llm.retrieval.opened import OpenIndexes
from twinloop.llm.retrieval.service import Indexes
from twinloop.llm.retrieval.words import content_words

WIDTH = 512
WHO = LOCAL_ADMIN


class WordEmbedder:
    """Vectors of hashed word stems: texts are as near as they share words."""

    dimensions = WIDTH
    digest = digest_bytes(b"words, 512")
    max_tokens = 256

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.open = 0

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        vectors = np.full((len(texts), WIDTH), 1e-4, np.float32)
        for row, text in enumerate(texts):
            for word in content_words(text):
                vectors[row, int(digest_bytes(word.encode())[7:15], 16) % WIDTH] += 1
        normed: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normed

    def count_tokens(self, text: str) -> int:
        return len(re.findall(r"\w+|[^\w\s]", text))

    async def aclose(self) -> None:
        self.open -= 1


class WordEmbedders:
    def __init__(self) -> None:
        self.engine = WordEmbedder()

    def validate(self, manifest: Mapping[str, Any]) -> None:
        return None

    async def open(self, manifest: Mapping[str, Any]) -> WordEmbedder:
        self.engine.open += 1
        return self.engine


class SayingEngine:
    """A generator that says what it is told to say, a few characters at a time."""

    def __init__(self) -> None:
        self.says = ""
        self.asked: list[Sequence[EngineMessage]] = []
        self.options: list[GenerationOptions] = []
        self.pieces = 0
        self.stopped = 0
        self.open = 0

    async def stream(
        self, messages: Sequence[EngineMessage], options: GenerationOptions = GenerationOptions()
    ) -> AsyncGenerator[Chunk, None]:
        self.asked.append(messages)
        self.options.append(options)
        try:
            for start in range(0, len(self.says), 5):
                self.pieces += 1
                yield Chunk(self.says[start : start + 5])
                await asyncio.sleep(0)
            yield Chunk("", "stop", Usage(40, self.pieces))
        except GeneratorExit:
            self.stopped += 1
            raise

    def describe(self) -> EngineDescription:
        return EngineDescription("saying", "parrot", 2048)

    async def aclose(self) -> None:
        self.open -= 1


class SayingEngines:
    def __init__(self) -> None:
        self.engine = SayingEngine()

    def validate(self, manifest: Mapping[str, Any]) -> None:
        return None

    async def open(self, manifest: Mapping[str, Any]) -> SayingEngine:
        self.engine.open += 1
        return self.engine


class Answered(NamedTuple):
    text: str
    deltas: list[ChatDelta]
    recorder: Recorder

    @property
    def citations(self) -> list[Any]:
        return [citation for delta in self.deltas for citation in delta.citations]


class Lane:
    """Everything the lane needs, in one folder. ``embedders`` and ``generators`` may be real ones."""

    def __init__(self, folder: Path, embedders: Any = None, generators: Any = None) -> None:
        self.embedders = embedders or WordEmbedders()
        self.generators = generators or SayingEngines()
        self.store: SqliteStore = open_store(folder / "twinloop.db")
        self.blobs = LocalBlobs(folder / "blobs")
        kinds = [
            DocumentKind(),
            IndexKind(),
            PromptKind(),
            EmbedderKind(self.embedders),
            GeneratorKind(self.generators),
        ]
        self.registry = Registry(self.store, kinds)
        self.parser = ProcessParser()
        self.documents = Documents(self.registry, self.blobs, self.parser)
        self.engine = ExactVectorEngine()
        self.opened = OpenIndexes(self.blobs, self.engine)
        self.indexes = Indexes(self.registry, self.blobs, self.embedders)
        self.evidence = EvidenceBook(self.store, self.registry)
        self.evaluation = IndexEvaluation(self.registry, self.opened, self.embedders, self.evidence)
        self.chat = ChatEndpoint(self.generators, self.opened, self.embedders)

    async def aclose(self) -> None:
        await self.parser.aclose()
        await self.store.aclose()

    async def ingest(self, corpus: str, files: Mapping[str, str | bytes]) -> Ingested:
        """Take files in by path and content."""
        stored = []
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            stored.append(SourceFile(path, (await self.blobs.put(_once(data))).digest))
        return await self.documents.ingest(WHO, corpus, stored)

    async def embedder(self, manifest: Mapping[str, Any] | None = None) -> str:
        made = await self.registry.register(WHO, "embedder", "e", manifest or {"engine": "words"})
        return made.revision.ref

    async def build(self, name: str, documents: Sequence[str]) -> Any:
        return await self.indexes.build(WHO, name, documents, await self.embedder())

    async def chat_target(
        self, prompt: Prompt | Mapping[str, Any], index: str | None, generator: Mapping[str, Any] | None = None
    ) -> ChatTarget:
        manifest = prompt.to_json() if isinstance(prompt, Prompt) else prompt
        refs = {
            "prompt": (await self.registry.register(WHO, "prompt", "p", manifest)).revision,
            "generator": (
                await self.registry.register(WHO, "generator", "g", generator or {"engine": "says"})
            ).revision,
        }
        if index is not None:
            refs["index"] = await self.registry.get(WHO, index)
        self.chat.check(refs)
        return await self.chat.activate("default", refs, await self.registry.closure(WHO, refs.values()))


async def ask(target: ChatTarget, *said: str) -> Answered:
    """Ask; ``said`` are messages of user and assistant in turn, the question last."""
    roles = ("user", "assistant")
    messages = tuple(Message(roles[place % 2], text) for place, text in enumerate(said))  # type: ignore[arg-type]
    recorder, span = recording()
    deltas = [delta async for delta in target.stream(ChatRequest(messages), span)]
    span.end()
    return Answered("".join(delta.text for delta in deltas), deltas, recorder)


def recording() -> tuple[Recorder, SpanBuilder]:
    ticks = iter(range(10**9))
    recorder = Recorder(new_trace_id(), lambda: next(ticks), new_span_id)
    return recorder, recorder.start("chat test")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
