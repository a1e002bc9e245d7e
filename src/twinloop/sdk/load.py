"""A steady load: requests at a given rate, and an account of every one of them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import msgspec

from twinloop.core.errors import InvalidInput, TwinloopError


class Outcome(msgspec.Struct, frozen=True):
    """One request: when it was due and when it ended (``time.perf_counter`` seconds), and who answered or what failed."""

    due: float
    ended: float
    release: str | None = None
    error: str | None = None


class LoadReport(msgspec.Struct, frozen=True):
    """What a load came to. Latencies are seconds from when a request was due, so that waiting for a slow answer counts."""

    requests: int
    failed: int
    seconds: float
    rate: float
    p50: float
    p99: float
    releases: Mapping[str, int]
    errors: Sequence[str]


class PacedLoad:
    """Sends ``rate`` requests a second from ``workers`` threads between entering and leaving the block.

    ``send`` makes one request and returns the release that answered. A worker that is late sends at once, so the
    number of requests is kept as long as answers take less than ``workers / rate`` seconds.
    """

    def __init__(self, send: Callable[[], str], rate: float, workers: int = 16) -> None:
        if rate <= 0 or workers < 1:
            raise InvalidInput("A load needs a rate above 0 and at least one worker.")
        self._send = send
        self._rate = rate
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._next = 0
        self._began = 0.0
        self._ended = 0.0
        self._outcomes: list[Outcome] = []
        self._threads = [threading.Thread(target=self._work, name=f"load-{n}", daemon=True) for n in range(workers)]

    def __enter__(self) -> PacedLoad:
        self._began = time.perf_counter()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._ended = time.perf_counter()

    def outcomes(self) -> list[Outcome]:
        with self._lock:
            return list(self._outcomes)

    def first_answer(self, release: str, after: float) -> float | None:
        """Seconds from ``after`` (``time.perf_counter``) to the end of the first answer by ``release`` since then."""
        ends = [o.ended - after for o in self.outcomes() if o.release == release and o.ended >= after]
        return min(ends, default=None)

    def report(self) -> LoadReport:
        outcomes = self.outcomes()
        waits = sorted(outcome.ended - outcome.due for outcome in outcomes)
        seconds = (self._ended or time.perf_counter()) - self._began
        return LoadReport(
            requests=len(outcomes),
            failed=sum(outcome.error is not None for outcome in outcomes),
            seconds=seconds,
            rate=len(outcomes) / seconds if seconds else 0.0,
            p50=_quantile(waits, 0.5),
            p99=_quantile(waits, 0.99),
            releases=dict(Counter(outcome.release for outcome in outcomes if outcome.release)),
            errors=sorted({outcome.error for outcome in outcomes if outcome.error}),
        )

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                due = self._began + self._next / self._rate
                self._next += 1
            if self._stop.wait(max(0.0, due - time.perf_counter())):
                return
            outcome = self._one(due)
            with self._lock:
                self._outcomes.append(outcome)

    def _one(self, due: float) -> Outcome:
        try:
            release = self._send()
        except TwinloopError as error:
            return Outcome(due, time.perf_counter(), error=f"{error.code}: {error.message}")
        except Exception as error:  # noqa: BLE001  a load records every failure, whatever it is
            return Outcome(due, time.perf_counter(), error=f"{type(error).__name__}: {error}")
        return Outcome(due, time.perf_counter(), release=release)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
