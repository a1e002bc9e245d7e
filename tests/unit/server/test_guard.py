"""Who may speak to a server on loopback."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from twinloop.protocols.native.errors import NATIVE
from twinloop.server.guard import Guard


async def ask(guard: Guard, headers: dict[str, str], path: str = "/api/v1/status") -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a GET with exactly these headers."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await guard({"type": "http", "method": "GET", "path": path, "headers": raw}, receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}


def guard(*, loopback: bool = True) -> Guard:
    return Guard(PlainTextResponse("inside"), loopback, lambda path, error: NATIVE.error(error))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:7700",
        "127.0.0.1",
        "127.0.0.1:",
        "127.8.9.10:1",
        "localhost:65535",
        "LocalHost:80",
        "[::1]:7700",
        "[::1]",
    ],
)
async def test_every_name_of_this_machine_is_let_in(host: str) -> None:
    assert (await ask(guard(), {"Host": host}))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7700",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.evil.example",
        "evil@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1/evil.example",
        "127.0.0.1#evil.example",
        "localhost.",
        "0.0.0.0",
        "192.168.0.1",
        "[::2]",
        "[::1",
        "::1",
        "127.1",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:seven",
        "127.0.0.1:7700:7700",
        " 127.0.0.1",
        "\xff",
        "",
    ],
)
async def test_a_foreign_or_broken_host_is_refused(host: str) -> None:
    assert (await ask(guard(), {"Host": host}))[0] == 403


async def test_a_request_without_a_host_is_refused() -> None:
    assert (await ask(guard(), {}))[0] == 403


@pytest.mark.parametrize("hosts", [("evil.example", "127.0.0.1"), ("127.0.0.1", "evil.example")])
async def test_a_request_with_two_hosts_is_refused(hosts: tuple[str, str]) -> None:
    assert (await ask(guard(), {"Host": hosts[0], "host": hosts[1]}))[0] == 400


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:7700", "http://127.0.0.1:7700"),
        ("localhost:7700", "http://LOCALHOST:7700"),
        ("[::1]:7700", "http://[::1]:7700"),
        ("localhost", "https://localhost"),
    ],
)
async def test_the_servers_own_pages_are_let_in(host: str, origin: str) -> None:
    assert (await ask(guard(), {"Host": host, "Origin": origin}))[0] == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:7701",
        "http://localhost:7700",
        "http://127.0.0.1:7700.evil.example",
        "http://127.0.0.1:7700@evil.example",
        "http://evil.example/127.0.0.1:7700",
        "ftp://127.0.0.1:7700",
        "http://[::1",
        "null",
        "file://",
    ],
)
async def test_pages_of_another_site_are_refused(origin: str) -> None:
    assert (await ask(guard(), {"Host": "127.0.0.1:7700", "Origin": origin}))[0] == 403


async def test_a_server_with_keys_on_an_open_address_is_reached_by_any_name() -> None:
    status, _ = await ask(guard(loopback=False), {"Host": "twinloop.example", "Origin": "https://pages.example"})
    assert status == 200


@pytest.mark.parametrize("path", ["/a\x00b", "/a\r\nb", "/\x7f"])
async def test_paths_with_control_characters_are_refused(path: str) -> None:
    assert (await ask(guard(), {"Host": "127.0.0.1"}, path))[0] == 400
    assert (await ask(guard(loopback=False), {"Host": "a.example"}, path))[0] == 400
