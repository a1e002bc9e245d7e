"""What can go wrong with a document."""

from __future__ import annotations

from twinloop.core.errors import Refused


class DocumentRefused(Refused):
    """A document cannot be read; the message is the reason and what to do. Other documents are not concerned."""

    code = "document_refused"
