"""One HTTP client for every OpenAI-compatible server: timeouts, and errors in Twinloop's tree."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from twinloop.backends.openai_http.sse import EventReader
from twinloop.backends.openai_http.wire import error_text
from twinloop.core.errors import (
    DeadlineExceeded,
    InvalidInput,
    TwinloopError,
    Unavailable,
    UpstreamError,
)

if TYPE_CHECKING:
    import aiohttp

_ERROR_BODY_LIMIT = 64 << 10
_TOO_LONG = ("context_length_exceeded", "exceed_context_size_error")
_TIMED_OUT = (408, 504)
_BUSY = (429, 502, 503, 529)
_KEY_REFUSED = (401, 403)


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds: to connect, between two pieces of an answer (the first included), and for one whole exchange."""

    connect: float = 10.0
    silence: float = 120.0
    whole: float = 600.0


class OpenAiClient:
    """Posts JSON below ``url`` (``https://…/v1``). Bound to the event loop of its first request."""

    def __init__(
        self, url: str, key: str | None = None, timeouts: Timeouts = Timeouts(), *, keep_connections: bool = True
    ) -> None:
        """``key`` is sent as a bearer token and cut out of every error message.

        Args:
            keep_connections: False opens one connection a request, which is cheap where there is no TLS.

        Raises:
            InvalidInput: ``url`` is not an absolute http or https address.
        """
        self._url = check_url(url)
        self._key = key
        self._timeouts = timeouts
        self._keep_connections = keep_connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """POST and yield the data of each server-sent event up to ``[DONE]``; closing it early closes the connection.

        Raises:
            InvalidInput: the provider says the prompt is too long.
            Unavailable: it cannot be reached, or is overloaded.
            DeadlineExceeded: it was silent, or took, too long.
            UpstreamError: any other refusal or failure.
        """
        reader = EventReader()
        started = False
        async with self._errors(lambda: started), self._exchange("POST", path, body) as response:
            async for piece in response.content.iter_any():
                for data in reader.feed(piece):
                    if data == b"[DONE]":
                        return
                    started = True
                    yield data

    async def json(self, path: str, body: Mapping[str, Any], *, patient: bool = False) -> bytes:
        """POST and return the body of the answer; ``patient`` bears silence as long as the whole exchange may take.

        Raises as ``events``.
        """
        async with self._errors(lambda: False), self._exchange("POST", path, body, patient) as response:
            return await response.read()

    async def get(self, path: str) -> bytes:
        """GET and return the body of the answer. Raises as ``events``."""
        async with self._errors(lambda: False), self._exchange("GET", path, None) as response:
            return await response.read()

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, patient: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await self._send(method, path, body, patient)
        async with response:
            if response.status != 200:
                raise self._refusal(response.status, await response.content.read(_ERROR_BODY_LIMIT))
            yield response

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, patient: bool
    ) -> aiohttp.ClientResponse:
        """The response's head. A kept connection may turn out closed by the other side: then once more on another."""
        import aiohttp

        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        data = None if body is None else msgspec.json.encode(body)
        url = f"{self._url}/{path}"
        session = self._opened()
        timeout = self._timeout(self._timeouts.whole if patient else self._timeouts.silence)
        # No redirects: one could carry the key to another host.
        try:
            return await session.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            )
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await session.request(
                method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            )

    def _timeout(self, silence: float) -> aiohttp.ClientTimeout:
        import aiohttp

        return aiohttp.ClientTimeout(total=self._timeouts.whole, sock_connect=self._timeouts.connect, sock_read=silence)

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Unavailable("The connection to the engine is closed. Open it again.")
        if self._session is None:
            import aiohttp

            connector = aiohttp.TCPConnector(limit=0, force_close=not self._keep_connections)
            # One session serves every tenant, so nothing a provider sets may travel with the next request.
            jar = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)
        return self._session

    def _refusal(self, status: int, body: bytes) -> TwinloopError:
        said = self._without_key(error_text(body))
        who = urlsplit(self._url).netloc
        if any(code.encode() in body for code in _TOO_LONG):
            return InvalidInput(f"The prompt does not fit the model's context ({said}). Send less text.")
        if status in _TIMED_OUT:
            return DeadlineExceeded(f"{who} took too long (HTTP {status}: {said}). Try again.")
        if status in _BUSY:
            return Unavailable(f"{who} cannot answer now (HTTP {status}: {said}). Try again later.")
        if status in _KEY_REFUSED:
            return UpstreamError(f"{who} refused the key (HTTP {status}: {said}). Set the secret the engine names.")
        return UpstreamError(f"{who} refused the request (HTTP {status}: {said}). Check the engine's URL and model.")

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    @contextlib.asynccontextmanager
    async def _errors(self, started: Callable[[], bool]) -> AsyncIterator[None]:
        """Turn aiohttp's errors into Twinloop's; ``started`` says whether part of the answer is out already."""
        import aiohttp

        who = urlsplit(self._url).netloc
        try:
            yield
        except UpstreamError as error:
            raise UpstreamError(self._without_key(error.message)) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(
                f"{who} did not accept a connection in {self._timeouts.connect:g} s. Try again."
            ) from error
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"{who} was silent or took too long, so the request was given up. Try again."
            ) from error
        except aiohttp.ClientError as error:
            reason = self._without_key(str(error)) or type(error).__name__
            if started():
                raise UpstreamError(f"{who} broke off in the middle of the answer ({reason}). Ask again.") from error
            raise Unavailable(f"{who} cannot be reached ({reason}). Check that it runs, then try again.") from error


def check_url(url: str) -> str:
    """Return ``url`` without a slash at its end.

    Raises:
        InvalidInput: not an absolute http or https address, or with a user name, query or fragment.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in url or "?" in url or "#" in url:
        raise InvalidInput(
            f"{url[:200]!r} is not an engine's URL. Write it like https://host:port/v1; a key goes in a secret."
        )
    return url.rstrip("/")
