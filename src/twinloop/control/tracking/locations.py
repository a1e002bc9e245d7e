"""Where artifacts lie, as URIs."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_END = re.compile(r"[?#]")


def below(location: str, *names: str) -> str:
    """The URI or path of something in the folder ``location``; what a URI asks for or points to stays behind it."""
    end = _END.search(location) if _SCHEME.match(location) else None
    folder, rest = (location[: end.start()], location[end.start() :]) if end else (location, "")
    return "/".join((folder.rstrip("/"), *names)) + rest
