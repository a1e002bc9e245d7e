"""Every vector engine behaves alike: the contract of ``twinloop.llm.retrieval.ports.VectorEngine``."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twinloop.backends.exact_vectors import ExactVectorEngine
from twinloop.backends.qdrant.engine import QdrantVectorEngine
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import InvalidInput, NotFound, StorageCorrupt
from twinloop.llm.retrieval.ports import LabelFilter, VectorEngine

KEY = digest_bytes(b"an index")
OTHER = digest_bytes(b"another index")


@pytest.fixture(params=["exact", "qdrant"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorEngine]:
    opened: VectorEngine = ExactVectorEngine() if request.param == "exact" else QdrantVectorEngine(tmp_path / "indexes")
    yield opened
    await opened.aclose()


def directions(count: int, dimensions: int = 32, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def names(count: int) -> list[str]:
    return [f"chunk:{row}" for row in range(count)]


async def test_nearest_vectors_come_first_with_their_cosine(engine: VectorEngine) -> None:
    vectors = directions(500)
    await engine.create(KEY, vectors, names(500))
    query = directions(1, seed=7)[0]
    hits = await engine.search(KEY, query, 10)
    truth = vectors @ query
    assert [hit.id for hit in hits] == [f"chunk:{row}" for row in np.argsort(-truth)[:10]]
    assert [hit.score for hit in hits] == pytest.approx(np.sort(truth)[::-1][:10].tolist(), abs=1e-5)


async def test_vectors_of_any_length_are_compared_by_direction(engine: VectorEngine) -> None:
    await engine.create(KEY, np.array([[3, 0], [0, 0.1]], np.float32), ["long", "short"])
    (best,) = await engine.search(KEY, np.array([0, 50], np.float32), 1)
    assert best.id == "short"
    assert best.score == pytest.approx(1.0, abs=1e-6)


async def test_an_index_smaller_than_k_gives_all_it_has(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(3), names(3))
    assert len(await engine.search(KEY, directions(1)[0], 10)) == 3


async def test_an_empty_index_gives_nothing(engine: VectorEngine) -> None:
    await engine.create(KEY, np.empty((0, 32), np.float32), [])
    assert await engine.exists(KEY)
    assert await engine.search(KEY, directions(1)[0], 5) == []


async def test_a_filter_counts_only_vectors_with_an_allowed_label(engine: VectorEngine) -> None:
    vectors = directions(200)
    labels = [["public"] if row % 10 == 0 else ["secret"] for row in range(200)]
    await engine.create(KEY, vectors, names(200), labels)
    hits = await engine.search(KEY, vectors[1], 15, LabelFilter(any_of=("public", "unheard of")))
    assert len(hits) == 15
    assert all(int(hit.id.partition(":")[2]) % 10 == 0 for hit in hits)


async def test_a_filter_leaves_out_vectors_with_a_refused_label(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(4), names(4), [["a"], ["a", "b"], ["b"], []])
    query = directions(1)[0]
    assert {hit.id for hit in await engine.search(KEY, query, 4, LabelFilter(none_of=("b",)))} == {"chunk:0", "chunk:3"}
    both = LabelFilter(any_of=("a",), none_of=("b",))
    assert {hit.id for hit in await engine.search(KEY, query, 4, both)} == {"chunk:0"}


async def test_a_filter_that_allows_no_label_finds_nothing(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(4), names(4), [["a"]] * 4)
    assert await engine.search(KEY, directions(1)[0], 4, LabelFilter(any_of=())) == []


async def test_a_filter_for_a_label_finds_nothing_where_no_vector_has_labels(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(4), names(4))
    assert await engine.search(KEY, directions(1)[0], 4, LabelFilter(any_of=("a",))) == []


async def test_indexes_are_kept_apart(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(5), names(5))
    await engine.create(OTHER, directions(5, dimensions=8), [f"other:{row}" for row in range(5)])
    assert (await engine.search(KEY, directions(1)[0], 1))[0].id.startswith("chunk:")
    assert (await engine.search(OTHER, directions(1, dimensions=8)[0], 1))[0].id.startswith("other:")


async def test_creating_a_key_again_leaves_the_first_index(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(2), ["first:0", "first:1"])
    await engine.create(KEY, directions(3), names(3))
    assert {hit.id for hit in await engine.search(KEY, directions(1)[0], 5)} == {"first:0", "first:1"}


async def test_creating_a_key_twice_at_a_time_makes_one_index(engine: VectorEngine) -> None:
    await asyncio.gather(*(engine.create(KEY, directions(20), names(20)) for _ in range(3)))
    assert len(await engine.search(KEY, directions(1)[0], 100)) == 20


async def test_a_dropped_index_is_gone_and_may_be_built_again(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(2), names(2))
    await engine.search(KEY, directions(1)[0], 1)
    await engine.drop(KEY)
    await engine.drop(KEY)
    assert not await engine.exists(KEY)
    with pytest.raises(NotFound, match="Build it again"):
        await engine.search(KEY, directions(1)[0], 1)
    await engine.create(KEY, directions(3), names(3))
    assert len(await engine.search(KEY, directions(1)[0], 5)) == 3


@pytest.mark.parametrize(
    ("vectors", "ids", "labels"),
    [
        (np.ones((2, 3), np.float32), ["one"], None),
        (np.ones((2, 3), np.float32), ["same", "same"], None),
        (np.ones((2, 3), np.float32), ["a", "b"], [["x"]]),
        (np.zeros((1, 3), np.float32), ["a"], None),
        (np.full((1, 3), np.nan, np.float32), ["a"], None),
        (np.ones(3, np.float32), ["a", "b", "c"], None),
    ],
)
async def test_bad_vectors_are_refused_and_leave_no_index(
    engine: VectorEngine, vectors: NDArray[np.float32], ids: list[str], labels: list[list[str]] | None
) -> None:
    with pytest.raises(InvalidInput):
        await engine.create(KEY, vectors, ids, labels)
    assert not await engine.exists(KEY)


async def test_bad_queries_are_refused(engine: VectorEngine) -> None:
    await engine.create(KEY, directions(2), names(2))
    for vector, k in [(np.ones(3, np.float32), 1), (np.zeros(32, np.float32), 1), (directions(1)[0], 0)]:
        with pytest.raises(InvalidInput):
            await engine.search(KEY, vector, k)


async def test_a_key_that_is_a_path_is_refused(engine: VectorEngine) -> None:
    with pytest.raises(InvalidInput, match="not a digest"):
        await engine.create("../../escaped", directions(1), names(1))


async def test_a_durable_index_outlives_its_engine(tmp_path: Path) -> None:
    first = QdrantVectorEngine(tmp_path)
    await first.create(KEY, directions(5), names(5), [["a"]] * 5)
    await first.aclose()
    second = QdrantVectorEngine(tmp_path)
    hits = await second.search(KEY, directions(5)[3], 1, LabelFilter(any_of=("a",)))
    assert hits[0].id == "chunk:3"
    await second.aclose()


async def test_a_build_killed_in_the_middle_leaves_no_index_and_no_litter(tmp_path: Path) -> None:
    script = (
        "import asyncio, numpy, pathlib, sys\n"
        "from twinloop.backends.qdrant.engine import QdrantVectorEngine\n"
        "rows = numpy.random.default_rng(0).normal(size=(30000, 256)).astype('float32')\n"
        "engine = QdrantVectorEngine(pathlib.Path(sys.argv[1]))\n"
        f"asyncio.run(engine.create({KEY!r}, rows, [str(row) for row in range(len(rows))]))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path))
    await until_building(tmp_path)
    process.kill()
    await process.wait()
    engine = QdrantVectorEngine(tmp_path)
    assert not await engine.exists(KEY)
    assert list(tmp_path.iterdir()) == []
    await engine.create(KEY, directions(5), names(5))
    assert len(await engine.search(KEY, directions(1)[0], 9)) == 5
    await engine.aclose()


async def test_a_build_that_is_cancelled_leaves_no_index(tmp_path: Path) -> None:
    engine = QdrantVectorEngine(tmp_path)
    task = asyncio.create_task(engine.create(KEY, directions(30_000, 256), names(30_000)))
    await until_building(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_index_is_an_error_and_can_be_dropped(tmp_path: Path) -> None:
    engine = QdrantVectorEngine(tmp_path)
    await engine.create(KEY, directions(5), names(5))
    (folder,) = tmp_path.iterdir()
    shutil.rmtree(folder / "shard" / "segments")
    with pytest.raises(StorageCorrupt, match="Drop it and build it again"):
        await engine.search(KEY, directions(1)[0], 1)
    await engine.drop(KEY)
    assert not await engine.exists(KEY)


async def test_the_server_keeps_moving_while_a_large_index_is_built(tmp_path: Path) -> None:
    engine = QdrantVectorEngine(tmp_path)
    build = asyncio.create_task(engine.create(KEY, directions(16_000, 384), names(16_000)))
    loop, longest = asyncio.get_running_loop(), 0.0
    while not build.done():
        before = loop.time()
        await asyncio.sleep(0.01)
        longest = max(longest, loop.time() - before)
    await build
    assert longest < 1.0
    found = await engine.search(KEY, directions(16_000, 384)[77], 10)
    assert found[0].id == "chunk:77"
    await engine.aclose()


async def until_building(folder: Path) -> None:
    async with asyncio.timeout(20):
        while not list(folder.glob(".building-*/shard")):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
