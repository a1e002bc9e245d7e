"""Verbs on documents: take files in, read their text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import PurePosixPath

from twinloop.control.registry.model import Revision
from twinloop.control.registry.service import Registry
from twinloop.control.security.model import Principal, Role
from twinloop.control.store.ports import Blobs
from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput, NotFound
from twinloop.core.ids import check_name
from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.manifests import decode
from twinloop.llm.documents.model import (
    MEDIA_TYPES,
    PARSING,
    DocumentFiles,
    DocumentManifest,
    Ingested,
    Parsed,
    Refusal,
    SourceFile,
    StoredFile,
)
from twinloop.llm.documents.names import document_name
from twinloop.llm.documents.ports import Parser

_FILES = 10_000
_BLOCK = 1 << 20


class Documents:
    def __init__(self, registry: Registry, blobs: Blobs, parser: Parser) -> None:
        self._registry = registry
        self._blobs = blobs
        self._parser = parser

    async def ingest(self, who: Principal, corpus: str, files: Sequence[SourceFile]) -> Ingested:
        """Register a ``document/<corpus>/<path>`` revision for every file that can be read.

        A file that cannot be read is refused with a reason and leaves no trace; it never stops the others. A file
        whose newest revision holds the same bytes is not read again.

        Raises:
            InvalidInput: a bad corpus name, more than 10,000 files, or a path given twice.
        """
        who.require(Role.developer)
        check_name(corpus, "corpus")
        if len(files) > _FILES or len({file.path for file in files}) < len(files):
            raise InvalidInput(f"Give {_FILES} files at most, each path once.")
        taken: list[str] = []
        refused: list[Refusal] = []
        unchanged = 0
        for file in files:
            try:
                revision, read = await self._take_in(who, corpus, file)
            except (DocumentRefused, InvalidInput, NotFound) as error:
                refused.append(Refusal(file.path, error.message))
                continue
            taken.append(revision.ref)
            unchanged += not read
        return Ingested(tuple(taken), tuple(refused), unchanged)

    async def text(self, who: Principal, ref: str) -> str:
        """The text of a document, into which its headings, chunks and citations point."""
        return await read_text(self._blobs, await self._registry.get(who, ref))

    async def _take_in(self, who: Principal, corpus: str, file: SourceFile) -> tuple[Revision, bool]:
        """The file's revision, and whether the file had to be read for it."""
        name = document_name(corpus, file.path)
        digest = parse_digest(file.digest)
        newest = await self._registry.find(who, f"document/{name}")
        if newest is not None and _holds(newest, file.path, digest):
            return newest, False
        suffix = PurePosixPath(file.path).suffix.lower()
        media_type = MEDIA_TYPES.get(suffix)
        if media_type is None:
            readable = ", ".join(sorted(MEDIA_TYPES))
            raise DocumentRefused(
                f"Files named {suffix or 'without a suffix'} are not read. Convert it to one of {readable}."
            )
        size = await self._blobs.size(digest)
        if size is None:
            raise NotFound("Its bytes have not been uploaded. Upload the blob first.")
        parsed = await self._parser.parse(
            await self._blobs.local_path(digest), media_type, PurePosixPath(file.path).name
        )
        text = await self._blobs.put(_blocks(parsed.text.encode()))
        manifest = DocumentManifest(
            path=file.path,
            title=parsed.title,
            media_type=media_type,
            files=DocumentFiles(StoredFile(digest, size), StoredFile(text.digest, text.size)),
            headings=parsed.headings,
            chars=len(parsed.text),
            notes=parsed.notes,
        )
        registered = await self._registry.register(who, "document", name, manifest.to_json())
        return registered.revision, True


async def read_text(blobs: Blobs, document: Revision) -> str:
    """The text that a ``document`` revision holds."""
    manifest = decode(document.manifest, DocumentManifest, "document")
    return b"".join([chunk async for chunk in blobs.open(manifest.files.text.digest)]).decode()


def _holds(revision: Revision, path: str, digest: Digest) -> bool:
    manifest = revision.manifest
    return (
        manifest.get("path") == path
        and manifest.get("parsing") == PARSING
        and manifest["files"]["original"]["digest"] == digest
    )


async def _blocks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _BLOCK):
        yield data[start : start + _BLOCK]


__all__ = ["Documents", "Parsed", "read_text"]
