"""The vector engine over Qdrant shards in a folder."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sys
import tempfile
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from twinloop.backends.loading import folder_of
from twinloop.backends.qdrant.build import LABELS
from twinloop.backends.qdrant.files import SHARD, VECTORS, Points, read_points, sync, write_points
from twinloop.backends.vector_input import check_index, check_query
from twinloop.core.digests import parse_digest
from twinloop.core.errors import (
    MissingDependency,
    NotFound,
    StorageCorrupt,
    StorageFull,
    StorageUnreadable,
    Unavailable,
)
from twinloop.llm.retrieval.ports import Hit, LabelFilter, VectorCapabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OPEN_LIMIT = 16
_SEARCH_WIDTH = 128  # HNSW's ef: recall 1.0 at 10 hits on 100,000 text embeddings
_BUILDING = ".building-"


class _Opened(NamedTuple):
    shard: Any
    points: Points


class QdrantVectorEngine:
    """Implements ``twinloop.llm.retrieval.ports.VectorEngine``. One engine, in one process, may use the folder at a time.

    A search runs where it is called, not in a thread: it takes a fraction of a millisecond, and qdrant-edge holds the
    interpreter's lock throughout, so a thread would only add its hand-over.
    """

    capabilities = VectorCapabilities(name="qdrant-edge", exact=False, durable=True, shared=False)

    def __init__(self, folder: Path) -> None:
        """``folder``: where indexes lie, each under the hex digits of its key; made if missing. Removes unfinished builds.

        Raises:
            MissingDependency: qdrant-edge-py is not installed.
            StorageUnreadable: the folder cannot be used.
        """
        if find_spec("qdrant_edge") is None:
            raise MissingDependency("qdrant-edge-py", "llm")
        self._folder = folder
        self._opened: OrderedDict[str, _Opened] = OrderedDict()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for unfinished in folder.glob(f"{_BUILDING}*"):
                shutil.rmtree(unfinished)
        except OSError as error:
            raise StorageUnreadable(
                f"{folder} cannot hold indexes: {error}. Check its owner and permissions."
            ) from error

    async def create(
        self,
        key: str,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[Sequence[str]] | None = None,
    ) -> None:
        rows = await asyncio.to_thread(check_index, key, vectors, ids, labels)
        points = Points(rows.shape[1], list(ids), [list(row) for row in labels or ()])
        async with self._locks[key]:
            if not await self.exists(key):
                await self._build(key, rows, points)

    async def exists(self, key: str) -> bool:
        return self._path(key).is_dir()

    async def search(
        self, key: str, vector: NDArray[np.float32], k: int, filter: LabelFilter | None = None
    ) -> list[Hit]:
        import qdrant_edge as edge

        shard, points = self._open(key)
        query = check_query(vector, points.dimensions, k)
        if not points.ids or (filter is not None and filter.any_of is not None and not filter.any_of):
            return []
        request = edge.QueryRequest(
            limit=min(k, len(points.ids)),
            query=edge.Query.Nearest(query.tolist()),
            filter=_condition(filter),
            params=edge.SearchParams(hnsw_ef=max(_SEARCH_WIDTH, k)),
        )
        return [Hit(points.ids[found.id], found.score) for found in shard.query(request)]

    async def drop(self, key: str) -> None:
        path = self._path(key)
        async with self._locks[key]:
            self._close(key)
            if path.is_dir():
                # First out of sight in one step, so that a kill while files go leaves no half index under the key.
                doomed = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self._folder))
                path.rename(doomed / "dropped")
                await asyncio.to_thread(shutil.rmtree, doomed)

    async def aclose(self) -> None:
        for key in list(self._opened):
            self._close(key)

    def _path(self, key: str) -> Path:
        return self._folder / parse_digest(key).partition(":")[2]

    def _open(self, key: str) -> _Opened:
        if key in self._opened:
            self._opened.move_to_end(key)
            return self._opened[key]
        path = self._path(key)
        if not path.is_dir():
            raise NotFound(f"There is no vector index {key}. Build it again.")
        opened = _load(path)
        self._opened[key] = opened
        if len(self._opened) > _OPEN_LIMIT:
            self._close(next(iter(self._opened)))
        return opened

    def _close(self, key: str) -> None:
        opened = self._opened.pop(key, None)
        if opened is not None:
            opened.shard.close()

    async def _build(self, key: str, rows: NDArray[np.float32], points: Points) -> None:
        try:
            folder = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self._folder))
            try:
                await asyncio.to_thread(_write_input, folder, rows, points)
                await _run_build(folder)
                folder.rename(self._path(key))
                await asyncio.to_thread(sync, self._folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(
                    f"There is no space left for an index in {self._folder}. Free some and try again."
                ) from error
            raise StorageUnreadable(f"The index cannot be written: {error}. Check the home's permissions.") from error


def _load(path: Path) -> _Opened:
    import qdrant_edge as edge

    try:
        points = read_points(path)
        shard = edge.EdgeShard.load(str(path / SHARD))
    except Exception as error:
        raise _damaged(path, str(error)) from error
    found = shard.info().points_count
    if found != len(points.ids):  # qdrant-edge loads what is left of a damaged shard without a word
        shard.close()
        raise _damaged(path, f"{found} of {len(points.ids)} vectors are left")
    return _Opened(shard, points)


def _damaged(path: Path, how: str) -> StorageCorrupt:
    return StorageCorrupt(f"The vector index {path.name} is damaged ({how}). Drop it and build it again.")


def _write_input(folder: Path, rows: NDArray[np.float32], points: Points) -> None:
    import numpy as np

    np.save(folder / VECTORS, rows)
    write_points(folder, points)


async def _run_build(folder: Path) -> None:
    """Run the build process to its end; it is killed when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "twinloop.backends.qdrant.build", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        said = (await process.stderr.read()).decode("utf-8", "replace").strip()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if process.returncode == 0:
        return
    if "No space left" in said:
        raise OSError(errno.ENOSPC, "No space left on device")
    reason = said.splitlines()[-1][:300] if said else f"it ended with code {process.returncode}"
    raise Unavailable(f"The vector engine could not build the index: {reason}. Try again.")


def _condition(filter: LabelFilter | None) -> Any:
    import qdrant_edge as edge

    if filter is None or (filter.any_of is None and not filter.none_of):
        return None

    def carries(labels: Sequence[str]) -> list[Any]:
        return [edge.FieldCondition(LABELS, match=edge.MatchAny(list(labels)))]

    must = None if filter.any_of is None else carries(filter.any_of)
    return edge.Filter(must=must, must_not=carries(filter.none_of) if filter.none_of else None)


def from_url(url: str, home: Path) -> QdrantVectorEngine:
    """``qdrant-edge:indexes`` in the home, or ``qdrant-edge:///absolute/path``."""
    return QdrantVectorEngine(folder_of(url, home))
