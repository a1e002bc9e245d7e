"""Between MLflow's artifact paths, URIs and file infos and ours; pure."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from twinloop.control.artifacts.model import Artifact
from twinloop.control.artifacts.paths import LeadsElsewhere, check_path, join
from twinloop.core.errors import InvalidInput

Json = dict[str, Any]

ANCHOR = "/mlflow-artifacts/artifacts"
"""What stands before an artifact's path in the URL of a server that proxies artifacts."""

_ELSEWHERE = "Invalid path"

# What MLflow serves as text, so that a browser shows it, whatever the system's table of types says.
_TEXT = re.compile(
    r"txt|log|err|cfg|conf|cnf|cf|ini|properties|prop|hocon|toml|ya?ml|xml|json|js|py3?|csv|tsv|md|rst|ipynb|MLmodel|mlproject"
)
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def safe_path(text: str) -> str:
    """``text`` as a path of ours, empty for the root. As in MLflow, ``.`` and doubled or final slashes mean nothing.

    Raises:
        InvalidInput: it leads elsewhere, or holds a ``#``, which MLflow's clients cannot ask for. The message is MLflow's,
            to the letter: programs compare the whole answer.
    """
    decoded = text
    for _ in range(10):
        if "#" in decoded or decoded.startswith(("/", "file:")):
            raise InvalidInput(_ELSEWHERE)
        decoded, before = unquote(decoded), decoded
        if decoded == before:
            break
    path = "/".join(name for name in text.split("/") if name not in ("", "."))
    try:
        return check_path(path) if path else ""
    except LeadsElsewhere as error:
        raise InvalidInput(_ELSEWHERE) from error


def file_path(text: str) -> str:
    """As ``safe_path``, of a file or folder: never the root."""
    path = safe_path(text)
    if not path:
        raise InvalidInput(f"Invalid path: {text[:200]!r} is the root of all artifacts. Name something in it.")
    return path


def base_name(text: str) -> str:
    """The last name of a path on the client's machine, whichever way its slashes lean."""
    name = text.replace("\\", "/").rpartition("/")[2]
    if not name:
        raise InvalidInput(f"Invalid path: {text[:200]!r} names no file.")
    return name


def place_of(uri: str) -> str:
    """The path of ours that an artifact URI means: ``mlflow-artifacts:/1/run/artifacts`` → ``1/run/artifacts``.

    Raises:
        InvalidInput: the artifacts lie outside of Twinloop.
    """
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        return safe_path(parts.path.lstrip("/"))
    if parts.scheme in ("http", "https") and ANCHOR in parts.path:
        return safe_path(parts.path.partition(ANCHOR)[2].lstrip("/"))
    raise InvalidInput(
        f"These artifacts lie at {uri[:300]!r}, outside of this server, which does not read there. Use a client that can."
    )


def file_infos(found: Iterable[Artifact], folder: str) -> Json:
    """A listing as MLflow has it, with paths below ``folder``. What is empty is left out: no files, a size of 0."""
    files: list[Json] = []
    for one in found:
        info: Json = {"path": join(folder, one.name), "is_dir": one.is_dir}
        if one.size:
            info["file_size"] = one.size
        files.append(info)
    return {"files": files} if files else {}


def file_headers(name: str) -> dict[str, str]:
    """Type and name of a file, always as an attachment: shown in our origin, a page could act as its reader."""
    return {"content-type": mime_type(name), "content-disposition": disposition(name)}


def mime_type(name: str) -> str:
    suffix = PurePosixPath(name).suffix.removeprefix(".") or name
    if _TEXT.fullmatch(suffix):
        return "text/plain"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def disposition(name: str) -> str:
    """``Content-Disposition`` for a download (RFC 6266), with an ASCII name for clients that read no other."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "download"
    shown = ascii_name if _TOKEN.issuperset(ascii_name) else '"' + _escaped(ascii_name) + '"'
    if name.isascii():
        return f"attachment; filename={shown}"
    return f"attachment; filename={shown}; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
