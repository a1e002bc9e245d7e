"""Finds files that run code of their author when they are loaded, from their names and first bytes, without loading them.

Python's pickle calls whatever its bytes name (https://docs.python.org/3/library/pickle.html), and joblib, cloudpickle,
dill, torch.save and object arrays of NumPy are pickles within. Keras files may hold pickled Python functions (Lambda layers).
"""

from __future__ import annotations

import bz2
import lzma
import pickletools
import re
import struct
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from itertools import islice
from pathlib import PurePosixPath

HEAD = 2**16
"""How many of the first bytes are looked at."""

_SUFFIXES = {
    **dict.fromkeys((".pkl", ".pickle", ".pck", ".pcl", ".pk", ".p", ".sav", ".dill", ".cloudpickle"), "pickle"),
    ".joblib": "joblib (pickle)",
    **dict.fromkeys((".pt", ".pth", ".ckpt"), "torch (pickle)"),
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "keras (may hold Python functions)"),
}
_OPCODES = frozenset(opcode.code.encode("latin-1")[0] for opcode in pickletools.opcodes)
_UNPACKED = 256
_NAMING = frozenset(("GLOBAL", "INST", "STACK_GLOBAL"))
_CALLING = frozenset(("REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"))
_GOING_ON = frozenset(("STOP", "PUT", "BINPUT"))
_CUT = ("exhausted", "remain", "newline")
"""What pickletools says of bytes that end too early."""
_READ = 10_000

_COMPRESSED: tuple[tuple[bytes, Callable[[], Callable[[bytes], bytes]]], ...] = (
    (b"\x1f\x8b", lambda: lambda head: zlib.decompressobj(wbits=31).decompress(head, _UNPACKED)),
    (b"\x78", lambda: lambda head: zlib.decompressobj().decompress(head, _UNPACKED)),
    (b"BZh", lambda: lambda head: bz2.BZ2Decompressor().decompress(head, _UNPACKED)),
    (b"\xfd7zXZ\x00", lambda: lambda head: lzma.LZMADecompressor().decompress(head, _UNPACKED)),
    (b"\x5d\x00\x00", lambda: lambda head: lzma.LZMADecompressor().decompress(head, _UNPACKED)),
)


def flag_of(path: str, head: bytes) -> str | None:
    """Why a file at ``path`` that begins with ``head`` is unsafe to load, in a few words; None when nothing shows."""
    return _by_content(head) or _SUFFIXES.get(PurePosixPath(path).suffix.lower())


class Looking:
    """Passes a stream on unchanged and keeps its first bytes."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self._head = bytearray()

    @property
    def head(self) -> bytes:
        return bytes(self._head)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            if len(self._head) < HEAD:
                self._head += chunk[: HEAD - len(self._head)]
            yield chunk


def _by_content(head: bytes) -> str | None:
    if _is_pickle(head):
        return "pickle"
    if head.startswith(b"PK\x03\x04") and re.search(rb"(?:^|/|[^\w])data\.pkl", head):
        return "torch (pickle)"
    if head.startswith(b"\x93NUMPY") and re.search(rb"'descr': *'\|O'", head[:512]):
        return "numpy objects (pickle)"
    for magic, opened in _COMPRESSED:
        if head.startswith(magic):
            try:
                inner = opened()(head)
            except (zlib.error, lzma.LZMAError, OSError, EOFError):
                return None
            return "compressed pickle" if _is_pickle(inner) else None
    return None


def _is_pickle(head: bytes) -> bool:
    """Protocols 2 to 5 begin with PROTO and an opcode. A safetensors header of 640 bytes begins 80 02 too; no opcode is 0."""
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return head[2] in _OPCODES
    return _calls(head)


def _calls(head: bytes) -> bool:
    """Whether this is a pickle of protocol 0 or 1 that calls something, or names something and ends or goes on.

    Those protocols have no beginning of their own, and lines of words can look like their opcodes. So the stack is
    followed: an opcode that would not find there what it takes stops the unpickler too, and what is before it is text.
    """
    named = going_on = False
    stack: list[object] = []
    try:
        for opcode, _, _ in islice(pickletools.genops(head), _READ):
            if not _take(opcode, stack):
                return False
            named |= opcode.name in _NAMING
            going_on |= opcode.name in _GOING_ON
            if named and opcode.name in _CALLING:
                return True
    except (ValueError, OverflowError, struct.error) as error:
        if len(head) < HEAD or not any(word in str(error) for word in _CUT):
            return False
    return named and going_on


def _take(opcode: pickletools.OpcodeInfo, stack: list[object]) -> bool:
    """What an opcode does to the stack; False when it does not find there what it takes."""
    wanted = list(opcode.stack_before)
    mark = pickletools.markobject
    if mark in wanted:
        if mark not in stack:
            return False
        while stack.pop() is not mark:
            pass
        wanted = wanted[: wanted.index(mark)]
    if len(stack) < len(wanted):
        return False
    del stack[len(stack) - len(wanted) :]
    stack += opcode.stack_after
    return True
