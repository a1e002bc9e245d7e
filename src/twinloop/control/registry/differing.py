"""How two manifests differ, place by place. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_LONG = 60
_MOST = 10_000


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
        for index in range(max(len(before), len(after))):
            old, new = index < len(before), index < len(after)
            yield from _member(
                f"{path}[{index}]", old, new, before[index] if old else None, after[index] if new else None
            )
    elif before != after or type(before) is not type(after):
        yield Difference(path, "changed", before, after, _unified(path, before, after))


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
