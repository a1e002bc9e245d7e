"""From a folder of documents to an index with evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import twinloop as tl

# The embedder was trained on texts of 128 tokens, and finds a chunk of that length more surely than a longer one: over
# these documents known_item_recall_at_5 is 0.84 and 0.81 (seeds 0 and 1), and 0.74 and 0.81 with chunks of 200 tokens.
CHUNK = {"max_tokens": 128, "overlap_tokens": 20}
DOCS = Path(__file__).parent.parent.parent / "docs"


@tl.step(cache=False)
def read(folder: str) -> dict[str, Any]:
    """Take in every document of the folder; what lies in a folder can change without this code changing."""
    return tl.current().documents.ingest("handbook", folder)


@tl.step
def build(documents: list[str], embedder: str) -> dict[str, Any]:
    """Cut, embed and index; text the last index holds already is not embedded again."""
    return tl.current().indexes.build("handbook", documents, embedder, **CHUNK)


@tl.step
def measure(index: str) -> dict[str, Any]:
    """Does the index find what it holds?"""
    return tl.current().indexes.evaluate(index)


@tl.pipeline
def handbook(folder: str = str(DOCS), embedder: str = "embedder/minilm") -> dict[str, Any]:
    """Read, index and measure a folder of documents."""
    found = read(folder)
    made = build(found["documents"], embedder)
    return {"documents": found, "index": made, "evidence": measure(made["index"])}
