from __future__ import annotations

import numpy as np
import pytest

from tests.unit.llm.lane import WHO, Lane, recording
from twinloop.control.releases.answers import SearchAnswer, SearchRequest
from twinloop.core.errors import InvalidInput, Refused
from twinloop.llm.documents.chunks import Chunker
from twinloop.llm.retrieval.endpoint import SearchEndpoint
from twinloop.llm.retrieval.evaluation import METRIC, simulated_queries
from twinloop.llm.retrieval.retriever import open_retriever
from twinloop.llm.retrieval.table import read_table

HARBOUR = "# Harbour\n\nThe harbour opens at six.\n\n# Boats\n\nRed boats sail on Monday.\n"
KITCHEN = "# Kitchen\n\nSoup is cooked at noon.\n"


async def test_an_index_holds_every_chunk_with_its_exact_text_and_vector(lane: Lane) -> None:
    done = await lane.ingest("docs", {"h.md": HARBOUR, "k.md": KITCHEN})
    built = await lane.build("docs", done.documents)
    revision = await lane.registry.get(WHO, built.index)
    table = read_table(await lane.blobs.local_path(revision.manifest["files"]["chunks.parquet"]["digest"]))
    assert [(chunk.document, chunk.heading, chunk.text) for chunk in table.chunks] == [
        (0, ("Harbour",), "The harbour opens at six."),
        (0, ("Boats",), "Red boats sail on Monday."),
        (1, ("Kitchen",), "Soup is cooked at noon."),
    ]
    assert [HARBOUR[chunk.start : chunk.end] for chunk in table.chunks[:2]] == [c.text for c in table.chunks[:2]]
    assert np.allclose(np.linalg.norm(table.vectors, axis=1), 1)
    assert [(parent.role) for parent in revision.parents] == ["contains", "contains", "embedder"]


async def test_building_again_embeds_only_text_that_is_new(lane: Lane) -> None:
    first = await lane.build("docs", (await lane.ingest("docs", {"h.md": HARBOUR, "k.md": KITCHEN})).documents)
    assert (first.embedded, first.reused, first.removed) == (3, 0, 0)
    lane.embedders.engine.embedded.clear()
    changed = HARBOUR.replace("six", "seven")
    second = await lane.build("docs", (await lane.ingest("docs", {"h.md": changed, "k.md": KITCHEN})).documents)
    assert (second.embedded, second.reused, second.removed) == (1, 2, 1)
    assert lane.embedders.engine.embedded == ["Harbour\nThe harbour opens at seven."]
    assert second.index == "index/docs@2"


async def test_building_the_same_again_makes_no_new_revision(lane: Lane) -> None:
    done = await lane.ingest("docs", {"h.md": HARBOUR})
    first, second = await lane.build("docs", done.documents), await lane.build("docs", done.documents)
    assert (second.index, second.created, second.reused) == (first.index, False, 2)


async def test_vectors_of_another_embedder_are_not_reused(lane: Lane) -> None:
    done = await lane.ingest("docs", {"h.md": HARBOUR})
    await lane.build("docs", done.documents)
    lane.embedders.engine.digest = "sha256:" + "1" * 64
    assert (await lane.build("docs", done.documents)).embedded == 2


async def test_an_index_of_another_vector_space_is_not_opened(lane: Lane) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"h.md": HARBOUR})).documents)
    lane.embedders.engine.digest = "sha256:" + "1" * 64
    revision = await lane.registry.get(WHO, built.index)
    required = await lane.registry.closure(WHO, [revision])
    opened = lane.embedders.engine.open
    with pytest.raises(Refused, match="Build the index again"):
        await open_retriever(revision, required, lane.opened, lane.embedders)
    assert lane.embedders.engine.open == opened
    assert not await lane.engine.exists(built.digest)


