"""Which paths are files of the console, which are its pages, and which are neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.responses import FileResponse

from twinloop.core.errors import NotFound
from twinloop.server.console import Console


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<title>Twinloop</title>")
    (static / "assets" / "index-1.js").write_text("start()")
    (static / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret").write_text("secret")
    return static


def served(folder: Path, path: str) -> Path:
    answer = Console(folder).page(path)
    assert isinstance(answer, FileResponse)
    return Path(answer.path)


@pytest.mark.parametrize(
    "path", ["", "index.html", "traces", "releases/flight-delay", "favicon.ico", "assets", "x" * 5000]
)
def test_the_root_and_unknown_paths_are_pages_of_the_console(folder: Path, path: str) -> None:
    assert served(folder, path) == folder / "index.html"
    headers = Console(folder).page(path).headers
    assert headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in headers["content-security-policy"]


def test_built_files_are_served_and_kept_by_browsers(folder: Path) -> None:
    assert served(folder, "assets/index-1.js") == folder / "assets" / "index-1.js"
    assert "immutable" in Console(folder).page("assets/index-1.js").headers["cache-control"]
    assert served(folder, "favicon.svg") == folder / "favicon.svg"
    assert Console(folder).page("favicon.svg").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["assets/", "assets/index-0.js", "assets/../index.html", "assets/../../secret", "assets/" + "x" * 5000]
)
def test_a_missing_asset_is_not_answered_with_a_page(folder: Path, path: str) -> None:
    with pytest.raises(NotFound, match="Reload"):
        Console(folder).page(path)


@pytest.mark.parametrize("path", ["../secret", "..", "/etc/passwd", "./../secret", "a/../../secret"])
def test_no_path_leads_out_of_the_folder(folder: Path, path: str) -> None:
    assert served(folder, path) == folder / "index.html"


def test_a_console_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    answer = Console(tmp_path / "none").page("")
    assert b"make web" in answer.body
    with pytest.raises(NotFound):
        Console(tmp_path / "none").page("assets/index-1.js")
