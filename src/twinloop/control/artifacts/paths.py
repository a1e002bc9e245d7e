"""Which texts are paths of artifacts. What is not one never reaches a table, a disk or a bucket."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from twinloop.core.errors import InvalidInput

PATH_LIMIT = 1024
"""Bytes of UTF-8; the longest key that S3 takes."""
NAME_LIMIT = 255
"""Bytes of UTF-8 of one segment; the longest file name that file systems take, so that a download fits anywhere."""

SCHEME = "mlflow-artifacts"
"""What the URI of a place in the tree begins with; MLflow's clients know it."""

_DRIVE = re.compile(r"[A-Za-z]:")
_DECODINGS = 8


def check_path(path: str) -> str:
    """Return ``path`` if it names something below the root: segments joined by ``/``, none of them a step elsewhere.

    A path that turns into a step elsewhere when it is percent-decoded, once or many times, is refused as well: some
    client or proxy may decode it once more than we do.

    Raises:
        InvalidInput: empty, absolute, a drive, a backslash, a control character, an empty segment, ``.`` or ``..``,
            or too long.
    """
    objection = _objection(path) or _step_elsewhere(path)
    decoded = path
    for _ in range(_DECODINGS):
        if objection is not None or "%" not in decoded:
            break
        decoded, before = unquote(decoded), decoded
        if decoded == before:
            break
        objection = _step_elsewhere(decoded)
    else:
        objection = "is percent-encoded too many times"
    if objection is not None:
        raise InvalidInput(
            f"Invalid path: {path[:200]!r} {objection}. Use names joined by '/', relative to where the artifacts lie."
        )
    return path


def check_folder(path: str) -> str:
    """As ``check_path``; the empty text is the root, and one slash at the end is taken off."""
    return check_path(path.removesuffix("/")) if path else path


def join(folder: str, path: str) -> str:
    """``path`` below ``folder``; either may be empty."""
    return f"{folder}/{path}" if folder and path else folder or path


def _objection(path: str) -> str | None:
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        return "is not valid Unicode"
    if len(path.encode()) > PATH_LIMIT:
        return f"is longer than {PATH_LIMIT} bytes"
    if any(letter < " " or letter == "\x7f" for letter in path):
        return "holds a control character"
    names = path.split("/")
    if "" in names:
        return "is empty" if not path else "is absolute" if path[0] == "/" else "holds an empty segment"
    if any(len(name.encode()) > NAME_LIMIT for name in names):
        return f"holds a name longer than {NAME_LIMIT} bytes"
    return None


def _step_elsewhere(path: str) -> str | None:
    if "\\" in path:
        return "holds a backslash"
    if path.startswith("/"):
        return "is absolute"
    if _DRIVE.match(path):
        return "begins with a drive"
    for name in path.split("/"):
        if name in (".", ".."):
            return f"holds the segment {name!r}"
    return None


def place_of(uri: str) -> str:
    """The path that an artifact URI of ours means: ``mlflow-artifacts:/1/run/artifacts`` → ``1/run/artifacts``.

    Raises:
        InvalidInput: the artifacts lie outside of Twinloop, or the path cannot be one.
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME:
        raise InvalidInput(f"The artifacts lie at {uri[:300]!r}, outside of this server. Read and write them there.")
    return check_folder(parts.path.lstrip("/"))
