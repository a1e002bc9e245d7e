from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from twinloop.control.transfer.model import Sum
from twinloop.core.errors import InvalidInput, StorageUnreadable
from twinloop.sdk.transfer.checkpoint import Checkpoint, File
from twinloop.sdk.transfer.report import Line, Report, Tally, lines_of

ONE, TWO = Sum(1, "sha256:" + "1" * 64), Sum(2, "sha256:" + "2" * 64)


def test_what_was_finished_is_known_after_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "c.db"
    first = Checkpoint(path, "there", "here")
    first.finish("runs", {"a": "looks so", "b": ""}, [("runs", "a", ONE), ("params", "a", TWO)])
    first.keep_file("1/a/artifacts", File("x", 3, "sha256:x"))
    first.keep_number("7", 8, True)
    first.close()
    again = Checkpoint(path, "there", "here")
    assert again.seen("runs", ["a", "b", "c"]) == {"a": "looks so", "b": ""}
    assert list(again.sums("params")) == [[("a", TWO)]]
    assert again.file("1/a/artifacts", "x") == File("x", 3, "sha256:x")
    assert again.file("1/a/artifacts", "y") is None
    assert dict(again.places()) == {"1/a/artifacts": [File("x", 3, "sha256:x")]}
    assert again.numbers() == {"7": (8, True)}
    again.close()


def test_a_checkpoint_belongs_to_one_source_and_one_target(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c.db", "there", "here").close()
    for source, target in (("elsewhere", "here"), ("there", "elsewhere")):
        with pytest.raises(InvalidInput, match="another import"):
            Checkpoint(tmp_path / "c.db", source, target)


def test_two_imports_do_not_share_a_checkpoint(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path / "c.db", "there", "here")
    with pytest.raises(StorageUnreadable, match="in use"):
        Checkpoint(tmp_path / "c.db", "there", "here", wait_s=0.1)
    first.close()


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageUnreadable, match="Delete it"):
        Checkpoint(tmp_path / "c.db", "there", "here")


def test_many_sums_come_in_parts_by_scope() -> None:
    checkpoint = Checkpoint(None, "there", "here")
    checkpoint.finish("runs", {}, [("runs", f"{n:05d}", ONE) for n in range(2500)])
    parts = list(checkpoint.sums("runs"))
    assert [len(part) for part in parts] == [1000, 1000, 500]
    assert [scope for part in parts for scope, _ in part] == [f"{n:05d}" for n in range(2500)]


def test_both_sides_are_the_same_whatever_the_order() -> None:
    one, other = Tally("runs"), Tally("runs")
    one.compare({"a": ONE, "b": TWO}, {"a": ONE, "b": TWO})
    other.compare({"b": TWO}, {"b": TWO})
    other.compare({"a": ONE}, {"a": ONE})
    assert one.line() == other.line()
    assert one.line().same
    assert one.line().there.count == 3


def test_what_differs_is_named_and_counted() -> None:
    tally = Tally("runs")
    tally.compare({"same": ONE, "missing": TWO, "other": ONE}, {"same": ONE, "other": TWO})
    line = tally.line(added=1)
    assert not line.same
    assert line.differing == 2
    assert line.examples == ("missing (2 there, 0 here)", "other (1 there, 2 here)")
    report = Report("there", "here", (line,), (("tags", "x/y", "no"),), {"webhooks": 3})
    assert not report.same
    text = "\n".join(lines_of(report))
    assert "2 differ" in text
    assert "tags x/y: no" in text
    assert "left out: 3 webhooks" in text


def test_something_refused_is_not_the_same() -> None:
    line = Line("runs", ONE, ONE, 1, 0)
    assert Report("a", "b", (line,)).same
    assert not Report("a", "b", (line,), (("runs", "x", "why"),)).same


def test_a_checkpoint_lets_nobody_in_that_is_not_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    Checkpoint(path, "there", "here").close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT value FROM facts WHERE name = 'source'").fetchone() == ("there",)
    connection.close()
