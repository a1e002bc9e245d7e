from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from twinloop.backends.parsing import Limits, ProcessParser
from twinloop.llm.documents.errors import DocumentRefused

HTML = "text/html"
TEXT = "text/plain"


@pytest.fixture
async def parser() -> AsyncIterator[ProcessParser]:
    opened = ProcessParser()
    yield opened
    await opened.aclose()


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


async def test_html_becomes_the_text_a_reader_sees(parser: ProcessParser, tmp_path: Path) -> None:
    page = (
        "<title>T</title><body><nav>menu</nav><h1>Big <b>one</b></h1><p>First\n  line.<br>Next</p>"
        "<ul><li>a</li><li>b</li></ul><script>evil()</script><pre>x\n  y</pre><table><tr><td>1</td><td>2</td></tr></table>"
    )
    parsed = await parser.parse(written(tmp_path, "a.html", page), HTML, "a.html")
    assert parsed.title == "T"
    assert [parsed.text[h.start : h.end] for h in parsed.headings] == ["Big one"]
    assert "First line.\nNext" in parsed.text
    assert "- a\n- b" in parsed.text
    assert "x\n  y" in parsed.text
    assert "1 | 2" in parsed.text
    assert "evil" not in parsed.text
    assert "menu" not in parsed.text


async def test_html_in_another_declared_encoding_is_read(parser: ProcessParser, tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-1"><p>Grüße'.encode("latin-1")
    assert (await parser.parse(written(tmp_path, "a.html", page), HTML, "a.html")).text.strip() == "Grüße"


async def test_html_nested_twenty_thousand_deep_is_read(parser: ProcessParser, tmp_path: Path) -> None:
    """Twenty times as deep as Python's own stack. HTML's rules take time with the square of the depth; lexbor half a
    second here, and half a minute, the limit of the parser, at a hundred thousand."""
    page = "<div>" * 20_000 + "deep"
    assert "deep" in (await parser.parse(written(tmp_path, "a.html", page), HTML, "a.html")).text


async def test_a_document_over_the_time_limit_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    parser = ProcessParser(Limits(seconds=1.5))
    fifo = tmp_path / "never-ends.txt"
    os.mkfifo(fifo)
    with pytest.raises(DocumentRefused, match=r"within 1\.5 seconds"):
        await parser.parse(fifo, TEXT, "x.txt")
    assert (await parser.parse(written(tmp_path, "a.txt", "fine"), TEXT, "a.txt")).text == "fine"
    await parser.aclose()


async def test_a_document_over_the_memory_limit_is_refused_and_the_next_is_read(tmp_path: Path) -> None:
    parser = ProcessParser(Limits(memory_bytes=256 * 2**20, file_bytes=2**30))
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(600 * 2**20)
    with pytest.raises(DocumentRefused, match="memory"):
        await parser.parse(big, TEXT, "big.txt")
    assert (await parser.parse(written(tmp_path, "a.txt", "fine"), TEXT, "a.txt")).text == "fine"
    await parser.aclose()


async def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    parser = ProcessParser(Limits(file_bytes=10, chars=5))
    with pytest.raises(DocumentRefused, match="11 bytes"):
        await parser.parse(written(tmp_path, "a.txt", "x" * 11), TEXT, "a.txt")
    with pytest.raises(DocumentRefused, match="over 5 characters"):
        await parser.parse(written(tmp_path, "a.txt", "x" * 6), TEXT, "a.txt")
    await parser.aclose()


async def test_a_killed_worker_costs_one_document(parser: ProcessParser, tmp_path: Path) -> None:
    file = written(tmp_path, "a.txt", "fine")
    await parser.parse(file, TEXT, "a.txt")
    worker = parser._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    await worker.wait()
    assert (await parser.parse(file, TEXT, "a.txt")).text == "fine"


async def test_documents_asked_for_at_once_do_not_mix(parser: ProcessParser, tmp_path: Path) -> None:
    files = [written(tmp_path, f"{n}.txt", f"text {n}") for n in range(20)]
    parsed = await asyncio.gather(*(parser.parse(file, TEXT, file.name) for file in files))
    assert [each.text for each in parsed] == [f"text {n}" for n in range(20)]


async def test_text_in_utf16_with_a_mark_is_read_and_other_bytes_are_refused(
    parser: ProcessParser, tmp_path: Path
) -> None:
    parsed = await parser.parse(written(tmp_path, "a.txt", "héllo".encode("utf-16")), TEXT, "a.txt")
    assert parsed.text == "héllo"
    with pytest.raises(DocumentRefused, match="UTF-8"):
        await parser.parse(written(tmp_path, "b.txt", b"caf\xe9"), TEXT, "b.txt")
    with pytest.raises(DocumentRefused, match="zero bytes"):
        await parser.parse(written(tmp_path, "c.txt", b"a\0b"), TEXT, "c.txt")
