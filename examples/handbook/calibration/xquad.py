"""The same question on a set written by others: python examples/handbook/calibration/xquad.py xquad.en.json

XQuAD (Artetxe, Ruder and Yogatama 2020; CC BY-SA 4.0) has 1,190 questions over 240 paragraphs, each paragraph one chunk
here. A question counts as unanswerable ``near`` when its own paragraph is taken away and the others of its article stay,
``far`` when the whole article is taken away.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twinloop.backends.embedders import Embedders
from twinloop.core.digests import digest_bytes
from twinloop.llm.retrieval.excerpts import Excerpts
from twinloop.llm.retrieval.model import IndexedChunk, IndexedDocument, Retrieved

WEIGHTS = Path.home() / ".cache" / "twinloop"
K = 6


class Question(NamedTuple):
    text: str
    paragraph: int
    answer: str


class Set(NamedTuple):
    paragraphs: list[str]
    article: NDArray[np.int64]
    questions: list[Question]


def load(file: Path) -> Set:
    paragraphs: list[str] = []
    articles: list[int] = []
    questions: list[Question] = []
    for number, article in enumerate(json.loads(file.read_text())["data"]):
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                questions.append(Question(asked["question"], len(paragraphs), asked["answers"][0]["text"]))
            paragraphs.append(paragraph["context"])
            articles.append(number)
    return Set(paragraphs, np.array(articles), questions)


async def main(file: Path) -> None:
    found = load(file)
    embedder = await Embedders(WEIGHTS).open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    vectors = await embedder.embed(found.paragraphs)
    chunks = [_chunk(number, text) for number, text in enumerate(found.paragraphs)]
    asked = await embedder.embed([question.text for question in found.questions])
    excerpts = Excerpts(embedder)
    scores: dict[str, list[float]] = {"answerable": [], "near": [], "far": []}
    right = 0
    for question, vector in zip(found.questions, asked, strict=True):
        own = np.arange(len(chunks)) == question.paragraph
        without = {"answerable": own & False, "near": own, "far": found.article == found.article[question.paragraph]}
        for kind, away in without.items():
            cosines = np.where(away, -1, vectors @ vector)
            nearest = np.argsort(-cosines)[:K]
            ranked = await excerpts.rank(question.text, [chunks[row] for row in nearest])
            scores[kind].append(max(float(cosines.max()), *(each.cosine for each in ranked)))
            right += kind == "answerable" and question.answer in ranked[0].text
    await embedder.aclose()
    print(f"best sentence holds the answer: {right} of {len(found.questions)}")
    print("min_score  answered  near declined  far declined")
    for step in range(30, 61, 3):
        least = step / 100
        answered = np.mean(np.array(scores["answerable"]) >= least)
        near, far = (np.mean(np.array(scores[kind]) < least) for kind in ("near", "far"))
        print(f"{least:9.2f}  {answered:8.3f}  {near:13.3f}  {far:12.3f}")


def _chunk(number: int, text: str) -> Retrieved:
    digest = digest_bytes(text.encode())
    return Retrieved(IndexedChunk(0, 0, len(text), (), text, digest), IndexedDocument(f"p{number}", digest, ""), 0.0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
