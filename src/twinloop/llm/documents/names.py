"""The name of a document's revision, derived from the path of its file."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from twinloop.core.errors import InvalidInput
from twinloop.core.ids import check_name

_LIMIT = 160
_FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")


def document_name(corpus: str, path: str) -> str:
    """``corpus/path`` as a revision's name.

    The name depends on the path alone, so a document keeps it whatever lies beside it. A path that must be altered to
    be a name gets eight hex digits of its hash, so no two paths share a name.

    Raises:
        InvalidInput: the path is empty, absolute, or climbs out of the folder.
    """
    parts = path.split("/")
    if not path or "\\" in path or any(part in {"", ".", ".."} for part in parts) or not path.isprintable():
        raise InvalidInput(f"{path[:120]!r} is not a path inside a folder. Give it relative, with '/', without '..'.")
    wanted = "/".join(_segment(part) for part in parts)
    if wanted != path or len(wanted) > _LIMIT:
        wanted = f"{wanted[: _LIMIT - 9].rstrip('/')}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
    return check_name(f"{corpus}/{wanted}", "document name")


def _segment(part: str) -> str:
    plain = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    plain = _FOREIGN.sub("-", plain).strip("-")
    return plain if plain[:1].isalnum() or plain[:1] == "_" else f"_{plain}"
