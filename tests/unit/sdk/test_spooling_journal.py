"""Journals: what is appended is read in order, whatever happens to the end of the file or to the disk."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from twinloop.sdk.spooling import journal as journals
from twinloop.sdk.spooling.journal import Journal, Record, first_of, frame, segments, unframe
from twinloop.sdk.spooling.reader import Reader


def everything(folder: Path, after: int = 0) -> list[Record]:
    reader = Reader(folder)
    try:
        found: list[Record] = []
        while records := reader.read(after, 7, 10_000):
            found += records
        return found
    finally:
        reader.close()


def payload(n: int) -> bytes:
    return b'{"n":%d,"text":"caf\xc3\xa9"}' % n


def written(folder: Path, count: int, **settings: int) -> Journal:
    journal = Journal(folder, **settings)  # type: ignore[arg-type]
    for n in range(1, count + 1):
        assert journal.append(payload(n)) == n
    return journal


def test_records_come_back_in_order_and_from_where_one_left_off(tmp_path: Path) -> None:
    written(tmp_path, 50).close()
    assert everything(tmp_path) == [Record(n, payload(n)) for n in range(1, 51)]
    assert everything(tmp_path, after=48) == [Record(49, payload(49)), Record(50, payload(50))]


def test_a_reader_follows_a_journal_that_is_being_written_across_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=200)
    reader = Reader(tmp_path)
    for n in range(1, 60):
        journal.append(payload(n))
        assert reader.read(n - 1, 10, 1000) == [Record(n, payload(n))]
        assert reader.read(n, 10, 1000) == []
    assert len(segments(tmp_path)) > 5
    journal.close()
    reader.close()


def test_a_sealed_journal_takes_no_more_and_keeps_what_it_has(tmp_path: Path) -> None:
    journal = written(tmp_path, 3)
    journal.seal()
    assert journal.append(payload(4)) == 0
    assert (journal.last, journal.dropped) == (3, 0)
    assert everything(tmp_path) == [Record(n, payload(n)) for n in range(1, 4)]
    journal.close()


@pytest.mark.parametrize("kept", [0, 1, 5, 20, 40])
def test_a_torn_last_line_is_not_a_record(tmp_path: Path, kept: int) -> None:
    written(tmp_path, 3).close()
    last = frame(4, payload(4))[:-1]
    with segments(tmp_path)[-1].open("ab") as file:
        file.write(last[:kept])
    assert [record.sequence for record in everything(tmp_path)] == [1, 2, 3]


def test_zeros_that_a_crash_of_the_machine_left_at_the_end_are_no_record(tmp_path: Path) -> None:
    written(tmp_path, 3).close()
    with segments(tmp_path)[-1].open("ab") as file:
        file.write(b"\x00" * 4096)
    assert [record.sequence for record in everything(tmp_path)] == [1, 2, 3]


def test_a_damaged_line_keeps_its_number_and_loses_only_itself(tmp_path: Path) -> None:
    written(tmp_path, 5).close()
    path = segments(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"caf", b"tea")
    path.write_bytes(b"".join(lines))
    found = everything(tmp_path)
    assert [record.sequence for record in found] == [1, 2, 3, 4, 5]
    assert [record.payload is None for record in found] == [False, False, True, False, False]


def test_a_damaged_line_that_was_sent_already_is_of_no_interest(tmp_path: Path) -> None:
    written(tmp_path, 5).close()
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":9'))
    assert everything(tmp_path, after=2) == [Record(n, payload(n)) for n in (3, 4, 5)]


def test_the_checksum_covers_the_number() -> None:
    line = frame(12, b"{}")[:-1]
    assert unframe(line) == Record(12, b"{}")
    assert unframe(line.replace(b"12 ", b"13 ", 1)) is None
    assert unframe(b"") is None
    assert unframe(b"-1 0 {}") is None


def test_files_are_deleted_when_all_in_them_has_arrived(tmp_path: Path) -> None:
    journal = written(tmp_path, 40, segment_bytes=300)
    files = segments(tmp_path)
    third = first_of(files[2])
    journal.forget(third - 2)
    assert segments(tmp_path) == files[1:]
    journal.forget(third - 1)
    assert segments(tmp_path) == files[2:]
    journal.forget(40)
    assert segments(tmp_path) == files[-1:], "the file being written stays"
    journal.close()


def test_each_file_says_what_was_open_before_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, header=lambda: b'{"open":["a"]}')
    journal.append(b"{}")
    journal.close()
    reader = Reader(tmp_path)
    reader.read(0, 10, 1000)
    assert reader.header == b'{"open":["a"]}'
    reader.close()


def test_threads_that_append_at_once_get_numbers_without_gaps(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=5000)
    threads = [threading.Thread(target=lambda: [journal.append(payload(7)) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert [record.sequence for record in everything(tmp_path)] == list(range(1, 4001))


class Disk:
    """Stands in for ``os.write`` and lets so many bytes through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(journals.os, "write", self.write)
        monkeypatch.setattr(journals, "_RETRY_S", 0.0)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(descriptor, data[: self.room])
        self.room -= written
        return written


