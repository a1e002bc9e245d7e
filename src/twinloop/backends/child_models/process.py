"""The parent's side: one process for each loaded model, replaced when it dies or takes too long."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from twinloop.backends.child_models import wire
from twinloop.core.errors import InvalidInput, MissingDependency, Refused, TwinloopError, Unavailable, UpstreamError
from twinloop.ml.training.fields import Field
from twinloop.ml.training.packages import PackageManifest

if TYPE_CHECKING:
    from twinloop.ml.deployment.ports import Arrays

_CHUNK = 2**20
_REPLY_LIMIT = 2**30
_KEPT = ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV")
_ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "JOBLIB_MULTIPROCESSING": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Limits(msgspec.Struct, frozen=True):
    """Bounds on a model's process: ``memory_bytes`` of address space, and seconds to load it and to answer once."""

    memory_bytes: int = 6 * 2**30
    load_s: float = 120.0
    answer_s: float = 30.0


class SkopsEngine:
    """Loads scikit-learn models from skops files, each into a process of its own."""

    formats = ("skops",)

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    def load_package(self, package: PackageManifest, files: Mapping[str, Path]) -> ChildModel:
        file = next(iter(files.values()))
        job = wire.Load(str(file.absolute()), str(package.options.get("predict", "predict")), package.inputs)
        model = ChildModel(job, self._limits)
        try:
            model.start()
        except BaseException:
            model.close()
            raise
        return model


class ChildModel:
    """A model in another process. A process that ended is started again by the next request."""

    def __init__(self, job: wire.Load, limits: Limits) -> None:
        self._job = job
        self._limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._fields: tuple[Field, ...] = ()
        self._classes: Sequence[Any] | None = None

    @property
    def inputs(self) -> tuple[Field, ...]:
        return self._fields

    @property
    def classes(self) -> Sequence[Any] | None:
        return self._classes

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the process and let it load the model. Raises as ``PackageEngine.load_package``."""
        self._end()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "twinloop.backends.child_models.worker", str(self._limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        loaded = self._exchange(self._job, self._limits.load_s)
        if not isinstance(loaded, wire.Loaded):
            raise UpstreamError("The model's process did not say what it loaded. Try again.")
        self._fields, self._classes = loaded.fields, loaded.classes

    def predict(self, given: Arrays, /) -> Arrays:
        if self._child is None or self._child.poll() is not None:
            self.start()
        answer = self._exchange(wire.Ask(wire.pack(given)), self._limits.answer_s)
        if not isinstance(answer, wire.Answered):
            raise UpstreamError("The model's process answered something else. Try again.")
        return wire.unpack(answer.outputs)

    def close(self) -> None:
        self._end()

    def _exchange(self, job: wire.Job, seconds: float) -> wire.Outcome:
        """Send a job and wait for its outcome. Raises what the outcome says went wrong."""
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        deadline = time.monotonic() + seconds
        message = wire.encode(job)
        try:
            _send(child.stdin.fileno(), wire.LENGTH.pack(len(message)) + message, deadline)
            (length,) = wire.LENGTH.unpack(_receive(child.stdout.fileno(), wire.LENGTH.size, deadline))
            if length > _REPLY_LIMIT:
                raise EOFError
            outcome: wire.Outcome = wire.decode_outcome(_receive(child.stdout.fileno(), length, deadline))
        except TimeoutError:
            self._end()
            raise Unavailable(f"The model took over {seconds:g} seconds and was ended. Send fewer rows.") from None
        except (EOFError, OSError, msgspec.MsgspecError):
            self._end()
            raise UpstreamError(
                "The model's process ended before it answered: its file is damaged, or it needs more memory than its limit."
            ) from None
        except BaseException:
            self._end()
            raise
        if isinstance(outcome, wire.Failed):
            raise _error(outcome)
        return outcome

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        child.wait()


def _error(failed: wire.Failed) -> TwinloopError:
    if failed.kind == "missing":
        return MissingDependency(failed.message, "sklearn")
    if failed.kind == "refused":
        return Refused(failed.message)
    if failed.kind == "input":
        return InvalidInput(f"The model refuses these values: {failed.message}")
    return UpstreamError(f"The model could not predict: {failed.message}.")


def _send(pipe: int, data: bytes, deadline: float) -> None:
    os.set_blocking(pipe, False)
    view = memoryview(data)
    while view:
        _wait(pipe, select.POLLOUT, deadline)
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(pipe, view[:_CHUNK]) :]


def _receive(pipe: int, size: int, deadline: float) -> bytes:
    found = bytearray()
    while len(found) < size:
        _wait(pipe, select.POLLIN, deadline)
        part = os.read(pipe, min(_CHUNK, size - len(found)))
        if not part:
            raise EOFError
        found += part
    return bytes(found)


def _wait(pipe: int, what: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, what)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
