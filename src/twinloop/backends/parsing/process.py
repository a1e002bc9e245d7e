"""The parent's side: one worker process, started when first needed, replaced when it dies or runs out of time."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import msgspec

from twinloop.backends.parsing.wire import LENGTH, Declined, Job, Outcome, decode_outcome, encode
from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.model import Parsed

_REPLY_LIMIT = 256 * 2**20


class Limits(msgspec.Struct, frozen=True):
    """Bounds on one document: ``file_bytes`` of the file, ``chars`` of its text, ``seconds`` to read it, and
    ``memory_bytes`` of address space for the whole worker process."""

    file_bytes: int = 64 * 2**20
    chars: int = 10_000_000
    seconds: float = 30.0
    memory_bytes: int = 1536 * 2**20


class ProcessParser:
    """Implements ``llm.documents.ports.Parser``. Documents are read one after another."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._lock = asyncio.Lock()
        self._worker: Process | None = None

    async def parse(self, file: Path, media_type: str, name: str) -> Parsed:
        """See ``Parser.parse``. A worker that crashes or takes too long is ended and its document refused."""
        size = (await asyncio.to_thread(file.stat)).st_size
        if size > self._limits.file_bytes:
            raise DocumentRefused(
                f"It has {size:,} bytes; documents of up to {self._limits.file_bytes:,} are read. Split it into parts."
            )
        async with self._lock:
            outcome = await self._ask(Job(str(file), media_type, name))
        if isinstance(outcome, Declined):
            raise DocumentRefused(outcome.reason)
        if len(outcome.parsed.text) > self._limits.chars:
            raise DocumentRefused(f"Its text has over {self._limits.chars:,} characters. Split it into parts.")
        return outcome.parsed

    async def aclose(self) -> None:
        async with self._lock:
            await self._end()

    async def _ask(self, job: Job) -> Outcome:
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._exchange(job)
        except TimeoutError:
            await self._end()
            raise DocumentRefused(
                f"It could not be read within {self._limits.seconds:g} seconds. Split it or save it again as text."
            ) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._end()
            raise DocumentRefused(
                "Reading it ended the parser: the file is damaged or needs more memory than the limit allows. "
                "Save it again with another program, or as text."
            ) from None
        except BaseException:
            await self._end()
            raise

    async def _exchange(self, job: Job) -> Outcome:
        worker = await self._started()
        assert worker.stdin is not None
        assert worker.stdout is not None
        message = encode(job)
        worker.stdin.write(LENGTH.pack(len(message)) + message)
        await worker.stdin.drain()
        (length,) = LENGTH.unpack(await worker.stdout.readexactly(LENGTH.size))
        if length > _REPLY_LIMIT:
            raise ConnectionError
        outcome: Outcome = decode_outcome(await worker.stdout.readexactly(length))
        return outcome

    async def _started(self) -> Process:
        if self._worker is None or self._worker.returncode is not None:
            command = [sys.executable, "-m", "twinloop.backends.parsing.worker"]
            numbers = [str(self._limits.memory_bytes), str(self._limits.seconds + 5)]
            kept = {
                name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV") if name in os.environ
            }
            self._worker = await asyncio.create_subprocess_exec(
                *command, *numbers, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=kept, cwd="/", start_new_session=True
            )
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.returncode is None:
            worker.kill()
        if worker.stdin is not None:
            worker.stdin.close()
        await worker.wait()
        # Waiting does not close the pipes; left to the collector they would warn after the loop has ended.
        transport = getattr(worker, "_transport", None)
        if transport is not None:
            transport.close()
