"""A server that speaks MLflow's REST interface and says what no honest one would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Answer = dict[str, Any] | bytes | int
"""JSON, raw bytes, or a status."""


class HostileMlflow:
    """Answers by path; ``answers`` map a path to what it says, or to what makes it from the query and body."""

    def __init__(self, answers: dict[str, Answer | Callable[[dict[str, str], Any], Answer]]) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer(json.loads(body or b"null"))

            def _answer(self, body: Any) -> None:
                parts = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                outer.asked.append((unquote(parts.path), dict(self.headers)))
                said = answers.get(unquote(parts.path), 404)
                said = said(query, body) if callable(said) else said
                status = said if isinstance(said, int) else 200
                data = (
                    said if isinstance(said, bytes) else b"{}" if isinstance(said, int) else json.dumps(said).encode()
                )
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> HostileMlflow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
