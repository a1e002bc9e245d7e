"""From which cosine on should a question be answered? Run: python examples/handbook/calibration/calibrate.py

The documents (``ferry/``) and questions were written for this and share nothing with the demo's. ``near`` questions are
about the subject of the documents, ``far`` ones are not; the documents answer neither.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from twinloop.backends.embedders import Embedders
from twinloop.backends.exact_vectors import ExactVectorEngine
from twinloop.backends.parsing import ProcessParser
from twinloop.core.digests import digest_bytes
from twinloop.llm.documents.chunks import Chunker, split
from twinloop.llm.documents.model import MEDIA_TYPES
from twinloop.llm.documents.reading import passage
from twinloop.llm.embeddings.ports import Embedder
from twinloop.llm.retrieval.excerpts import Excerpts
from twinloop.llm.retrieval.model import IndexedChunk, IndexedDocument, Retrieved

HERE = Path(__file__).parent
WEIGHTS = Path.home() / ".cache" / "twinloop"
K = 6
CHUNKER = Chunker(max_tokens=128, overlap_tokens=20)


async def read(embedder: Embedder) -> list[Retrieved]:
    """Every chunk of the documents, with a score of 0."""
    parser = ProcessParser()
    found = []
    for file in sorted((HERE / "ferry").iterdir()):
        parsed = await parser.parse(file, MEDIA_TYPES[file.suffix], file.name)
        digest = digest_bytes(file.read_bytes())
        for chunk in split(parsed.text, parsed.headings, CHUNKER, embedder.count_tokens):
            text = parsed.text[chunk.start : chunk.end]
            key = digest_bytes(passage(chunk.heading, text).encode())
            held = IndexedChunk(0, chunk.start, chunk.end, chunk.heading, text, key)
            found.append(Retrieved(held, IndexedDocument(file.name, digest, parsed.title), 0.0))
    await parser.aclose()
    return found


async def main() -> None:
    embedder = await Embedders(WEIGHTS).open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    chunks = await read(embedder)
    engine = ExactVectorEngine()
    vectors = await embedder.embed([passage(each.chunk.heading, each.chunk.text) for each in chunks])
    key = digest_bytes(b"ferry")
    await engine.create(key, vectors, [str(row) for row in range(len(chunks))])
    excerpts = Excerpts(embedder)
    questions = json.loads((HERE / "questions.json").read_text())
    scores: dict[str, list[float]] = {}
    right = 0
    for kind, asked in questions.items():
        for item in asked:
            question = item["question"] if kind == "answerable" else item
            hits = await engine.search(key, (await embedder.embed([question]))[0], K)
            ranked = await excerpts.rank(question, [chunks[int(hit.id)] for hit in hits])
            scores.setdefault(kind, []).append(max(hits[0].score, *(each.cosine for each in ranked)))
            right += kind == "answerable" and item["expect"] in ranked[0].text
    print(f"best sentence holds the answer: {right} of {len(questions['answerable'])}")
    print("min_score  answered  near declined  far declined")
    for step in range(30, 61, 3):
        least = step / 100
        answered = sum(score >= least for score in scores["answerable"])
        declined = [sum(score < least for score in scores[kind]) for kind in ("near", "far")]
        sizes = [len(scores[kind]) for kind in ("answerable", "near", "far")]
        print(f"{least:9.2f}  {answered:5}/{sizes[0]}  {declined[0]:10}/{sizes[1]}  {declined[1]:9}/{sizes[2]}")
    await embedder.aclose()


if __name__ == "__main__":
    asyncio.run(main())
