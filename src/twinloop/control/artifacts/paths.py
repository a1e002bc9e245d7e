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


class LeadsElsewhere(InvalidInput):
    """A path that would step out of the place it is relative to, as it is written or once it is percent-decoded."""


def check_path(path: str) -> str:
    """Return ``path`` if it names something below the root: segments joined by ``/``, none of them a step elsewhere.

    A path that turns into a step elsewhere when it is percent-decoded, once or many times, is refused as well: some
    client or proxy may decode it once more than we do.

    Raises:
        LeadsElsewhere: absolute, a drive, a backslash, or a segment ``.`` or ``..``.
        InvalidInput: empty, an empty segment, a control character, or too long.
    """
    # What is too long for a path is not decoded either: that would keep everybody waiting.
    step = _step_elsewhere_once_decoded(path[: PATH_LIMIT + 1])
    if step is not None:
        raise LeadsElsewhere(_invalid(path, step))
    objection = _objection(path)
    if objection is not None:
        raise InvalidInput(_invalid(path, objection))
    return path


def check_folder(path: str) -> str:
    """As ``check_path``; the empty text is the root, and one slash at the end is taken off."""
    return check_path(path.removesuffix("/")) if path else path


def join(folder: str, path: str) -> str:
    """``path`` below ``folder``; either may be empty."""
    return f"{folder}/{path}" if folder and path else folder or path


def _invalid(path: str, objection: str) -> str:
    return f"Invalid path: {path[:200]!r} {objection}. Use names joined by '/', relative to where the artifacts lie."


def _objection(path: str) -> str | None:
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        return "is not valid Unicode"
    if len(path.encode()) > PATH_LIMIT:
        return f"is longer than {PATH_LIMIT} bytes"
    if any(letter < " " or letter == "\x7f" for letter in path):
        return "holds a control character"
    names = path.split("/")
    if "" in names:
        return "holds an empty segment" if path else "is empty"
    if any(len(name.encode()) > NAME_LIMIT for name in names):
        return f"holds a name longer than {NAME_LIMIT} bytes"
    return None


def _step_elsewhere_once_decoded(path: str) -> str | None:
    for _ in range(_DECODINGS):
        step = _step_elsewhere(path)
        decoded = unquote(path)
        if step is not None or decoded == path:
            return step
        path = decoded
    return "is percent-encoded too many times"


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