async def test_wrong_documents_and_chunkers_are_refused(lane: Lane) -> None:
    done = await lane.ingest("docs", {"h.md": HARBOUR})
    embedder = await lane.embedder()
    with pytest.raises(InvalidInput, match="at least one document"):
        await lane.indexes.build(WHO, "docs", [], embedder)
    with pytest.raises(InvalidInput, match="each once"):
        await lane.indexes.build(WHO, "docs", [*done.documents, *done.documents], embedder)
    with pytest.raises(InvalidInput, match="not of the kind document"):
        await lane.indexes.build(WHO, "docs", [embedder], embedder)
    with pytest.raises(InvalidInput, match="reads 256 tokens"):
        await lane.indexes.build(WHO, "docs", done.documents, embedder, Chunker(300, 0))


async def test_releases_of_one_index_share_it_and_the_last_gives_it_back(lane: Lane) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"h.md": HARBOUR})).documents)
    revision = await lane.registry.get(WHO, built.index)
    first, second = await lane.opened.open(revision), await lane.opened.open(revision)
    await first.aclose()
    assert await lane.engine.exists(built.digest)
    await second.aclose()
    assert not await lane.engine.exists(built.digest)


async def test_a_search_endpoint_finds_chunks_and_links_the_trace_to_their_documents(lane: Lane) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"h.md": HARBOUR, "k.md": KITCHEN})).documents)
    endpoint = SearchEndpoint(lane.opened, lane.embedders)
    pins = {"index": await lane.registry.get(WHO, built.index)}
    target = await endpoint.activate("default", pins, await lane.registry.closure(WHO, pins.values()))
    recorder, span = recording()
    answer = await target.answer(SearchRequest("when is soup cooked", 2), span)
    assert isinstance(answer, SearchAnswer)
    hit = answer.hits[0]
    assert (hit.document, hit.quote) == ("document/docs/k.md@1", "Soup is cooked at noon.")
    assert KITCHEN[hit.start : hit.end] == hit.quote
    assert len(answer.hits) == 2
    assert next((link.role, link.via["name"]) for link in recorder.links if link.via) == (
        "retrieved",
        "docs/k.md#Kitchen",
    )
    assert recorder.spans[0].attributes["gen_ai.operation.name"] == "retrieval"
    with pytest.raises(InvalidInput, match="k between"):
        await target.answer(SearchRequest("x", 0), span)
    await target.aclose()


async def test_evaluating_an_index_records_its_recall_with_an_interval(lane: Lane) -> None:
    words = ("amber", "birch", "cedar", "delta", "ember", "flint", "grove")
    texts = {f"{n}.md": " ".join(f"{word}{n}" for word in words) for n in range(12)}
    built = await lane.build("docs", (await lane.ingest("docs", texts)).documents)
    evidence = await lane.evaluation.evaluate(WHO, built.index)
    estimate = evidence.estimates[0]
    assert (estimate.metric, estimate.n, estimate.method) == (METRIC, 12, "wilson")
    assert estimate.low < estimate.value <= 1
    assert [kept.id for kept in await lane.evidence.list(WHO, built.index)] == [evidence.id]


async def test_simulated_queries_are_words_of_their_chunk_and_repeatable(lane: Lane) -> None:
    text = "red blue green white black grey brown pink cyan gold cat dog"
    built = await lane.build("docs", (await lane.ingest("docs", {"h.md": text})).documents)
    index = await lane.opened.open(await lane.registry.get(WHO, built.index))
    queries = simulated_queries(index.chunks, seed=3)
    assert queries == simulated_queries(index.chunks, seed=3)
    assert len(queries[0].text.split()) == 6
    assert set(queries[0].text.split()) <= set(index.chunks[0].text.split())
    await index.aclose()


async def test_vectors_leave_the_engine_with_the_last_release_but_stay_when_the_process_ends(lane: Lane) -> None:
    built = await lane.build("docs", (await lane.ingest("docs", {"h.md": HARBOUR})).documents)
    revision = await lane.registry.get(WHO, built.index)
    first, second = await lane.opened.open(revision), await lane.opened.open(revision)
    await first.aclose()
    assert await lane.opened.engine.exists(revision.digest)
    await second.aclose()
    assert not await lane.opened.engine.exists(revision.digest)
    last = await lane.opened.open(revision)
    lane.opened.leave()
    await last.aclose()
    assert await lane.opened.engine.exists(revision.digest)
