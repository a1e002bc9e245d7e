"""The application as a whole: who is let in, and whose form an unknown path is answered in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from twinloop.compose import App, open_app
from twinloop.control.security.model import LOCAL_ADMIN, Role
from twinloop.core.settings import Settings
from twinloop.server.app import application
from twinloop.server.guard import Guard


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    opened = await open_app(Settings(home=tmp_path / "home"))
    yield opened
    await opened.aclose()


async def ask(guard: Guard, method: str, path: str, key: str = "") -> tuple[int, Any]:
    """Status and decoded body of the answer to a request without a body."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), *([(b"authorization", f"Bearer {key}".encode())] if key else [])]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
    await guard(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


async def test_on_loopback_no_key_is_needed_until_there_is_one(app: App) -> None:
    here = application(app)
    assert (await ask(here, "GET", "/api/v1/status"))[0] == 200
    made = await app.keys.create(LOCAL_ADMIN, "first", Role.admin)
    assert (await ask(here, "GET", "/api/v1/status"))[0] == 401
    assert (await ask(here, "GET", "/api/v1/status", made.secret))[0] == 200


async def test_a_server_on_the_network_stays_closed_when_its_last_key_is_revoked(app: App) -> None:
    network = application(app, loopback=False)
    made = await app.keys.create(LOCAL_ADMIN, "only", Role.admin)
    assert (await ask(network, "GET", "/api/v1/status", made.secret))[0] == 200
    await app.keys.revoke(LOCAL_ADMIN, made.key.id)
    for key in (made.secret, ""):
        status, body = await ask(network, "GET", "/api/v1/status", key)
        assert (status, body["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("path", "field"),
    [("/api/v1/nothing", "error"), ("/v1/nothing", "error"), ("/v2/nothing", "error"), ("/api/2.0/x", "error_code")],
)
async def test_an_unknown_path_is_an_error_in_the_form_of_its_protocol(app: App, path: str, field: str) -> None:
    status, body = await ask(application(app), "GET", path)
    assert status == 404
    assert field in body
    status, body = await ask(application(app), "DELETE", "/v1/chat/completions" if path.startswith("/v1") else path)
    assert status in (404, 405)
    assert field in body
