from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.receiving import Receiver
from twinloop.backends.secret_files import FileSecrets
from twinloop.backends.webhook_http import HttpSender
from twinloop.control.webhooks.reach import Reach
from twinloop.core.errors import InvalidInput, StorageUnreadable, Unavailable


@pytest.fixture
async def here() -> AsyncIterator[HttpSender]:
    """A sender that may call this machine."""
    sender = HttpSender(Reach(loopback=True), whole_s=1.0)
    yield sender
    await sender.aclose()


@pytest.fixture
async def strict() -> AsyncIterator[HttpSender]:
    sender = HttpSender(Reach())
    yield sender
    await sender.aclose()


async def test_a_name_that_stands_for_this_machine_is_refused_at_once(strict: HttpSender) -> None:
    with pytest.raises(InvalidInput, match="must not resolve to a non-public IP address"):
        await strict.check("https://localhost/x")


async def test_a_name_is_judged_again_when_something_is_sent(strict: HttpSender) -> None:
    with pytest.raises(Unavailable, match="non-public"):
        await strict.send("https://localhost/x", {}, b"{}")


async def test_a_name_that_cannot_be_found_now_may_be_found_later(strict: HttpSender) -> None:
    await strict.check("https://nobody.invalid/x")
    with pytest.raises(Unavailable, match="not known"):
        await strict.send("https://nobody.invalid/x", {}, b"{}")


async def test_a_name_that_cannot_be_found_is_not_called_over_http(here: HttpSender) -> None:
    with pytest.raises(InvalidInput, match="Invalid webhook URL scheme"):
        await here.check("http://nobody.invalid/x")


@pytest.mark.parametrize("host", ["①②⑦.0.0.1", "127。0。0。1", "example.com\\@127.0.0.1", "127.0.0.1\t"])
async def test_two_readings_of_a_url_do_not_lead_past_the_rule(strict: HttpSender, host: str) -> None:
    with pytest.raises(Unavailable, match=r"non-public|canonical|scheme|hostname|user"):
        await strict.send(f"https://{host}/x", {}, b"{}")


async def test_a_name_of_this_machine_can_be_called_where_that_is_allowed(here: HttpSender) -> None:
    with Receiver() as receiver:
        await here.check(f"http://localhost:{receiver.port}/x")
        answer = await here.send(f"http://localhost:{receiver.port}/x?a=b", {"X-One": "1"}, b"body")
    assert (answer.status, answer.body, answer.taken) == (200, "ok", True)
    (request,) = receiver.received
    assert (request.path, request.headers["x-one"], request.body) == ("/x?a=b", "1", b"body")
    assert request.headers["user-agent"].startswith("Twinloop/")


async def test_a_receiver_that_says_nothing_is_given_up(here: HttpSender) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="did not answer in 1 s"):
            await here.send(f"http://127.0.0.1:{silent.getsockname()[1]}/x", {}, b"{}")
    assert time.monotonic() - begun < 3


async def test_an_answer_is_read_no_further_than_its_beginning(here: HttpSender) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nretry-after: 7\r\n\r\n" + b"x" * (1 << 20))
        await writer.drain()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    answer = await here.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", {}, b"{}")
    server.close()
    assert 0 < len(answer.body) <= 16 << 10
    assert answer.retry_after_s == 7


async def test_no_proxy_is_asked(here: HttpSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Receiver() as receiver:
        assert (await here.send(receiver.url, {}, b"{}")).taken


async def test_secrets_are_kept_whole_and_for_their_owner_alone(tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path / "secrets")
    assert await secrets.get("webhook-1") is None
    assert await secrets.names("webhook-") == []
    await secrets.put("webhook-1", "ä\nsecret")
    await secrets.put("other", "x")
    assert await secrets.get("webhook-1") == "ä\nsecret"
    assert await secrets.names("webhook-") == ["webhook-1"]
    assert (tmp_path / "secrets" / "webhook-1").stat().st_mode & 0o777 == 0o600
    await secrets.remove("webhook-1")
    await secrets.remove("webhook-1")
    assert await secrets.get("webhook-1") is None


async def test_a_secret_that_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    await FileSecrets(tmp_path / "secrets").put("whole", "x")
    (tmp_path / "secrets" / "webhook-1.partial").write_text("hal")
    secrets = FileSecrets(tmp_path / "secrets")
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["whole"]
    assert await secrets.get("whole") == "x"


async def test_a_name_of_a_secret_is_no_path(tmp_path: Path) -> None:
    for name in ("../x", "a/b", "", "A", ".hidden"):
        with pytest.raises(ValueError, match="cannot name"):
            await FileSecrets(tmp_path).get(name)


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(StorageUnreadable, match="cannot be written"):
        await FileSecrets(tmp_path / "secrets").put("a", "b")
