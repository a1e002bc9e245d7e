"""How two manifests differ, place by place. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

_LONG = 60
_MOST = 10_000
_ALIGNED = 250_000
"""Where more of two lists differs, by the product of the lengths, they are compared place by place."""


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One place: ``template`` or ``inputs[2].name``. ``change`` says whether it was added, removed or changed.

    ``text`` is a unified diff where both values are text of some length.
    """

    path: str
    change: str
    before: Any = None
    after: Any = None
    text: str = ""


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """All places that differ, in the order of their paths; at most 10,000."""
    found: list[Difference] = []
    for difference in _compare("", before, after):
        found.append(difference)
        if len(found) == _MOST:
            break
    return found


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else str(key)
            yield from _member(inner, key in before, key in after, before.get(key), after.get(key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _lists(path, before, after)
    elif before != after or type(before) is not type(after):
        yield Difference(path, "changed", before, after, _unified(path, before, after))


def _lists(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Difference]:
    """One item more or less is one difference, wherever it stands. Places are in ``after``; of what is gone, in ``before``."""
    for step, i, i_end, j, j_end in _aligned([_key(item) for item in before], [_key(item) for item in after]):
        both = min(i_end - i, j_end - j) if step == "replace" else 0
        for offset in range(both):
            yield from _compare(f"{path}[{j + offset}]", before[i + offset], after[j + offset])
        if step != "equal":
            for index in range(i + both, i_end):
                yield Difference(f"{path}[{index}]", "removed", before[index])
            for index in range(j + both, j_end):
                yield Difference(f"{path}[{index}]", "added", after=after[index])


def _aligned(old: list[str], new: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """difflib's steps from ``old`` to ``new``; what begins and ends alike is cut off first, for its time is quadratic."""
    shorter = min(len(old), len(new))
    start = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    end = next((n for n in range(shorter - start) if old[-1 - n] != new[-1 - n]), shorter - start)
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    if len(a) * len(b) > _ALIGNED:
        yield "replace", start, start + len(a), start, start + len(b)
        return
    for step, i, i_end, j, j_end in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield step, start + i, start + i_end, start + j, start + j_end


def _key(item: Any) -> str:
    """Equal for equal items of the same type; 1, 1.0 and true are three."""
    return f"{type(item).__name__}:{msgspec.json.encode(item, order='sorted').decode()}"


def _member(path: str, old: bool, new: bool, before: Any, after: Any) -> Iterator[Difference]:
    if old and new:
        yield from _compare(path, before, after)
    elif old:
        yield Difference(path, "removed", before)
    else:
        yield Difference(path, "added", after=after)


def _unified(path: str, before: Any, after: Any) -> str:
    if not (isinstance(before, str) and isinstance(after, str)):
        return ""
    if "\n" not in before + after and max(len(before), len(after)) < _LONG:
        return ""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"before/{path}", f"after/{path}", lineterm=""
    )
    return "\n".join(lines)
