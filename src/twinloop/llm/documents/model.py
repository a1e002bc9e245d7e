"""What a document is once it has been read: text, headings with their place in it, and the manifest of its revision."""

from __future__ import annotations

from typing import Any

import msgspec

from twinloop.core.digests import Digest

MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".pdf": "application/pdf",
}
"""What is read, by file suffix; the media type decides the parser."""

PARSING = 1
"""Raised when the same file would now give another text or other headings, so that documents are read again."""


class Heading(msgspec.Struct, frozen=True):
    """A heading at characters ``[start, end)`` of the text; its section runs from ``end`` to where the next one starts.

    ``level`` is 1 for the outermost. ``start == end`` for a heading the text does not show (a PDF page).
    """

    level: int
    title: str
    start: int
    end: int


class Parsed(msgspec.Struct, frozen=True):
    """A document's text. For Markdown and plain text it is the source itself; for HTML and PDF it is extracted.

    ``notes`` name what the text leaves out, such as a page that holds only a picture.
    """

    title: str
    text: str
    headings: tuple[Heading, ...] = ()
    notes: tuple[str, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """A file that was not taken in, and why, in a sentence that says what to do."""

    path: str
    reason: str


class SourceFile(msgspec.Struct, frozen=True):
    """A file to take in: its path relative to the corpus folder and the blob that holds it."""

    path: str
    digest: str


class StoredFile(msgspec.Struct, frozen=True):
    digest: Digest
    size: int


class DocumentFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    original: StoredFile
    text: StoredFile


class DocumentManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of a ``document`` revision. ``files.text`` is UTF-8; ``chars`` counts its characters."""

    path: str
    title: str
    media_type: str
    files: DocumentFiles
    headings: tuple[Heading, ...]
    chars: int
    parsing: int = PARSING
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class Ingested(msgspec.Struct, frozen=True):
    """``documents``: references of all files taken in, ``unchanged`` of which had this content already."""

    documents: tuple[str, ...]
    refused: tuple[Refusal, ...]
    unchanged: int
