"""Keep one llama.cpp child process alive: start, watch, restart, stop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from pathlib import Path
from typing import Literal

import msgspec

from twinloop.backends.llamacpp.settings import ChildReady, ChildSettings
from twinloop.backends.openai_http.client import OpenAiClient, Timeouts
from twinloop.core.errors import TwinloopError, Unavailable

_START_SECONDS = 120.0
_STOP_SECONDS = 3.0
_CHECK_EVERY = 5.0
_CHECKS_MISSED = 3
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_NOTICE_SECONDS = 0.5
_LOG_BYTES = 4096

State = Literal["starting", "ready", "restarting", "closed"]


class Child:
    """One running process, from the moment its model is loaded."""

    def __init__(self, process: asyncio.subprocess.Process, client: OpenAiClient, log: asyncio.Task[bytes]) -> None:
        self.process = process
        self.client = client
        self._log = log

    @classmethod
    async def spawn(cls, settings: ChildSettings) -> Child:
        """Start the process and wait until it listens.

        Raises:
            Unavailable: it ended or stayed silent instead; the message carries the end of its log.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "twinloop.backends.llamacpp.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for the parent, which then stops us in order
        )
        log = asyncio.create_task(_tail(process.stderr))
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(settings) + b"\n")
            answer = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            ready = msgspec.json.decode(answer, type=ChildReady)
        except (TimeoutError, msgspec.DecodeError, ConnectionError) as error:
            await _end(process)
            said = (await log).decode("utf-8", "replace").strip()[-500:]
            raise Unavailable(f"llama.cpp did not start with {Path(settings.model).name}: {said or error}") from error
        except BaseException:
            await _end(process)
            log.cancel()
            raise
        return cls(process, OpenAiClient(f"{ready.url}/v1", settings.key, Timeouts(), keep_connections=False), log)

    async def until_lost(self) -> str:
        """Wait until the process has ended or answers no more; returns which, in words."""
        missed = 0
        while missed < _CHECKS_MISSED:
            try:
                code = await asyncio.wait_for(self.process.wait(), _CHECK_EVERY)
            except TimeoutError:
                missed = 0 if await self._answers() else missed + 1
            else:
                return f"ended with code {code}"
        return f"did not answer {_CHECKS_MISSED} health checks"

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_EVERY):
                await self.client.get("health")
        except (TwinloopError, TimeoutError):
            return False
        return True

    async def stop(self) -> None:
        await self.client.aclose()
        await _end(self.process)
        await self._log


class Supervisor:
    """Restarts the child when it is lost, each time after a longer pause; a minute of life makes the pause short again."""

    def __init__(self, model: Path, *, context: int, slots: int, threads: int, patience: float = 10.0) -> None:
        """``patience``: seconds that ``client`` waits for a child that is starting again."""
        self._settings = ChildSettings(str(model), context, slots, threads, "")
        self._patience = patience
        self._child: Child | None = None
        self._changed = asyncio.Condition()
        self._watch: asyncio.Task[None] | None = None
        self.state: State = "starting"
        self.detail = ""

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.process.pid

    async def start(self) -> None:
        """Raises Unavailable when the first child does not start; then nothing is left running."""
        first = await self._spawn()
        await self._set(first, "ready", "")
        self._watch = asyncio.create_task(self._keep_alive(first))

    async def client(self) -> OpenAiClient:
        """The client of the child that lives now.

        Raises:
            Unavailable: there was none for ``patience`` seconds, or the supervisor is closed.
        """
        try:
            async with asyncio.timeout(self._patience), self._changed:
                await self._changed.wait_for(lambda: self._child is not None or self.state == "closed")
        except TimeoutError as error:
            raise Unavailable(f"The generator is starting again (llama.cpp {self.detail}). Try again soon.") from error
        if self._child is None:
            raise Unavailable("The generator is closed. Open it again.")
        return self._child.client

    async def replaced(self, client: OpenAiClient) -> bool:
        """Whether the child behind ``client`` is lost; waits a moment, as a connection breaks before the end is seen."""
        try:
            async with asyncio.timeout(_NOTICE_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._child is None or self._child.client is not client)
        except TimeoutError:
            return False
        return True

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        child = self._child
        await self._set(None, "closed", "")
        if child is not None:
            await child.stop()

    async def _keep_alive(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            began = loop.time()
            how = await child.until_lost()
            await self._set(None, "restarting", how)
            await child.stop()
            pause = _FIRST_PAUSE if loop.time() - began > 60 else min(pause * 2, _LONGEST_PAUSE)
            child, pause = await self._start_again(pause)
            await self._set(child, "ready", f"{how}, started again")

    async def _start_again(self, pause: float) -> tuple[Child, float]:
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._spawn(), pause
            except (Unavailable, OSError) as error:
                self.detail = str(error)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _spawn(self) -> Child:
        return await Child.spawn(msgspec.structs.replace(self._settings, key=secrets.token_urlsafe(24)))

    async def _set(self, child: Child | None, state: State, detail: str) -> None:
        async with self._changed:
            self._child, self.state, self.detail = child, state, detail
            self._changed.notify_all()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the child's input, which it takes as the order to end; kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
    finally:
        if process.returncode is None:  # whoever waits here was cancelled
            process.kill()


async def _tail(stream: asyncio.StreamReader | None) -> bytes:
    """Read to the end so that the child never blocks on its log; returns the last bytes."""
    kept = b""
    while stream is not None and (piece := await stream.read(4096)):
        kept = (kept + piece)[-_LOG_BYTES:]
    return kept
