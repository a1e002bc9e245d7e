"""Plain text: the text is the file itself."""

from __future__ import annotations

import codecs
from pathlib import Path

from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.model import Parsed

_TITLE_LIMIT = 200
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(file: Path, name: str) -> Parsed:
    text = decode(file.read_bytes())
    return Parsed(title=name.rpartition(".")[0] or name, text=text)


def decode(data: bytes) -> str:
    """The characters of UTF-8 or, with a byte order mark, UTF-16 bytes; the mark itself is left out.

    Raises:
        DocumentRefused: neither, or not text, or nothing but white space.
    """
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentRefused(f"It is not UTF-8 text (byte {error.start}). Save it with the encoding UTF-8.") from None
    if "\0" in text:
        raise DocumentRefused("It holds zero bytes, so it is not text. Give a file with text.")
    if not text.strip():
        raise DocumentRefused("It holds no text. Leave it out or write something into it.")
    return text


def shortened(title: str) -> str:
    return " ".join(title.split())[:_TITLE_LIMIT]
