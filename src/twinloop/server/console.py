"""Serves the built console: its files, and index.html for every path that is a page of it."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

STATIC = Path(__file__).parent / "static"

_CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = (
    "<!doctype html><meta charset=utf-8><title>Twinloop</title><h1>Twinloop is running</h1>"
    "<p>The console is not built. Run <code>make web</code> in the checkout, then reload. "
    "The API is at <a href=/api/v1/status>/api/v1/status</a>.</p>"
)


def built() -> bool:
    return (STATIC / "index.html").is_file()


async def page(request: Request) -> Response:
    """A file of the console, or its index page. Paths are resolved and must stay inside the folder."""
    wanted = (STATIC / request.path_params.get("path", "")).resolve()
    if wanted.is_file() and wanted.is_relative_to(STATIC.resolve()) and wanted.name != "index.html":
        caching = "public, max-age=31536000, immutable" if wanted.parent.name == "assets" else "no-cache"
        return FileResponse(wanted, headers={"cache-control": caching})
    if not built():
        return HTMLResponse(_NOT_BUILT, headers={"content-security-policy": _CSP})
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache", "content-security-policy": _CSP})
