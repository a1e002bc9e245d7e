"""One model run for all the rows that wait, without ever waiting for rows."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from twinloop.core.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from twinloop.ml.deployment.ports import Arrays

X = TypeVar("X")
Y = TypeVar("Y")
X_in = TypeVar("X_in", contravariant=True)
Y_out = TypeVar("Y_out", covariant=True)

_MOST_ROWS = 4096
_MOST_WAITING = 4096


class Runs(Protocol[X_in, Y_out]):
    """A model. ``predict`` blocks and is called from one thread at a time."""

    def predict(self, given: X_in, /) -> Y_out: ...


class Together(Protocol[X, Y]):
    """How requests of one kind run as one."""

    def rows(self, given: X) -> int: ...

    def key(self, given: X) -> Hashable:
        """Requests run together only when their keys are equal."""
        ...

    def stack(self, given: Sequence[X]) -> X: ...

    def cut(self, answer: Y, start: int, stop: int) -> Y:
        """The part of an answer that belongs to rows ``start`` to ``stop``."""
        ...


class Batcher(Generic[X, Y]):
    """Runs a model in a thread of its own. While a run is under way requests queue; the next run takes them all.

    There is no timer: an idle model answers at once, and the busier it is the larger its batches get. When a model refuses
    a batch, its requests run again one by one, so that nobody is refused for somebody else's rows.
    """

    def __init__(self, model: Runs[X, Y], together: Together[X, Y]) -> None:
        self._model = model
        self._together = together
        self._waiting: list[tuple[X, asyncio.Future[Y]]] = []
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="twinloop-model")

    async def predict(self, given: X) -> Y:
        """The model's answer for these rows. Raises Unavailable when too many requests wait or it is being unloaded."""
        if self._closed or len(self._waiting) >= _MOST_WAITING:
            raise Unavailable("The model has too many requests waiting, or is being unloaded. Try again.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Y] = loop.create_future()
        self._waiting.append((given, future))
        if not self._running:
            self._running = True
            self._idle.clear()
            # Not at once: requests that the loop has read already join this batch before it leaves.
            loop.call_soon(self._start, loop)
        return await future

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._next_batch()
        if not batch:
            self._running = False
            self._idle.set()
            return
        run = loop.run_in_executor(self._thread, self._run, [given for given, _ in batch])
        run.add_done_callback(lambda done: self._finish(loop, batch, done))

    def _next_batch(self) -> list[tuple[X, asyncio.Future[Y]]]:
        batch: list[tuple[X, asyncio.Future[Y]]] = []
        rows = 0
        key: Hashable = None
        while self._waiting:
            given, future = self._waiting[0]
            if batch and (rows + self._together.rows(given) > _MOST_ROWS or self._together.key(given) != key):
                break
            del self._waiting[0]
            if not future.done():
                key = self._together.key(given)
                batch.append((given, future))
                rows += self._together.rows(given)
        return batch

    def _run(self, batch: Sequence[X]) -> list[Y | InvalidInput]:
        """In the model's thread: an answer for each, or why it was refused."""
        if len(batch) == 1:
            return [self._model.predict(batch[0])]
        try:
            answer = self._model.predict(self._together.stack(batch))
        except InvalidInput:
            return [self._alone(given) for given in batch]
        found: list[Y | InvalidInput] = []
        at = 0
        for given in batch:
            rows = self._together.rows(given)
            found.append(self._together.cut(answer, at, at + rows))
            at += rows
        return found

    def _alone(self, given: X) -> Y | InvalidInput:
        try:
            return self._model.predict(given)
        except InvalidInput as error:
            return error

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[X, asyncio.Future[Y]]],
        done: asyncio.Future[list[Y | InvalidInput]],
    ) -> None:
        error = None if done.cancelled() else done.exception()
        for place, (_, future) in enumerate(batch):
            if future.done():
                continue
            if done.cancelled():
                future.cancel()
            elif error is not None:
                future.set_exception(error)
            else:
                answer = done.result()[place]
                if isinstance(answer, InvalidInput):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        self._start(loop)

    async def aclose(self) -> None:
        """Refuse new rows, let the ones that wait be answered, and end the thread."""
        self._closed = True
        await self._idle.wait()
        self._thread.shutdown(wait=False)


class Matrices:
    """Requests are matrices (rows, inputs) of one width; an answer has one number per row."""

    def rows(self, given: NDArray[np.float32]) -> int:
        return len(given)

    def key(self, given: NDArray[np.float32]) -> Hashable:
        return None

    def stack(self, given: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        import numpy as np

        return np.concatenate(given)

    def cut(self, answer: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
        return answer[start:stop]


class Tables:
    """Requests and answers are arrays by name, each with one row per row; those of one shape run together."""

    def rows(self, given: Arrays) -> int:
        return len(next(iter(given.values()))) if given else 0

    def key(self, given: Arrays) -> Hashable:
        return tuple((name, values.shape[1:]) for name, values in given.items())

    def stack(self, given: Sequence[Arrays]) -> Arrays:
        import numpy as np

        return {name: np.concatenate([each[name] for each in given]) for name in given[0]}

    def cut(self, answer: Arrays, start: int, stop: int) -> Mapping[str, NDArray[np.generic]]:
        return {name: values[start:stop] for name, values in answer.items()}
