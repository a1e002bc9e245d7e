"""One model run for all the rows that wait, without ever waiting for rows."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from twinloop.core.errors import Unavailable
from twinloop.ml.deployment.ports import LoadedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Item = tuple[NDArray[np.float32], asyncio.Future[NDArray[np.float64]]]

_MOST_ROWS = 4096
_MOST_WAITING = 4096


class Batcher:
    """Runs a model in a thread of its own. While a run is under way requests queue; the next run takes them all.

    There is no timer: an idle model answers at once, and the busier it is the larger its batches get.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._waiting: list[_Item] = []
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="twinloop-model")

    async def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """One number per row. Raises Unavailable when too many requests wait or the model is being unloaded."""
        if self._closed or len(self._waiting) >= _MOST_WAITING:
            raise Unavailable("The model has too many requests waiting, or is being unloaded. Try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[NDArray[np.float64]] = loop.create_future()
        self._waiting.append((matrix, future))
        if not self._running:
            self._running = True
            self._idle.clear()
            # Not at once: requests that the loop has read already join this batch before it leaves.
            loop.call_soon(self._start, loop)
        return await future

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[_Item] = []
        rows = 0
        while self._waiting and (not batch or rows + len(self._waiting[0][0]) <= _MOST_ROWS):
            item = self._waiting.pop(0)
            if not item[1].done():
                batch.append(item)
                rows += len(item[0])
        if not batch:
            self._running = False
            self._idle.set()
            return
        whole = batch[0][0] if len(batch) == 1 else _stacked(batch)
        run = loop.run_in_executor(self._thread, self._model.predict, whole)
        run.add_done_callback(lambda done: self._finish(loop, batch, done))

    def _finish(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Item], done: asyncio.Future[NDArray[np.float64]]
    ) -> None:
        error = None if done.cancelled() else done.exception()
        at = 0
        for matrix, future in batch:
            if future.done():
                pass
            elif done.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(done.result()[at : at + len(matrix)])
            at += len(matrix)
        self._start(loop)

    async def aclose(self) -> None:
        """Refuse new rows, let the ones that wait be answered, and end the thread."""
        self._closed = True
        await self._idle.wait()
        self._thread.shutdown(wait=False)


def _stacked(batch: list[_Item]) -> NDArray[np.float32]:
    import numpy as np

    return np.concatenate([matrix for matrix, _ in batch])