def test_a_full_disk_holds_records_in_memory_and_they_are_written_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, room=170)
    journal = written(tmp_path, 20)
    assert "No space left" in journal.trouble
    on_disk = len(everything(tmp_path))
    assert 1 <= on_disk < 20
    assert [record.sequence for record in journal.held(on_disk, 100)] == list(range(on_disk + 1, 21))
    disk.room = 10**6
    assert journal.append(payload(21)) == 21
    assert journal.trouble == ""
    assert journal.held(0, 100) == []
    assert everything(tmp_path) == [Record(n, payload(n)) for n in range(1, 22)]
    journal.close()


def test_what_arrived_from_memory_is_not_written_any_more_and_leaves_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, room=170)
    journal = written(tmp_path, 20)
    reader = Reader(tmp_path)
    seen = [record.sequence for record in reader.read(0, 100, 10_000)]
    assert seen
    journal.forget(15)
    disk.room = 10**6
    journal.append(payload(21))
    assert [record.sequence for record in reader.read(15, 100, 10_000)] == [16, 17, 18, 19, 20, 21]
    journal.close()
    reader.close()


def test_memory_for_a_full_disk_is_bounded_and_what_is_dropped_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch, room=0)
    journal = Journal(tmp_path, held_bytes=200)
    numbers = [journal.append(b"x" * 50) for _ in range(10)]
    assert numbers == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
    assert (journal.last, journal.dropped) == (4, 6)
    journal.forget(2)
    assert journal.append(b"x" * 50) == 5
    journal.close()


def test_a_disk_that_is_nearly_full_is_left_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    free = int(1e8) // real.f_frsize
    nearly_full = os.statvfs_result((*real[:2], 10**9, free, free, *real[5:]))
    monkeypatch.setattr(journals.os, "statvfs", lambda path: nearly_full)
    journal = written(tmp_path, 3)
    assert segments(tmp_path) == []
    assert len(journal.held(0, 10)) == 3
    journal.close()


def test_without_a_folder_everything_is_held_in_memory() -> None:
    journal = Journal(None)
    assert journal.append(payload(1)) == 1
    assert journal.held(0, 10) == [Record(1, payload(1))]
    assert journal.trouble
    journal.sync()
    journal.close()


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_an_interrupt_in_the_middle_of_a_write_doubles_and_loses_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Ctrl-C in a notebook: the call raises, and the program goes on with the same journal."""
    journal = written(tmp_path, 3)
    real = os.write

    def interrupted(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(journals.os, "write", real)
        real(descriptor, {"before": b"", "within": data[:20], "after": data}[when])
        raise KeyboardInterrupt

    monkeypatch.setattr(journals.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.append(payload(4))
    expected = 5 if when == "after" else 4
    assert journal.append(payload(5)) == expected
    assert journal.append(payload(6)) == expected + 1
    journal.close()
    found = everything(tmp_path)
    assert [record.sequence for record in found] == list(range(1, expected + 2))
    assert [record.payload for record in found[-2:]] == [payload(5), payload(6)]
    assert all(record.payload is not None for record in found)


def test_an_interrupt_while_held_records_are_written_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, room=170)
    journal = written(tmp_path, 20)
    disk.room = 10**6
    write = journals.os.write

    def interrupted(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(journals.os, "write", write)
        write(descriptor, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(journals.os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        journal.append(payload(21))
    while journal.held(0, 1):
        journal.append(payload(99))
    journal.close()
    assert [record.sequence for record in everything(tmp_path)] == list(range(1, journal.last + 1))


def test_a_signal_handler_may_append_in_the_middle_of_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a cluster tells the program with SIGUSR1 that it will be stopped, and the handler logs that."""
    journal = written(tmp_path, 3)
    real = os.write

    def interrupted(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(journals.os, "write", real)
        assert journal.append(payload(5)) > 0
        return real(descriptor, data)

    monkeypatch.setattr(journals.os, "write", interrupted)
    assert journal.append(payload(4)) == 4
    journal.close()
    assert everything(tmp_path) == [Record(n, payload(n)) for n in range(1, 6)]
