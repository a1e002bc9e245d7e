"""Counts requests and says what it counted in Prometheus text form."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class PrometheusObserver:
    """Implements the gateway's Observer."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("endpoint", "release", "verb")
        self._requests = Counter(
            "twinloop_requests", "Requests answered, by status.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "twinloop_request_seconds", "Seconds from request to end of answer.", labels,
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._spooled = Gauge(
            "twinloop_traces_spooled", "Traces spooled to disk since the start.", registry=self._registry
        )
        self._dropped = Gauge("twinloop_traces_dropped", "Traces lost since the start.", registry=self._registry)
        self._children: dict[tuple[str, str, str, str], tuple[Any, Any]] = {}

    def answered(self, endpoint: str, release: str, verb: str, status: str, seconds: float) -> None:
        key = (endpoint, release, verb, status)
        pair = self._children.get(key)
        if pair is None:
            pair = self._requests.labels(*key), self._seconds.labels(endpoint, release, verb)
            self._children[key] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def text(self, spooled: int, dropped: int) -> bytes:
        """All counts in Prometheus text form 0.0.4."""
        self._spooled.set(spooled)
        self._dropped.set(dropped)
        return generate_latest(self._registry)
