"""Journal, spool and replay together, under crashes, lost answers, damage and two senders, against a model: a list.

Whatever happens in whatever order, the server has a beginning of what was logged, in order, each record once; and when
things are quiet, all of it that a crash of the machine has not cut off.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from twinloop.backends.local_fs import LocalBlobs
from twinloop.backends.sqlite import open_store
from twinloop.control.security.model import LOCAL_ADMIN
from twinloop.control.tracking.errors import ReplayGap
from twinloop.control.tracking.replay.operations import Log, Start, Tags, decode, encode
from twinloop.control.tracking.replay.service import Replays
from twinloop.control.tracking.service import Tracking
from twinloop.core.errors import TwinloopError, Unavailable
from twinloop.core.ids import new_id
from twinloop.sdk.client import ApiError
from twinloop.sdk.spooling.delivery import Delivery
from twinloop.sdk.spooling.journal import Journal, frame, segments

T = TypeVar("T")


class Server:
    """The real verbs over a real store, called as a client would call them, with a line that may be cut."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.store = self.run(_opened(folder))
        self.replays = Replays(self.store, LocalBlobs(folder / "blobs"), lambda c, tenant, ref: None)
        self.tracking = Tracking(self.store)
        self.away = False
        self.lose_answer = False
        self.requests: list[bytes] = []

    def close(self) -> None:
        self.run(self.store.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def call(self, method: str, path: str, **rest: Any) -> Any:
        if self.away:
            raise Unavailable("away")
        if method == "GET":
            return {"last": self.run(self.replays.last(LOCAL_ADMIN, path.rpartition("/")[2]))}
        self.requests.append(rest["content"])
        return self.answer(rest["content"])

    def answer(self, content: bytes) -> Any:
        body = msgspec.json.decode(content)
        operations = [decode(msgspec.json.encode(item)) for item in body["operations"]]
        try:
            done = self.run(self.replays.apply(LOCAL_ADMIN, body["spool"], body["first"], operations))
        except ReplayGap as error:
            raise ApiError(error.message, error.code) from None
        if self.lose_answer:
            self.lose_answer = False
            raise Unavailable("the connection broke off before the answer")
        return {"last": done.last, "rejected": msgspec.to_builtins(done.rejected)}

    def values(self, run: str) -> list[int]:
        try:
            page = self.run(self.tracking.history(LOCAL_ADMIN, run, "n"))
        except TwinloopError:
            return []
        return [int(point.value) for point in page.items]

    def tag(self, run: str) -> int:
        """A point that is added twice is one point; a tag that is set again would show it."""
        try:
            return int(self.run(self.tracking.get(LOCAL_ADMIN, run)).tags.get("n", "0"))
        except TwinloopError:
            return 0


async def _opened(folder: Path) -> Any:
    return open_store(folder / "twinloop.db")


class Spooled(RuleBasedStateMachine):
    """One run, logged by programs that crash and are followed by others, each with a spool of its own."""

    server: Server

    @initialize()
    def begin(self) -> None:
        self.run = new_id()
        self.server.requests.clear()
        self.value = self.tag = 0
        self.logged: list[int] = []
        self.next_program()

    def next_program(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.spool = new_id()
        self.acknowledged = self.synced = 0
        self.here: dict[int, int] = {}
        self.journal = Journal(self.folder, segment_bytes=400)
        self.delivery = self.sender()
        self.journal.append(encode(Start(self.run, 1)))

    def sender(self) -> Delivery:
        return Delivery(self.spool, self.folder, self.acknowledged, held=self.journal.held, acknowledge=self.mark)

    def mark(self, sequence: int) -> None:
        self.acknowledged = sequence
        self.journal.forget(sequence)

    @rule(count=st.integers(1, 12))
    def log(self, count: int) -> None:
        for _ in range(count):
            self.value += 1
            point = ("n", float(self.value), self.value)
            self.here[self.journal.append(encode(Log(self.run, self.value, [point])))] = self.value
            self.journal.append(encode(Tags(self.run, {"n": str(self.value)})))
            self.logged.append(self.value)

    @rule(times=st.integers(1, 3), lose=st.booleans(), away=st.booleans())
    def send(self, times: int, lose: bool, away: bool) -> None:
        self.server.lose_answer, self.server.away = lose, away
        try:
            for _ in range(times):
                self.delivery.advance(self.server)  # type: ignore[arg-type]
        except Unavailable:
            pass
        finally:
            self.server.lose_answer = self.server.away = False

    @rule()
    def another_sender_finds_the_same_spool(self) -> None:
        other = Delivery(self.spool, self.folder, self.acknowledged)
        other.advance(self.server)  # type: ignore[arg-type]
        other.close()

    @precondition(lambda self: self.server.requests)
    @rule(data=st.data())
    def an_old_request_arrives_again(self, data: st.DataObject) -> None:
        """A proxy that tries again, or a sender that was asleep."""
        self.server.answer(data.draw(st.sampled_from(self.server.requests)))

    @rule(by=st.integers(1, 20))
    def the_mark_says_less_than_was_acknowledged(self, by: int) -> None:
        """It is not synced to the disk, and the files it stood for may be deleted already."""
        self.delivery.close()
        self.acknowledged = max(0, self.acknowledged - by)
        self.delivery = self.sender()

    @rule()
    def sync(self) -> None:
        self.journal.sync()
        self.synced = self.journal.last

    @rule(torn=st.integers(0, 60))
    def the_program_crashes(self, torn: int) -> None:
        """In the middle of a line, perhaps. Nothing that was appended is lost."""
        self.journal.close()
        files = segments(self.folder)
        if torn and files:
            with files[-1].open("ab") as file:
                file.write(frame(self.journal.last + 1, encode(Log(self.run, 1, [("half", 1.0, 1)])))[:torn])
        self.follow()

    @rule(kept=st.integers(0, 20))
    def the_machine_crashes(self, kept: int) -> None:
        """What was not synced may be cut off; what the server has is there all the same."""
        end = max(self.synced, self.journal.last - kept)
        self.journal.close()
        for path in segments(self.folder):
            lines = path.read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(line for line in lines if int(line.split(b" ")[0]) <= end))
        arrived = self.server.values(self.run)
        lost = {value for sequence, value in self.here.items() if sequence > end} - set(arrived)
        assert not {value for sequence, value in self.here.items() if sequence <= self.synced} & lost
        self.logged = [value for value in self.logged if value not in lost]
        self.follow()

    def follow(self) -> None:
        """Another program sends what this one left, then goes on with the run."""
        self.delivery.close()
        self.drain()
        assert self.server.values(self.run) == self.logged
        shutil.rmtree(self.folder)
        self.next_program()

    def drain(self) -> None:
        delivery = Delivery(self.spool, self.folder, self.acknowledged)
        while delivery.advance(self.server):  # type: ignore[arg-type]
            pass
        delivery.close()

    @invariant()
    def the_server_has_a_beginning_of_what_was_logged_each_once(self) -> None:
        arrived = self.server.values(self.run)
        assert arrived == self.logged[: len(arrived)]
        tag = self.server.tag(self.run)
        assert self.tag <= tag <= self.value, "an older record was applied behind a newer one"
        self.tag = tag

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.follow()
            self.journal.close()
            self.delivery.close()
            shutil.rmtree(self.folder)


@pytest.mark.slow
def test_every_record_arrives_once_and_in_order_whatever_breaks(tmp_path: Path) -> None:
    Spooled.server = Server(tmp_path)
    quick = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    try:
        run_state_machine_as_test(Spooled, settings=quick)
    finally:
        Spooled.server.close()
