"""The kind ``document``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twinloop.core.digests import Digest, parse_digest
from twinloop.core.errors import InvalidInput
from twinloop.llm.documents.manifests import decode
from twinloop.llm.documents.model import MEDIA_TYPES, DocumentManifest


class DocumentKind:
    name = "document"

    def validate(self, manifest: Mapping[str, Any]) -> None:
        document = decode(manifest, DocumentManifest, self.name)
        if document.media_type not in MEDIA_TYPES.values():
            raise InvalidInput(
                f"media_type {document.media_type[:60]!r} is not one of {sorted(set(MEDIA_TYPES.values()))}."
            )
        for file in (document.files.original, document.files.text):
            parse_digest(file.digest)
        place = 0
        for heading in document.headings:
            if not place <= heading.start <= heading.end <= document.chars or heading.level < 1:
                raise InvalidInput(f"The heading {heading.title[:60]!r} lies outside the text or out of order.")
            place = heading.end

    def requires(self, manifest: Mapping[str, Any]) -> Sequence[Digest]:
        return ()
