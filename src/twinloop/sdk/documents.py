"""Documents from a program: take a folder in, read a document's text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinloop.core.errors import NotFound
from twinloop.sdk.client import Client

Json = dict[str, Any]


class Documents:
    def __init__(self, client: Client) -> None:
        self._client = client

    def ingest(self, corpus: str, folder: Path | str) -> Json:
        """Upload every Markdown, HTML, text and PDF file below ``folder`` and have it read.

        Hidden files and other formats are passed over. Returns {documents: [ref], refused: [{path, reason}],
        unchanged: n}; document references are ``document/<corpus>/<path>@<n>``.

        Raises:
            NotFound: there is no such folder, or no document in it.
        """
        root = Path(folder)
        files = document_files(root)
        if not files:
            raise NotFound(f"{root} holds no Markdown, HTML, text or PDF file. Name a folder that does.")
        uploaded = [
            {"path": file.relative_to(root).as_posix(), "digest": self._client.blobs.upload(file)["digest"]}
            for file in files
        ]
        return self._client.call("POST", "/api/v1/documents", {"corpus": corpus, "files": uploaded})

    def text(self, ref: str) -> str:
        """The text of a document; a citation's ``start`` and ``end`` count its characters."""
        return str(self._client.call("GET", f"/api/v1/documents/{ref}/text")["text"])


def document_files(folder: Path) -> list[Path]:
    """Files below ``folder`` that can be read as documents, in order of their paths, without hidden ones."""
    from twinloop.llm.documents.model import MEDIA_TYPES

    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in MEDIA_TYPES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
