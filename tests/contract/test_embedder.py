"""Every embedder behaves alike: the contract of ``twinloop.llm.embeddings.ports.Embedder``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web

from twinloop.backends.embedders import Embedders
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput, Unavailable, UpstreamError
from twinloop.llm.embeddings.ports import Embedder

TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "Flights from Newark are late when it snows.",
    "",
    "word " * 700,
    "Ünïcödé 飛行機 ✈️",
]


async def embeddings(request: web.Request) -> web.Response:
    """A provider whose vectors depend on the text alone; gives them in reverse order, as the API allows."""
    body = await request.json()
    rows = [
        {"index": index, "embedding": np.random.default_rng(list(text.encode()) or [1]).normal(size=24).tolist()}
        for index, text in enumerate(body["input"])
    ]
    return web.json_response({"data": rows[::-1], "model": body["model"]})


@pytest.fixture
async def provider() -> AsyncIterator[str]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/embeddings", embeddings)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


@pytest.fixture(params=["minilm", "openai"])
async def embedder(request: pytest.FixtureRequest, weights_dir: Path, provider: str) -> AsyncIterator[Embedder]:
    manifest = {"engine": "openai", "url": provider, "model": "m", "dimensions": 24, "batch": 3}
    if request.param == "minilm":
        manifest = {"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"}
    opened = await Embedders(weights_dir).open(manifest)
    yield opened
    await opened.aclose()


async def test_every_text_gets_a_float32_row_of_length_one(embedder: Embedder) -> None:
    vectors = await embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


async def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert (await embedder.embed([])).shape == (0, embedder.dimensions)


async def test_a_text_gets_the_same_vector_alone_and_in_company(embedder: Embedder) -> None:
    together = await embedder.embed(TEXTS)
    for row, text in enumerate(TEXTS):
        (alone,) = await embedder.embed([text])
        assert float(alone @ together[row]) > 0.998


async def test_concurrent_callers_get_their_own_rows(embedder: Embedder) -> None:
    together = await embedder.embed(TEXTS)
    answers = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS))
    for row, answer in enumerate(answers):
        assert float(answer[0] @ together[row]) > 0.998


async def test_the_digest_names_the_configuration(embedder: Embedder) -> None:
    assert is_digest(embedder.digest)


async def test_longer_texts_have_more_tokens(embedder: Embedder) -> None:
    counts = [embedder.count_tokens("snow " * words) for words in (0, 1, 10, 1000)]
    assert counts == sorted(set(counts))
    assert counts[-1] > embedder.max_tokens


async def test_closing_twice_is_allowed(embedder: Embedder) -> None:
    await embedder.aclose()
    await embedder.aclose()
    with pytest.raises(Unavailable):
        await embedder.embed(["after the end"])


async def test_similar_sentences_are_near_as_the_reference_says(weights_dir: Path) -> None:
    """Reference: cosine of these pairs with sentence-transformers/all-MiniLM-L6-v2 in float32, 0.704 and below 0.1."""
    embedder = await Embedders(weights_dir).open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    food, pasta, baby = await embedder.embed(
        ["A man is eating food.", "A man is eating pasta.", "The girl is carrying a baby."]
    )
    assert float(food @ pasta) == pytest.approx(0.704, abs=0.03)
    assert float(food @ baby) < 0.1
    await embedder.aclose()


async def test_int8_vectors_point_where_float32_vectors_do(weights_dir: Path) -> None:
    engines = Embedders(weights_dir)
    small = await engines.open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    full = await engines.open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-float32"})
    texts = [
        *TEXTS,
        *(f"Flight {n} to Boston waits for gate {n % 7}, and rain falls." * (1 + n % 5) for n in range(40)),
    ]
    cosines = ((await small.embed(texts)) * (await full.embed(texts))).sum(axis=1)
    assert cosines.min() >= 0.99
    assert small.digest != full.digest
    await small.aclose()
    await full.aclose()


async def test_text_beyond_the_limit_is_cut(weights_dir: Path) -> None:
    embedder = await Embedders(weights_dir).open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    kept, longer = await embedder.embed(["snow " * 254, "snow " * 254 + "sun " * 50])
    assert float(kept @ longer) == pytest.approx(1.0, abs=1e-4)
    await embedder.aclose()


async def test_a_lone_surrogate_is_refused(weights_dir: Path) -> None:
    embedder = await Embedders(weights_dir).open({"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"})
    with pytest.raises(InvalidInput, match="valid Unicode"):
        await embedder.embed(["\ud800"])
    await embedder.aclose()


async def test_a_provider_with_other_dimensions_is_an_error_that_says_so(provider: str, weights_dir: Path) -> None:
    embedder = await Embedders(weights_dir).open({"engine": "openai", "url": provider, "model": "m", "dimensions": 12})
    with pytest.raises(UpstreamError, match="24 dimensions, not 12"):
        await embedder.embed(["text"])
    await embedder.aclose()


async def test_equal_manifests_share_one_engine_until_the_last_holder_leaves(weights_dir: Path) -> None:
    engines = Embedders(weights_dir)
    manifest = {"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8"}
    first, second = await asyncio.gather(engines.open(manifest), engines.open({**manifest, "description": "ours"}))
    await first.aclose()
    assert (await second.embed(["still open"])).shape == (1, 384)
    await second.aclose()


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        {"engine": "unheard of"},
        {"engine": "minilm-onnx"},
        {"engine": "minilm-onnx", "weights": "../../etc/passwd"},
        {"engine": "minilm-onnx", "weights": "all-MiniLM-L6-v2-int8", "wieghts": 1},
        {"engine": "openai", "url": "file:///etc/passwd", "model": "m", "dimensions": 4},
        {"engine": "openai", "url": "https://host/v1", "model": "m", "dimensions": 0},
        {"engine": "openai", "url": "https://host/v1", "model": "m", "dimensions": "many"},
    ],
)
async def test_a_wrong_manifest_is_refused_before_anything_opens(manifest: dict[str, object], tmp_path: Path) -> None:
    engines = Embedders(tmp_path)
    with pytest.raises(InvalidInput):
        engines.validate(manifest)
    with pytest.raises(InvalidInput):
        await engines.open(manifest)
    assert list(tmp_path.iterdir()) == []
