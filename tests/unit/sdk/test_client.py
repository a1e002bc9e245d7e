"""What a client makes of answers that no Twinloop gave, and of a Twinloop in its own process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import twinloop as tl
from twinloop.core.errors import (
    Forbidden,
    PayloadTooLarge,
    TwinloopError,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)
from twinloop.sdk.client import ApiError


class Between(BaseHTTPRequestHandler):
    """Answers as a proxy does, in HTML: ``/413`` with that status."""

    def do_GET(self) -> None:
        status = int(self.path.rpartition("/")[2])
        body = b"<html>nginx</html>"
        self.send_response(status)
        if status == 308:
            self.send_header("location", "https://tracking.example/")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (413, PayloadTooLarge, "413"),
        (401, Unauthenticated, "401"),
        (403, Forbidden, "403"),
        (502, Unavailable, "502"),
        (503, Unavailable, "503"),
        (504, Unavailable, "504"),
        (500, UpstreamError, "Is it a Twinloop"),
        (308, UpstreamError, "https://tracking.example/"),
        (200, UpstreamError, "Is it a Twinloop"),
    ],
)
def test_what_a_proxy_says_in_html_is_an_error_of_its_kind(
    proxy: str, status: int, kind: type[TwinloopError], said: str
) -> None:
    with tl.connect(proxy) as client, pytest.raises(kind, match=said) as caught:
        client.call("GET", f"/{status}")
    assert caught.type is kind


def test_a_body_has_its_length_in_process_as_it_has_over_http(tmp_path: Path) -> None:
    """MLflow's protocol takes a request without a length as one without a body."""
    with tl.connect(home=tmp_path / "home") as client:
        made = client.call("POST", "/api/2.0/mlflow/experiments/create", {"name": "embedded"})
        parts = iter([b'{"name": "in ', b'parts"}'])
        headers = {"content-type": "application/json"}
        other = client.call("POST", "/api/2.0/mlflow/experiments/create", content=parts, headers=headers)
        found = client.call("GET", "/api/2.0/mlflow/experiments/get", query={"experiment_id": made["experiment_id"]})
        with pytest.raises(ApiError, match="No Experiment with id=999 exists") as caught:
            client.call("GET", "/api/2.0/mlflow/experiments/get", query={"experiment_id": "999"})
    assert caught.value.code == "RESOURCE_DOES_NOT_EXIST"
    assert found["experiment"]["name"] == "embedded"
    assert other["experiment_id"] != made["experiment_id"]
