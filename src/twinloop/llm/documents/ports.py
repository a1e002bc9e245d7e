"""What the LLM lane needs of a parser of foreign documents."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from twinloop.llm.documents.model import Parsed


class Parser(Protocol):
    """Reads foreign files where they can do no harm: in another process, with limits on memory, time and size."""

    async def parse(self, file: Path, media_type: str, name: str) -> Parsed:
        """Read one file whole; ``name`` gives the title when the file has none.

        Raises:
            DocumentRefused: the file is damaged, encrypted, without text or beyond a limit. The parser stays usable.
        """
        ...

    async def aclose(self) -> None: ...
