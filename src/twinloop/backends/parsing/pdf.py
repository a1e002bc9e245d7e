"""PDF: the text layer, page by page, with headings from the outline or, where there is none, one per page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_GetLastError

from twinloop.backends.parsing.plain import shortened
from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.model import Heading, Parsed

_PAGES = 5_000
_NO_TITLE = frozenset({"", "untitled", "(anonymous)", "(unspecified)"})
_HYPHEN_AT_LINE_END = re.compile("(?<=\\w)[\ufffe\u00ad\u0002-]\n(?=[a-z])")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\u00ad\ud800-\udfff]")


def read(file: Path, name: str) -> Parsed:
    document = _opened(file)
    try:
        if len(document) > _PAGES:
            raise DocumentRefused(f"It has {len(document):,} pages; up to {_PAGES:,} are read. Split it into parts.")
        pages = [_page_text(document, number) for number in range(len(document))]
        if not any(page.strip() for page in pages):
            raise DocumentRefused(
                "No page has a text layer: it was scanned or drawn. Run text recognition (OCR) over it and give the result."
            )
        starts, text = _joined(pages)
        title = shortened(_CONTROL.sub("", document.get_metadata_dict().get("Title") or ""))
        empty = [str(number) for number, page in enumerate(pages, 1) if not page.strip()]
        return Parsed(
            title=name.rpartition(".")[0] or name if title.lower() in _NO_TITLE else title,
            text=text,
            headings=tuple(_outline(document, text, starts)) or tuple(_per_page(pages, starts)),
            notes=(f"no text on page {', '.join(empty)}",) if empty else (),
        )
    finally:
        document.close()


def _opened(file: Path) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if FPDF_GetLastError() == FPDF_ERR_PASSWORD or "assword" in str(error):
            raise DocumentRefused("It is encrypted with a password. Save it without one and give it again.") from None
        raise DocumentRefused("It is damaged or not a PDF. Open it in a viewer and save it again.") from None


def _page_text(document: pypdfium2.PdfDocument, number: int) -> str:
    page = document[number]
    try:
        raw = page.get_textpage().get_text_range()
    finally:
        page.close()
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _HYPHEN_AT_LINE_END.sub("", text))


def _joined(pages: list[str]) -> tuple[list[int], str]:
    """Where each page starts in the text, and the text: pages with an empty line between them."""
    starts: list[int] = []
    length = 0
    for page in pages:
        starts.append(length)
        length += len(page) + 2
    return starts, "\n\n".join(pages)


def _per_page(pages: list[str], starts: list[int]) -> Iterator[Heading]:
    for number, (page, start) in enumerate(zip(pages, starts, strict=True), 1):
        if page.strip():
            yield Heading(1, f"Page {number}", start, start)


def _outline(document: pypdfium2.PdfDocument, text: str, starts: list[int]) -> Iterator[Heading]:
    """Outline entries at the first place, from their page on and after the entry before, where their title is shown."""
    place = 0
    for entry in document.get_toc():
        title = shortened(_CONTROL.sub("", entry.get_title()))
        target = entry.get_dest()
        index = target.get_index() if target is not None else None
        if not title or index is None or index >= len(starts):
            continue
        begin = max(place, starts[index])
        stop = starts[index + 1] if index + 1 < len(starts) else len(text)
        shown = re.compile(r"\s+".join(map(re.escape, title.split()))).search(text, begin, stop)
        start, end = shown.span() if shown else (min(begin, len(text)),) * 2
        yield Heading(entry.level + 1, title, start, end)
        place = end
