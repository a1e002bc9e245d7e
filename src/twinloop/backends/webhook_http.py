"""Sends webhooks over HTTP, to nobody but those that ``Reach`` lets it call.

The addresses of a host are judged where the connection is made, by the resolver that the connector asks, so a name
that stands for another address a moment later is judged by that one. Redirects are not followed and no proxy is used,
because both would lead elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from twinloop.control.webhooks.model import Answer
from twinloop.control.webhooks.reach import Address, Reach, Target
from twinloop.core.errors import InvalidInput, Unavailable
from twinloop.version import __version__

if TYPE_CHECKING:
    import aiohttp

_WHOLE_S = 10.0
_CONNECT_S = 5.0
_CHECK_S = 2.0
_ANSWER = 16 << 10
_RESOLVERS = 4


class HttpSender:
    """Implements Sender. One request is one connection, which is cheap beside what an event is worth."""

    def __init__(self, reach: Reach, whole_s: float = _WHOLE_S) -> None:
        self._reach = reach
        self._whole_s = whole_s
        # Threads of their own: a name server that hangs must not take those that the rest of the process waits with.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="twinloop-resolve")

    async def check(self, url: str) -> None:
        """A host whose addresses cannot be found now may be found later; they are judged whenever something is sent.

        Over http it must be found now, because that is only for what the administrator named.
        """
        target = self._target(url)
        if target.address is not None:
            return
        try:
            async with asyncio.timeout(_CHECK_S):
                found = await self._resolve(target.host, 0)
        except (OSError, UnicodeError, TimeoutError):
            self._reach.require_https(target)
            return
        self._reach.require(target, [_address(entry) for entry in found])

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        import aiohttp

        try:
            async with self._session(self._target(url)) as session:
                posted = session.post(url, data=body, headers=headers, allow_redirects=False)
                async with posted as response:
                    said = await response.content.read(_ANSWER)
                    asked = _seconds(response.headers.get("Retry-After", ""))
                    return Answer(response.status, said.decode(errors="replace"), asked)
        except InvalidInput as error:
            raise Unavailable(error.message) from error
        except TimeoutError as error:
            raise Unavailable(f"The receiver did not answer in {self._whole_s:g} s.") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            raise Unavailable(_reason(error)) from error

    async def aclose(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    def _target(self, url: str) -> Target:
        """Judge the URL as the client reads it, because two parsers may find two hosts in one text."""
        import yarl

        self._reach.target(url)
        try:
            return self._reach.target(str(yarl.URL(url)))
        except ValueError as error:
            raise InvalidInput(f"Invalid webhook URL: {error}. Write it like https://host/path.") from error

    def _session(self, target: Target) -> aiohttp.ClientSession:
        import aiohttp

        reach, resolve = self._reach, self._resolve

        class Judged(aiohttp.abc.AbstractResolver):
            async def resolve(
                self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
            ) -> list[aiohttp.abc.ResolveResult]:
                found = await resolve(host, port)
                reach.require(target, [_address(entry) for entry in found])
                return [
                    {
                        "hostname": host,
                        "host": str(entry[4][0]),
                        "port": int(entry[4][1]),
                        "family": entry[0],
                        "proto": entry[2],
                        "flags": socket.AI_NUMERICHOST,
                    }
                    for entry in found
                ]

            async def close(self) -> None:
                return None

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=Judged(), use_dns_cache=False, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"Twinloop/{__version__}"},
            timeout=aiohttp.ClientTimeout(total=self._whole_s, connect=_CONNECT_S),
            trust_env=False,
        )

    async def _resolve(self, host: str, port: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )


def _address(entry: Any) -> Address:
    return ipaddress.ip_address(str(entry[4][0]).partition("%")[0])


def _seconds(text: str) -> float | None:
    """What a receiver asks to wait; dates are not read."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _reason(error: BaseException) -> str:
    """Why nothing arrived, without the address: what stands in a URL is often a secret."""
    if isinstance(error, socket.gaierror) or isinstance(error.__cause__, socket.gaierror):
        return "The receiver's host name is not known."
    told = getattr(error, "strerror", None) or type(error).__name__
    return f"The receiver cannot be reached ({told})."
