"""Serves the built console: its files, and index.html for every other path, because it routes its pages itself."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, HTMLResponse, Response

from twinloop.core.errors import NotFound

STATIC = Path(__file__).parent / "static"
_INDEX = "index.html"
_ASSETS = "assets/"

_CSP = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_NOT_BUILT = (
    "<!doctype html><meta charset=utf-8><title>Twinloop</title><h1>Twinloop is running</h1>"
    "<p>The console is not built. Run <code>make web</code> in the checkout, then reload. "
    "The API is at <a href=/api/v1/status>/api/v1/status</a>.</p>"
)


class Console:
    """The console in ``folder``: its files, and its index page for every other path that is not under /assets/."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder

    def page(self, path: str) -> Response:
        """The answer to a GET of ``path``, which has no leading slash.

        Raises:
            NotFound: there is no such file under /assets/; a page in its place would be taken for a script.
        """
        found = self._files().get(path)
        if found is not None and path != _INDEX:
            caching = "public, max-age=31536000, immutable" if path.startswith(_ASSETS) else "no-cache"
            return FileResponse(found, headers={"cache-control": caching})
        if path.startswith(_ASSETS):
            raise NotFound(f"The console has no file {path[:200]}. Reload the page: it may have been built anew.")
        headers = {"cache-control": "no-cache", "content-security-policy": _CSP}
        index = self._folder / _INDEX
        return FileResponse(index, headers=headers) if index.is_file() else HTMLResponse(_NOT_BUILT, headers=headers)

    def _files(self) -> dict[str, Path]:
        """Every file by its path. What is asked for is looked up here and so never reaches the file system."""
        return {file.relative_to(self._folder).as_posix(): file for file in self._folder.rglob("*") if file.is_file()}
