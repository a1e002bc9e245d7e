"""Requests to an MLflow server, with its ways of authenticating, and tried again when it is busy."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from twinloop.core.errors import InvalidInput, NotFound, Unauthenticated
from twinloop.sdk.transfer.errors import SourceUnreadable

ANSWER_LIMIT = 256 * 2**20
"""Bytes of one JSON answer; a page of a source that sends more is refused instead of filling the memory."""

_TRIES = 5
_PAUSE_S = 0.5
_BUSY = (429, 500, 502, 503, 504)
_CHUNK = 2**18


class Credentials(msgspec.Struct, frozen=True):
    """How to authenticate: a bearer ``token``, or ``username`` and ``password``; a ``workspace`` where there are many."""

    token: str = ""
    username: str = ""
    password: str = ""
    workspace: str = ""

    def __repr__(self) -> str:
        return "Credentials(…)"

    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            found["authorization"] = f"Basic {pair}"
        elif self.token:
            found["authorization"] = f"Bearer {self.token}"
        if self.workspace:
            found["x-mlflow-workspace"] = self.workspace
        return found


class MlflowServer:
    """One MLflow server; ``url`` holds no password. Safe for use by many threads."""

    def __init__(self, url: str, credentials: Credentials | None = None, timeout_s: float = 120.0) -> None:
        import urllib3

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(f"{_without_password(url)!r} is not the URL of a server. Write it like http://host:5000")
        given = credentials or Credentials()
        if parts.username and not given.username:
            given = msgspec.structs.replace(given, username=parts.username, password=parts.password or "")
        self.url = _without_password(url).rstrip("/")
        self._headers = {"accept": "application/json", "user-agent": "twinloop", **given.headers()}
        self._pool = urllib3.PoolManager(
            maxsize=16, retries=False, timeout=urllib3.Timeout(connect=10.0, read=timeout_s)
        )

    def get(self, path: str, query: Mapping[str, Any] | list[tuple[str, str]] | None = None) -> Any:
        """The JSON of an answer. Raises NotFound, Unauthenticated or SourceUnreadable."""
        return self._json("GET", path + (f"?{urlencode(query)}" if query else ""), None)

    def post(self, path: str, body: Any) -> Any:
        return self._json("POST", path, msgspec.json.encode(body))

    def stream(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The bytes of an answer as they come."""
        target = path + (f"?{urlencode(query)}" if query else "")
        response = self._send("GET", target, None)
        try:
            yield from response.stream(_CHUNK, decode_content=True)
        except _http_errors() as error:
            raise SourceUnreadable(f"{self.url} broke off within {path[:200]} ({type(error).__name__}).") from error
        finally:
            response.close()

    def close(self) -> None:
        self._pool.clear()

    def _json(self, method: str, target: str, body: bytes | None) -> Any:
        response = self._send(method, target, body)
        data = bytearray()
        try:
            for chunk in response.stream(_CHUNK, decode_content=True):
                data += chunk
                if len(data) > ANSWER_LIMIT:
                    raise SourceUnreadable(f"{self.url} sent more than {ANSWER_LIMIT} bytes for {target[:120]}.")
        except _http_errors() as error:
            raise SourceUnreadable(f"{self.url} broke off ({type(error).__name__}). Run the import again.") from error
        finally:
            response.close() if len(data) > ANSWER_LIMIT else response.release_conn()
        return _decoded(bytes(data), f"{self.url}{target[:120]}")

    def _send(self, method: str, target: str, body: bytes | None) -> Any:
        """An answer with a good status. A busy server, or one that hangs up, is asked again: all of this only reads."""
        headers = {**self._headers, "content-type": "application/json"} if body is not None else self._headers
        for left in reversed(range(_TRIES)):
            try:
                response = self._pool.request(
                    method, self.url + target, body=body, headers=headers, preload_content=False, redirect=False
                )
            except _http_errors() as error:
                if left == 0:
                    raise SourceUnreadable(
                        f"No MLflow server answers at {self.url} ({type(error).__name__}). Check the URL, then run it again."
                    ) from error
            else:
                if response.status < 300:
                    return response
                text = response.read(20_000, decode_content=True).decode(errors="replace")
                response.close()
                if response.status not in _BUSY or left == 0:
                    raise self._error(response.status, target, text)
            time.sleep(_PAUSE_S * (_TRIES - left))
        raise AssertionError("unreachable")

    def _error(self, status: int, target: str, text: str) -> Exception:
        message = _message(text)
        if status in (401, 403):
            return Unauthenticated(
                f"{self.url} does not let this caller in ({status}). Give --token, or --username and --password."
            )
        if status == 404:
            return NotFound(f"{self.url} has no {target[:200]}: {message}")
        return SourceUnreadable(f"{self.url} answered {status} to {target[:200]}: {message}")


def segments(path: str) -> str:
    """A path of artifacts as a part of a URL."""
    return quote(path, safe="/")


def _decoded(data: bytes, what: str) -> Any:
    """JSON, also the dialect with NaN and Infinity that Python's encoder writes."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        import json

        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise SourceUnreadable(
                f"{what} answered with something that is not JSON. Is it an MLflow server?"
            ) from error


def _message(text: str) -> str:
    try:
        said = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        said = None
    return str(said["message"])[:300] if isinstance(said, dict) and "message" in said else text[:120].strip()


def _without_password(url: str) -> str:
    scheme, marker, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{marker}{host.rpartition('@')[2]}{slash}{path}"


def _http_errors() -> type[Exception]:
    import urllib3

    return urllib3.exceptions.HTTPError
