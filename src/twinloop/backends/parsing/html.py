"""HTML: the text a reader sees, block by block, with headings at their place in it."""

from __future__ import annotations

import re
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from twinloop.backends.parsing.plain import shortened
from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.model import Heading, Parsed

_UNSEEN = frozenset(
    {"script", "style", "noscript", "template", "svg", "math", "head", "iframe", "object", "embed", "canvas"}
    | {"audio", "video", "select", "button", "nav", "footer"}
)
_PARAGRAPHS = frozenset({"p", "pre", "table", "ul", "ol", "blockquote", "section", "article"})
_BLOCK = _PARAGRAPHS | {
    *("address", "aside", "body", "br", "caption", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption"),
    *("figure", "form", "header", "hr", "html", "li", "main", "summary", "tbody", "tfoot", "thead", "tr"),
}
_CELL = frozenset({"td", "th"})
_HEADING = re.compile(r"h[1-6]\Z")
_SPACE = re.compile(r"\s+")
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)


def read(file: Path, name: str) -> Parsed:
    page = LexborHTMLParser(_decoded(file.read_bytes()))
    title = page.css_first("title")
    page_title = shortened(title.text()) if title is not None else ""
    writer = _Writer()
    if page.root is not None:
        _walk(page.root, writer)
    text, headings = writer.finished()
    if not text.strip():
        raise DocumentRefused("It shows no text without running scripts. Save the page as text or PDF from a browser.")
    first = next((heading.title for heading in headings), "")
    return Parsed(title=page_title or first or name, text=text, headings=headings)


def _decoded(data: bytes) -> str:
    declared = _CHARSET.search(data[:4096])
    encoding = declared[1].decode("ascii") if declared else "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise DocumentRefused(
            f"It is not text in the encoding {encoding[:40]}. Save it with the encoding UTF-8."
        ) from None


class _Writer:
    """Collects text with white space collapsed as a browser does, and remembers where each heading lies."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._last = "\n"
        self._headings: list[Heading] = []
        self._open: list[tuple[int, int]] = []

    def text(self, raw: str, *, preserve: bool = False) -> None:
        shown = raw if preserve else _SPACE.sub(" ", raw)
        if not preserve and self._last.isspace():
            shown = shown.lstrip(" ")
        self._add(shown)

    def line_break(self, blank: bool = False) -> None:
        """Begin a new line, after an empty one if ``blank``, unless that is where the text stands already."""
        if not self._length or self._last_two() == "\n\n":
            return
        if self._last != "\n":
            self._add("\n\n" if blank else "\n")
        elif blank:
            self._add("\n")

    def open_heading(self, level: int) -> None:
        self._open.append((level, self._length))

    def close_heading(self) -> None:
        level, start = self._open.pop()
        title = shortened("".join(self._parts)[start : self._length])
        if title and not self._open:
            self._headings.append(Heading(level, title, start, self._length))

    def finished(self) -> tuple[str, tuple[Heading, ...]]:
        return "".join(self._parts), tuple(self._headings)

    def _add(self, shown: str) -> None:
        if shown:
            self._parts.append(shown)
            self._length += len(shown)
            self._last = shown[-1]

    def _last_two(self) -> str:
        return "".join(self._parts[-2:])[-2:]


def _walk(root: LexborNode, writer: _Writer) -> None:
    """Document order with an explicit stack: foreign pages may be nested deeper than Python's own."""
    preserving = 0
    stack: list[tuple[LexborNode, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        tag = node.tag or ""
        if leaving:
            preserving -= tag == "pre"
            _leave(tag, writer)
            continue
        if node.is_text_node:
            writer.text(node.text_content or "", preserve=preserving > 0)
            continue
        if tag in _UNSEEN or node.is_comment_node:
            continue
        preserving += tag == "pre"
        _enter(tag, writer)
        stack.append((node, True))
        child = node.last_child
        while child is not None:
            stack.append((child, False))
            child = child.prev


def _enter(tag: str, writer: _Writer) -> None:
    if _HEADING.match(tag):
        writer.line_break(blank=True)
        writer.open_heading(int(tag[1]))
    elif tag in _BLOCK:
        writer.line_break(blank=tag in _PARAGRAPHS)
        if tag == "li":
            writer.text("- ")


def _leave(tag: str, writer: _Writer) -> None:
    if _HEADING.match(tag):
        writer.close_heading()
        writer.line_break(blank=True)
    elif tag in _CELL:
        writer.text(" | ")
    elif tag in _BLOCK:
        writer.line_break(blank=tag in _PARAGRAPHS)
