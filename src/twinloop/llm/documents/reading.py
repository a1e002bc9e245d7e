"""Text as a reader sees it: without link targets and marks. For embedding, prompting and answering, never for spans."""

from __future__ import annotations

import re
from html import unescape

_IMAGE = re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]+)\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,300}>|<!--.*?-->", re.DOTALL)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+)", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__|\*|`+)(?=\S)(.+?)(?<=\S)\1")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n]*\n?", re.MULTILINE)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{3,}[-:| \t]*$", re.MULTILINE)
_SPACE = re.compile(r"[ \t\xa0]*\n\s*|[ \t\xa0]{2,}")


def readable(text: str) -> str:
    """One line or paragraph of Markdown or plain text without its marks, white space collapsed."""
    text = _TABLE_RULE.sub("", _FENCE_LINE.sub("", text))
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _EMPHASIS.sub(r"\2", _LINE_MARK.sub("", _TAG.sub("", text)))
    return _SPACE.sub(" ", unescape(text)).strip().strip("|").strip()


def passage(heading: tuple[str, ...], text: str) -> str:
    """What is embedded for a chunk: its heading path, then its text."""
    return f"{' > '.join(heading)}\n{readable(text)}" if heading else readable(text)
