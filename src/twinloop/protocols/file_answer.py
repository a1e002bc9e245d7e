"""Answers with the bytes of a file: whole or a range of it, or that the caller has them already (RFC 9110, section 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from starlette.responses import Response, StreamingResponse

from twinloop.protocols.http import Call

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})\Z")

Open = Callable[[int, int], AsyncIterator[bytes]]


class Span(NamedTuple):
    """Bytes from ``start`` up to, not including, ``end``."""

    start: int
    end: int


def file_answer(call: Call, size: int, tag: str, headers: Mapping[str, str], opened: Open) -> Response:
    """The answer for a file of ``size`` bytes whose content ``tag`` names; to HEAD only its headers.

    ``headers`` have the content type. A range that is not understood, or one of many, gives the whole file.
    """
    quoted = f'"{tag}"'
    sent = {**headers, "etag": quoted, "accept-ranges": "bytes"}
    if quoted in _tags(call.headers.get("if-none-match", "")):
        return Response(status_code=304, headers={name: sent[name] for name in ("etag", "accept-ranges")})
    span = _asked(call.headers, size, quoted)
    if span is not None and span.start >= size:
        return Response(status_code=416, headers={"content-range": f"bytes */{size}", "etag": quoted})
    status = 200
    if span is not None:
        status = 206
        sent["content-range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    start, end = span or Span(0, size)
    sent["content-length"] = str(end - start)
    if call.method == "HEAD":
        return Response(status_code=status, headers=sent)
    return StreamingResponse(opened(start, end), status, sent)


def _asked(headers: Mapping[str, str], size: int, quoted: str) -> Span | None:
    """The range asked for, cut to the file; one that begins at or after its end cannot be given."""
    if headers.get("if-range", quoted) != quoted:
        return None
    found = _RANGE.match(headers.get("range", "").strip())
    if found is None:
        return None
    first, last = found["first"], found["last"]
    if first:
        end = min(int(last) + 1, size) if last else size
        return Span(int(first), end) if int(first) < end or int(first) >= size else None
    return Span(max(0, size - int(last)), size) if last and (int(last) or size == 0) else None


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]
