"""What a transfer did, and how both sides compare: by entity, in counts and digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from twinloop.control.transfer.model import Sum
from twinloop.sdk.transfer.found import Refused

_NAMED = 20
_MODULUS = 2**256
_EMPTY = Sum(0, "")


class Line(msgspec.Struct, frozen=True):
    """One entity on both sides. ``differing`` counts what is not the same, of which ``examples`` are some."""

    entity: str
    there: Sum
    here: Sum
    added: int
    differing: int
    examples: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return self.differing == 0 and self.there == self.here


class Report(msgspec.Struct, frozen=True):
    """``refused`` items could not be taken, each with why; ``left_out`` is what was not tried, counted by name."""

    source: str
    target: str
    lines: tuple[Line, ...]
    refused: tuple[Refused, ...] = ()
    left_out: dict[str, int] = {}

    @property
    def same(self) -> bool:
        """Whether everything that was to be copied is on both sides and equal."""
        return all(line.same for line in self.lines) and not self.refused


class Tally:
    """Adds up both sides of one entity, item by item, in any order."""

    def __init__(self, entity: str) -> None:
        self.entity = entity
        self._counts = [0, 0]
        self._folds = [0, 0]
        self._differing = 0
        self._examples: list[str] = []

    def compare(self, there: Mapping[str, Sum], here: Mapping[str, Sum]) -> None:
        """Items by name: those ``there``, with what each adds up to ``here``."""
        for name, mine in there.items():
            theirs = here.get(name, _EMPTY)
            self._add(0, name, mine)
            self._add(1, name, theirs)
            if (mine.count, mine.digest if mine.count else "") != (theirs.count, theirs.digest if theirs.count else ""):
                self._differing += 1
                if len(self._examples) < _NAMED:
                    self._examples.append(f"{name} ({mine.count} there, {theirs.count} here)")

    def line(self, added: int = 0) -> Line:
        there, here = (Sum(count, f"sha256:{fold:064x}") for count, fold in zip(self._counts, self._folds, strict=True))
        return Line(self.entity, there, here, added, self._differing, tuple(self._examples))

    def _add(self, side: int, name: str, each: Sum) -> None:
        """A fold that no order changes: the sum of one number an item."""
        if each.count:
            self._counts[side] += each.count
            one = hashlib.sha256(f"{name}\0{each.count}\0{each.digest}".encode()).digest()
            self._folds[side] = (self._folds[side] + int.from_bytes(one, "big")) % _MODULUS


def lines_of(report: Report) -> list[str]:
    """The report as text: a table, then what is not the same, was refused or left out."""
    rows: list[tuple[str, ...]] = [("", "there", "here", "added", "digest there", "digest here", "")]
    for line in report.lines:
        digests = [
            f"{side.digest.removeprefix('sha256:')[:12]}" if side.count else "-" for side in (line.there, line.here)
        ]
        verdict = "same" if line.same else f"{line.differing} differ"
        rows.append((line.entity, str(line.there.count), str(line.here.count), str(line.added), *digests, verdict))
    return [*_aligned(rows), *_told(report)]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(w) if 1 <= i <= 3 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return lines


def _told(report: Report) -> Iterable[str]:
    for line in report.lines:
        if not line.same:
            yield ""
            yield f"{line.entity} that differ:"
            yield from (f"  {example}" for example in line.examples)
            if line.differing > len(line.examples):
                yield f"  … and {line.differing - len(line.examples)} more"
    if report.refused:
        yield ""
        yield f"refused ({len(report.refused)}):"
        for what, id, why in report.refused[:_NAMED]:
            yield f"  {what} {id}: {why}"
        if len(report.refused) > _NAMED:
            yield f"  … and {len(report.refused) - _NAMED} more; --json lists all"
    if report.left_out:
        yield ""
        yield "left out: " + ", ".join(f"{count} {name}" for name, count in sorted(report.left_out.items()))
