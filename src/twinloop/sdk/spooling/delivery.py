"""Sends the records of one spool to the server, in order, and learns which it refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from twinloop.control.tracking.replay.operations import Artifact, Damaged, Finish, Operation, Start, decode, encode
from twinloop.core.errors import Conflict, PayloadTooLarge, TwinloopError, UpstreamError
from twinloop.sdk.client import Client
from twinloop.sdk.spooling.journal import Record
from twinloop.sdk.spooling.reader import Reader
from twinloop.sdk.spooling.spool import file_of

_COUNT = 2000
_SIZE = 2**20
_PATH = "/api/v1/replays"
_ARTIFACT = b'{"do":"artifact"'


class Rejected(msgspec.Struct, frozen=True):
    """An operation the server refused, and why. What came after it was not held up."""

    sequence: int
    run: str
    message: str


class SpoolRefused(Conflict):
    """The server cannot go on with this spool: it lacks records that are nowhere any more."""


class _Replayed(msgspec.Struct, frozen=True):
    rejected: list[Rejected]


class Delivery:
    """How far one spool has got. ``advance`` is called by one thread at a time."""

    def __init__(
        self,
        spool: str,
        folder: Path | None,
        acknowledged: int,
        *,
        held: Callable[[int, int], list[Record]] = lambda after, count: [],
        acknowledge: Callable[[int], None] = lambda sequence: None,
        told: Callable[[Sequence[Rejected]], None] = lambda rejected: None,
    ) -> None:
        self.acknowledged = acknowledged
        self._spool = spool
        self._folder = folder
        self._reader = Reader(folder)
        self._held = held
        self._acknowledge = acknowledge
        self._told = told
        self._pending: list[Record] = []
        self._count = _COUNT

    def advance(self, client: Client) -> bool:
        """Send the next records; False when there are none.

        Raises:
            SpoolRefused: the server lacks records that this spool no longer has.
            TwinloopError: it did not work this time; the same records are sent again by the next call.
        """
        if not self._pending:
            self._pending = self._next()
        batch = self._cut()
        if not batch:
            return False
        operations = [self._encoded(client, record) for record in batch]
        try:
            rejected = send(client, self._spool, batch[0].sequence, operations)
        except PayloadTooLarge:
            self._make_smaller(batch)
            return True
        except TwinloopError as error:
            if error.code != "replay_gap":
                raise
            self._go_back(client)
            return True
        self._pending = self._pending[len(batch) :]
        self.acknowledged = batch[-1].sequence
        if rejected:
            self._told(rejected)
        self._acknowledge(self.acknowledged)
        self._delete_copies(batch)
        return True

    def skip_to(self, sequence: int) -> None:
        """Somebody else has sent everything up to ``sequence``."""
        self.acknowledged = max(self.acknowledged, sequence)
        self._pending = [record for record in self._pending if record.sequence > self.acknowledged]

    def close(self) -> None:
        self._reader.close()

    def _next(self) -> list[Record]:
        found = self._reader.read(self.acknowledged, self._count, _SIZE)
        return found or self._held(self.acknowledged, self._count)

    def _cut(self) -> list[Record]:
        """What goes into one request: an artifact ends it, so that its upload holds up nothing that came before."""
        batch = self._pending[: self._count]
        for place, record in enumerate(batch[1:], 1):
            if record.payload is not None and record.payload.startswith(_ARTIFACT):
                return batch[:place]
        return batch

    def _encoded(self, client: Client, record: Record) -> bytes:
        if record.payload is None:
            return encode(Damaged(why="The journal was damaged here."))
        if not record.payload.startswith(_ARTIFACT):
            return record.payload
        operation = _decoded(record.payload)
        if not isinstance(operation, Artifact) or not operation.file or self._folder is None:
            return record.payload
        try:
            stored = client.blobs.upload(file_of(self._folder, operation.file))
        except FileNotFoundError:
            return encode(Damaged(operation.run, f"The copy of {operation.path} is no longer in the spool."))
        except OSError as error:
            return encode(
                Damaged(operation.run, f"The copy of {operation.path} cannot be read ({error.strerror or error}).")
            )
        except PayloadTooLarge as error:
            return encode(
                Damaged(operation.run, f"{operation.path} is larger than what is taken at once. {error.message}")
            )
        facts = {"digest": stored["digest"], "size": stored["size"], "file": ""}
        return encode(msgspec.structs.replace(operation, **facts))

    def _delete_copies(self, batch: Sequence[Record]) -> None:
        """Files that have arrived need no copy here: a long program would fill its disk with them."""
        for record in batch:
            if self._folder is not None and record.payload is not None and record.payload.startswith(_ARTIFACT):
                operation = _decoded(record.payload)
                if isinstance(operation, Artifact) and operation.file:
                    with suppress(OSError):
                        file_of(self._folder, operation.file).unlink()

    def _make_smaller(self, batch: Sequence[Record]) -> None:
        """Something between here and the server takes less at once than we sent."""
        if len(batch) > 1:
            self._count = max(1, len(batch) // 2)
            return
        self._pending[0] = Record(batch[0].sequence, encode(Damaged(why="The record is larger than the server takes.")))

    def _go_back(self, client: Client) -> None:
        """The server has less than it once acknowledged (it was restored from a backup): send again what is still here."""
        last = int(client.call("GET", f"{_PATH}/{self._spool}")["last"])
        reader = Reader(self._folder)
        found = reader.read(last, self._count, _SIZE) or self._held(last, self._count)
        if not found or found[0].sequence != last + 1 or found[0].payload is None:
            reader.close()
            raise SpoolRefused(
                f"The server has {last} records of the spool {self._spool}, and {self.acknowledged} were acknowledged before. "
                "It was restored or replaced, and the records between are gone."
            )
        self._reader.close()
        self._reader, self._pending, self.acknowledged = reader, found, last


def send(client: Client, spool: str, first: int, operations: Sequence[bytes]) -> list[Rejected]:
    """Replay encoded operations, the first of which has the number ``first``; returns those that were refused."""
    body = b'{"spool":"%b","first":%d,"operations":[%b]}' % (spool.encode(), first, b",".join(operations))
    answer = client.call("POST", _PATH, content=body, headers={"content-type": "application/json"})
    try:
        return msgspec.convert(answer, _Replayed).rejected
    except msgspec.ValidationError as error:
        raise UpstreamError(f"{client.url or 'The server'} does not answer as a Twinloop does: {error}.") from None


def open_runs(folder: Path) -> list[str]:
    """The runs that a journal began and did not end."""
    reader = Reader(folder)
    found: set[str] = set()
    try:
        records = reader.read(0, _COUNT, _SIZE)
        found.update(_open_before(reader.header))
        while records:
            for record in records:
                operation = _decoded(record.payload)
                if isinstance(operation, Start) and not operation.joined:
                    found.add(operation.run)
                elif isinstance(operation, Finish):
                    found.discard(operation.run)
            records = reader.read(0, _COUNT, _SIZE)
    finally:
        reader.close()
    return sorted(found)


def _open_before(header: bytes) -> list[str]:
    try:
        return msgspec.json.decode(header, type=dict[str, list[str]]).get("open", [])
    except msgspec.DecodeError:
        return []


def _decoded(payload: bytes | None) -> Operation | None:
    try:
        return None if payload is None else decode(payload)
    except msgspec.DecodeError:
        return None
