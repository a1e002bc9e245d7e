"""Markdown (CommonMark): the text is the source itself, headings are found by markdown-it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from twinloop.backends.parsing.plain import decode, shortened
from twinloop.llm.documents.model import Heading, Parsed

_LINE_START = re.compile(r"\r\n|\n|\r")
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?\r?\n(?:---|\.\.\.)[ \t]*(?=\r?\n|\Z)", re.DOTALL)
_NOT_LINE_END = re.compile(r"[^\r\n]")


def read(file: Path, name: str) -> Parsed:
    text = decode(file.read_bytes())
    found = headings(text)
    title = next((heading.title for heading in found if heading.level == 1), name.rpartition(".")[0] or name)
    return Parsed(title=shortened(title), text=text, headings=found)


def headings(text: str) -> tuple[Heading, ...]:
    """Headings that stand by themselves (not inside a list or quotation), in order, with their lines' spans."""
    starts = [0, *(match.end() for match in _LINE_START.finditer(text)), len(text)]
    tokens = MarkdownIt("commonmark").parse(_without_front_matter(text))
    found: list[Heading] = []
    for token, inline in pairwise(tokens):
        if token.type != "heading_open" or token.level != 0 or token.map is None:
            continue
        title = shortened(_plain(inline))
        if title:
            first, after = token.map
            end = len(text[starts[first] : starts[after]].rstrip()) + starts[first]
            found.append(Heading(level=int(token.tag[1]), title=title, start=starts[first], end=end))
    return tuple(found)


def _without_front_matter(text: str) -> str:
    """The same lines, with those of a leading YAML block blank, so that line numbers stay."""
    match = _FRONT_MATTER.match(text)
    return _NOT_LINE_END.sub(" ", match[0]) + text[match.end() :] if match else text


def _plain(inline: Token) -> str:
    return "".join(
        child.content if child.type in {"text", "code_inline", "image"} else " " if child.type.endswith("break") else ""
        for child in inline.children or ()
    )
