"""A client that costs little next to the server on the cores they share: a bare socket with keep-alive."""

from __future__ import annotations

import math
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

THREADS = 8
_ENOUGH_S = 10.0
MLFLOW = "/api/2.0/mlflow"

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Refused(Exception):
    """The server answered with an error, or with something else than was expected."""


class Wire:
    """One connection. An answer is read by its content length or chunk by chunk; Refused when it is an error, and
    TimeoutError when nothing comes for ``patience_s`` seconds.
    """

    def __init__(self, base: str, patience_s: float = 300) -> None:
        parts = urlsplit(base)
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=patience_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def get(self, path: str) -> bytes:
        return self._ask(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def post(self, path: str, body: bytes, content_type: str = "application/json", more: str = "") -> bytes:
        """``more`` are further header lines, each with its line end."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {content_type}\r\n{more}"
        return self._ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def json(self, path: str, asked: Any) -> Any:
        return decode(self.post(path, encode(asked)))

    def _ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        status = self._file.readline()
        length = -1
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        data = self._file.read(length) if length >= 0 else b"".join(self._chunks())
        if not status[9:12].startswith(b"2"):
            raise Refused(f"{status.decode().strip()}: {data[:500].decode(errors='replace')}")
        return data

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._file.readline(), 16):
            yield self._file.read(size)
            self._file.readline()
        self._file.readline()


def rate(base: str, count: int, call: Callable[[Wire, int], object], threads: int = THREADS) -> float:
    """``call(wire, number)`` for ``count`` numbers from ``threads`` threads with a connection each; calls per second.

    A thread takes neighbouring numbers; the last thread may have fewer.
    """
    ready, failed = threading.Barrier(threads + 1), list[Exception]()
    share = math.ceil(count / threads)

    def work(first: int) -> None:
        try:
            with Wire(base) as wire:
                ready.wait()
                for number in range(first, min(count, first + share)):
                    call(wire, number)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)
            ready.abort()

    workers = [threading.Thread(target=work, args=(thread * share,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    if failed:
        raise failed[0]
    return count / (time.perf_counter() - began)


def experiment(base: str) -> str:
    """The id of a new experiment."""
    with Wire(base) as wire:
        made = wire.json(f"{MLFLOW}/experiments/create", {"name": f"load-{uuid.uuid4().hex}"})
        return str(made["experiment_id"])


def median_seconds(call: Callable[[], object], times: int = 7) -> float:
    """The median time of a call, in seconds; of fewer than ``times`` calls once they have taken ten seconds."""
    taken: list[float] = []
    while len(taken) < times and sum(taken) < _ENOUGH_S:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
