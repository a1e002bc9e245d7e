"""Walking through a source's folders with bounds, so that no listing can lead elsewhere or go on forever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from twinloop.control.artifacts.paths import check_path
from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.found import FoundFile

LARGEST = 2**40
"""Bytes; a file that is listed with more is refused."""
_FILES = 1_000_000
_DEPTH = 64


class Entry(NamedTuple):
    """One name in a folder."""

    path: str
    size: int
    is_folder: bool


def walk(listing: Callable[[str], Iterable[Entry]]) -> Iterator[FoundFile]:
    """Every file below a root, folder by folder; ``listing`` is given a folder's path relative to that root, first ``""``.

    A name that is not one below its folder, an absurd size, a tree too deep and a folder that holds itself come out as
    refused files.
    """
    waiting = [""]
    given = 0
    while waiting:
        folder = waiting.pop()
        for name, size, is_folder in sorted(listing(folder)):
            path = f"{folder}/{name}" if folder else name
            given += 1
            if given > _FILES:
                yield FoundFile(path, size, f"there are more than {_FILES} files and folders")
                return
            refused = _refusal(name, path, size)
            if refused is not None or not is_folder:
                yield FoundFile(path, size, refused)
            else:
                waiting.append(path)


def exactly(chunks: Iterable[bytes], file: FoundFile, of: str) -> Iterator[bytes]:
    """The bytes of ``file``; raises SourceUnreadable as soon as there are more, or in the end fewer, than it is listed with."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > file.size:
            raise SourceUnreadable(
                f"{file.path[:200]!r} of {of} is larger than the {file.size} bytes it is listed with."
            )
        yield chunk
    if size != file.size:
        raise SourceUnreadable(f"{file.path[:200]!r} of {of} has {size} bytes and is listed with {file.size}.")


def _refusal(name: str, path: str, size: int) -> str | None:
    if not 0 <= size <= LARGEST:
        return f"its size of {size} bytes is absurd"
    if path.count("/") >= _DEPTH:
        return f"it lies more than {_DEPTH} folders deep"
    if "/" in name:
        return "its name holds a slash"
    try:
        check_path(path)
    except InvalidInput as error:
        return error.message
    return None
