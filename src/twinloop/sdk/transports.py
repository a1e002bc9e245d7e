"""How a client reaches a Twinloop: over HTTP, or by calling the application in this process."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlencode, urlsplit

from twinloop.core.errors import InvalidSettings, Unavailable

Content = bytes | Iterable[bytes]
_CLOSED = "The Twinloop in this process was closed. Connect again."


class Answered(NamedTuple):
    """An HTTP answer; ``body`` yields its bytes as they come and must be read to the end or closed."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


class Transport(Protocol):
    """Sends one request and gives back its answer."""

    def send(self, method: str, target: str, headers: Mapping[str, str], content: Content | None) -> Answered: ...

    def close(self) -> None: ...


class HttpTransport:
    """Keeps connections to one server. Safe for use by many threads."""

    def __init__(self, url: str, timeout_s: float = 600.0) -> None:
        import urllib3

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InvalidSettings(f"{url!r} is not the URL of a Twinloop. Write it like http://127.0.0.1:7700")
        self.url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=32, retries=False, timeout=urllib3.Timeout(connect=10.0, read=timeout_s)
        )

    def send(self, method: str, target: str, headers: Mapping[str, str], content: Content | None) -> Answered:
        import urllib3

        try:
            response = self._pool.request(
                method, self.url + target, headers=dict(headers), body=content, preload_content=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(
                f"No Twinloop answers at {self.url} ({type(error).__name__}). Start one with: twinloop up"
            ) from error
        return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, _read(response, self.url))

    def close(self) -> None:
        self._pool.clear()


def _read(response: Any, url: str) -> Iterator[bytes]:
    import urllib3

    try:
        yield from response.stream(2**16)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"The connection to {url} broke off ({type(error).__name__}). Try again.") from error
    finally:
        response.release_conn()


Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


class LoopThread:
    """An event loop in a thread of its own, for programs that have none."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="twinloop-loop", daemon=True)
        self._thread.start()

    def run(self, work: Any) -> Any:
        """Run a coroutine on the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class InProcessTransport:
    """Calls an ASGI application on a loop in this process: the same paths and values, without a socket."""

    def __init__(self, application: Application, thread: LoopThread, on_close: Callable[[], None]) -> None:
        self._application = application
        self._thread = thread
        self._on_close = on_close
        self._lock = threading.Lock()
        self._under_way: set[_Exchange] = set()
        self._closed = False

    def send(self, method: str, target: str, headers: Mapping[str, str], content: Content | None) -> Answered:
        """Raises Unavailable when this is closed, now or before the answer."""
        exchange = _Exchange(method, target, _with_length(headers, content), content)
        with self._lock:
            if self._closed:
                raise Unavailable(_CLOSED)
            self._under_way.add(exchange)
            done = asyncio.run_coroutine_threadsafe(exchange.run(self._application), self._thread.loop)
        done.add_done_callback(lambda _: self._under_way.discard(exchange))
        return exchange.answered()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._on_close()
        self._thread.close()
        for exchange in list(self._under_way):
            exchange.cut_off()


def _with_length(headers: Mapping[str, str], content: Content | None) -> dict[str, str]:
    """The headers with what HTTP clients say of a body: how long it is, or that it comes in chunks."""
    sent = {name.lower(): value for name, value in headers.items()}
    if isinstance(content, bytes):
        sent.setdefault("content-length", str(len(content)))
    elif content is not None and "content-length" not in sent:
        sent["transfer-encoding"] = "chunked"
    return sent


class _Exchange:
    """One ASGI request and its answer, handed between the caller's thread and the loop."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], content: Content | None) -> None:
        path, _, query = target.partition("?")
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            "state": {},
        }
        self._whole = content if isinstance(content, bytes) else None
        self._parts = None if content is None or isinstance(content, bytes) else iter(content)
        self._out: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._sent_all = False
        self._gone = asyncio.Event()

    async def run(self, application: Application) -> None:
        try:
            await application(self._scope, self._receive, self._send)
            self._out.put(("end", None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._out.put(("error", error))

    async def _receive(self) -> dict[str, Any]:
        if self._sent_all:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        part = self._whole if self._parts is None else await asyncio.to_thread(next, self._parts, None)
        self._whole = None
        self._sent_all = part is None
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def _send(self, message: Any) -> None:
        self._out.put((message["type"], message))

    def cut_off(self) -> None:
        """Let whoever waits for the answer know that there will be none."""
        self._out.put(("error", Unavailable(_CLOSED)))

    def answered(self) -> Answered:
        kind, first = self._out.get()
        if kind == "error":
            raise first
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in first.get("headers", [])}
        return Answered(first["status"], headers, self._body())

    def _body(self) -> Iterator[bytes]:
        while True:
            kind, message = self._out.get()
            if kind == "error":
                raise message
            if kind == "end":
                return
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return


def target_of(path: str, query: Mapping[str, Any] | None) -> str:
    """A request target: ``path`` percent-encoded, with the query parameters that are not None."""
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return quote(path, safe="/@:%") + (f"?{urlencode(given)}" if given else "")
