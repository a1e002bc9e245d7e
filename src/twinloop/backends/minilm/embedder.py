"""The embedder over an onnxruntime session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from twinloop.backends import cores
from twinloop.backends.minilm.graph import HIDDEN
from twinloop.backends.minilm.model import MAX_TOKENS, Model, open_session, prepare
from twinloop.backends.weights import CATALOG, Catalog, Progress
from twinloop.core.errors import InvalidInput, MissingDependency, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH_TOKENS = 2048  # padding included; about 0.2 s of work, so a query never waits long behind an indexing job


class MiniLmEmbedder:
    """Implements ``twinloop.llm.embeddings.ports.Embedder``.

    One thread runs the session, batch by batch, and the batches of concurrent callers take turns.
    """

    dimensions = HIDDEN
    max_tokens = MAX_TOKENS

    def __init__(self, model: Model, threads: int | None = None) -> None:
        """Loads the model; blocks for about half a second. ``threads`` defaults to the cores this process may use."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependency("tokenizers", "llm") from error
        self.digest: str = model.digest
        self._tokenizer = Tokenizer.from_file(str(model.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._session = open_session(model, threads or cores.available())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minilm")
        self._closed = False

    @classmethod
    async def open(
        cls,
        weights: str,
        weights_dir: Path,
        *,
        catalog: Catalog = CATALOG,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> MiniLmEmbedder:
        """Prepare the model (see ``model.prepare`` for what it raises) and load it, off the event loop."""
        return await asyncio.to_thread(lambda: cls(prepare(weights, weights_dir, catalog, progress), threads))

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        if self._closed:
            raise Unavailable("The embedder is closed. Open it again.")
        vectors = np.empty((len(texts), HIDDEN), np.float32)
        if not texts:
            return vectors
        loop = asyncio.get_running_loop()
        tokens = await loop.run_in_executor(self._thread, self._encode, texts)
        for rows in _batches([len(ids) for ids in tokens]):
            vectors[rows] = await loop.run_in_executor(self._thread, self._run, [tokens[row] for row in rows])
        return vectors

    def count_tokens(self, text: str) -> int:
        return len(self._encode_batch([text])[0])

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._thread.shutdown)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to ``max_tokens`` with the closing separator kept."""
        return [
            ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]] for ids in self._encode_batch(texts)
        ]

    def _encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        try:
            return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        except (TypeError, UnicodeEncodeError) as error:
            raise InvalidInput(f"A text cannot be encoded: {error}. Send valid Unicode text.") from error

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import numpy as np

        longest = max(len(ids) for ids in tokens)
        padded = np.zeros((2, len(tokens), longest), np.int64)
        for row, ids in enumerate(tokens):
            padded[0, row, : len(ids)] = ids
            padded[1, row, : len(ids)] = 1
        vectors: NDArray[np.float32] = self._session.run(None, {"ids": padded[0], "mask": padded[1]})[0]
        return vectors


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in groups of similar length, at most ``_BATCH_TOKENS`` tokens each with padding; every row once."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
