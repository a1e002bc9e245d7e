"""The socket that a server announces."""

from __future__ import annotations

import socket

import pytest

from twinloop.core.errors import InvalidSettings
from twinloop.core.settings import Settings
from twinloop.server.main import listen, url_of


def test_a_client_that_reads_the_url_can_connect_at_once() -> None:
    with listen(Settings(port=0)) as listener:
        assert url_of(Settings(port=0), listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    with listen(Settings(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"127.0.0.1:{port} cannot be listened on"):
            listen(Settings(port=port))


def test_an_ipv6_address_stands_in_brackets_in_the_url() -> None:
    settings = Settings(host="::1", port=0)
    try:
        listener = listen(settings)
    except InvalidSettings:
        pytest.skip("this machine has no IPv6 loopback")
    with listener:
        assert url_of(settings, listener).startswith("http://[::1]:")
