"""A run that is being logged: every verb writes to a journal on this machine and returns."""

from __future__ import annotations

import math
import operator
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twinloop.control.artifacts.paths import check_path
from twinloop.control.tracking.names import PARAM_LIMIT, TAG_LIMIT, check_key, check_pairs
from twinloop.control.tracking.replay.operations import (
    Finish,
    Log,
    Operation,
    Params,
    Point,
    Produce,
    Read,
    RunEnd,
    Start,
    Tags,
    Use,
)
from twinloop.core.digests import is_digest
from twinloop.core.errors import InvalidInput, Unavailable
from twinloop.core.ids import Ref
from twinloop.sdk.tracking import context

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from twinloop.sdk.client import Client
    from twinloop.sdk.spooling.delivery import Rejected

T = TypeVar("T")

_LARGEST = 1.7976931348623157e308
_INT64 = 2**63
_KEPT_REJECTIONS = 1000


class Sink(Protocol):
    """Where a run's operations go."""

    def write(self, run: ActiveRun, operation: Operation) -> None: ...

    def write_file(self, run: ActiveRun, path: str, source: Path | bytes, model: str | None = None) -> None: ...

    def flush(self, timeout_s: float | None) -> bool: ...

    def ended(self, run: ActiveRun) -> None: ...

    def client(self) -> AbstractContextManager[Client]: ...


class ActiveRun:
    """A run under way. Use it as a context manager, or ``finish`` it; the end of the program finishes what is left.

    Nothing here but ``flush`` and ``log_model`` waits for a server or fails because one is away: what is logged is
    appended to a journal and sent by a thread, in order, once each. Input that cannot be right is an InvalidInput at
    once; what only the server can know to be wrong is logged as a warning and kept in ``rejected``. Safe for use by
    many threads.
    """

    def __init__(self, sink: Sink, start: Start, parent: ActiveRun | None = None, owner: bool = True) -> None:
        self.id = start.run
        self.name = start.name
        self.experiment = start.experiment
        self.parent = parent
        self.rejected: list[Rejected] = []
        """What the server refused of this run, with the reason."""
        self.opening = start
        self.owner = owner
        """Whether this program ends the run; a worker that was forked off only adds to it."""
        self.ended = False
        self._sink = sink
        self._params: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<run {self.name or self.id} ({self.id}) of {self.experiment}>"

    def log(self, metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any) -> None:
        """Add a point to each of the given metrics: ``run.log(loss=0.3, accuracy=0.9, step=12)``.

        Args:
            metrics: by name, for names that are no Python words; values are anything ``float`` takes, NaN included.
            step: where on the series; without it, one behind the last step logged here for that metric.

        Raises:
            InvalidInput: a name no metric can have, or a value that is no number.
        """
        steps = self._steps
        points: list[Point] = []
        given = more if metrics is None else {**metrics, **more}
        at = time.time_ns() // 1_000_000
        if step is not None:
            step = _step(step)
        numbers = [
            (check_key(key, "metric key"), value if type(value) is float else _number(key, value))
            for key, value in given.items()
        ]
        with self._lock:
            for key, number in numbers:
                place = steps.get(key, -1) + 1 if step is None else step
                steps[key] = place
                points.append((key, number if math.isfinite(number) else unusual(number), place))
        if points:
            self._sink.write(self, Log(self.id, at, points))

    def params(self, params: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Say what the run was started with: ``run.params(depth=6, eta=0.1)``. Values are kept as text.

        Raises:
            InvalidInput: a param has another value already (they never change), a bad name, or a text that is too long.
        """
        given = {key: str(value) for key, value in {**(params or {}), **more}.items()}
        check_pairs(given, "param", PARAM_LIMIT)
        with self._lock:
            for key, value in given.items():
                if self._params.get(key, value) != value:
                    raise InvalidInput(
                        f"The param {key!r} is {self._params[key]!r} already and cannot become {value[:80]!r}. "
                        "Log it under another name, or start another run."
                    )
            fresh = {key: value for key, value in given.items() if key not in self._params}
            if fresh:
                self._sink.write(self, Params(self.id, fresh))
                self._params.update(fresh)

    def tags(self, tags: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set tags: ``run.tags(team="search")``. They may change; None takes one away."""
        given = {key: None if value is None else str(value) for key, value in {**(tags or {}), **more}.items()}
        check_pairs({key: value or "" for key, value in given.items()}, "tag", TAG_LIMIT)
        if given:
            self._sink.write(self, Tags(self.id, given))

    def artifact(self, source: str | Path | bytes | bytearray | memoryview, path: str | None = None) -> None:
        """Keep a file, or a folder with all in it, with the run. It is copied first, so it may change afterwards.

        Args:
            source: the file or folder; or bytes, which need a ``path``.
            path: where it lies among the run's artifacts; without it, under its own name.

        Raises:
            InvalidInput: there is no such file, or the path leaves the run's artifacts.
        """
        if isinstance(source, bytes | bytearray | memoryview):
            if path is None:
                raise InvalidInput("Bytes have no name. Say where they go: run.artifact(data, 'report.html').")
            self._sink.write_file(self, _inner(path), bytes(source))
            return
        found = Path(source)
        if found.is_file():
            self._sink.write_file(self, _inner(path or found.name), found)
        elif found.is_dir():
            place = _inner(path or found.resolve().name)
            files = sorted(item for item in found.rglob("*") if item.is_file())
            paths = [_inner(f"{place}/{inside.relative_to(found).as_posix()}") for inside in files]
            for inner, inside in zip(paths, files, strict=True):
                self._sink.write_file(self, inner, inside)
        else:
            raise InvalidInput(f"There is no file {found}. Nothing was kept.")

    def use(self, what: T, name: str | None = None, role: str = "input") -> T:
        """Say what the run read, and return it: ``rows = run.use(pandas.read_csv(path), name="train")``.

        Args:
            what: a revision (``"dataset/flights@3"``, or a digest), which becomes a parent in the lineage; or data: a data
                frame, an array, a list of rows, or the path of a file, whose content is digested.
            role: what for, such as ``training`` or ``validation``.

        Raises:
            InvalidInput: text that names neither a revision nor a file, or data that cannot be digested.
        """
        self._sink.write(self, self._used(what, name, role))
        return what

    def produced(self, ref: str) -> None:
        """Say which revision came out of the run; what ``client.models.log`` and its like register inside the block of a
        run is linked without this."""
        self._sink.write(self, Produce(self.id, _revision(ref)))

    def log_model(self, name: str, model: Any, *, label: str, **options: Any) -> dict[str, Any]:
        """Register a trained model that came out of the run, and return its revision.

        ``run.log_model("delay", booster, label="late", inputs=inputs)``. The one verb here that waits for the server,
        which gives a revision its number.

        Args:
            options: see ``client.models.log``.

        Raises:
            Unavailable: the server is away. Nothing was registered; the message says how to do so later.
            InvalidInput: a model of a kind that cannot be logged as it is.
        """
        try:
            with self._sink.client() as client:
                return client.models.log(name, model, label=label, run_id=self.id, **options)
        except Unavailable as error:
            raise Unavailable(
                f"{error.message} No model was registered, because its revision gets its number there. Keep its file "
                f"with run.artifact(path), and register it later with client.models.log(…, run_id={self.id!r})."
            ) from error

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the server has all that was logged; False when that takes longer than ``timeout_s``."""
        return self._sink.flush(timeout_s)

    def finish(self, status: RunEnd = "FINISHED") -> None:
        """End the run. What is logged on it afterwards is still kept."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
        context.closed(self)
        if self.owner:
            self._sink.write(self, Finish(self.id, time.time_ns() // 1_000_000, status))
        self._sink.ended(self)

    def __enter__(self) -> ActiveRun:
        context.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context.leave(self)
        self.finish(ending(error))

    def record(self, operation: Operation) -> None:
        """Write down an operation as it is; for adapters, which check it themselves."""
        self._sink.write(self, operation)

    def record_file(self, path: str, source: Path | bytes, model: str | None) -> None:
        """Keep a file with a logged model of the run, or with the run itself."""
        self._sink.write_file(self, path, source, model)

    def reject(self, rejected: Rejected) -> None:
        """Remember what the server refused."""
        if len(self.rejected) < _KEPT_REJECTIONS:
            self.rejected.append(rejected)

    def after_fork(self) -> None:
        """In a forked child: this process only adds to the run."""
        self.owner = False
        self._lock = threading.RLock()

    def _used(self, what: Any, name: str | None, role: str) -> Operation:
        check_key(role, "role")
        if isinstance(what, str) and not _exists(what):
            return Use(self.id, role, _revision(what))
        from twinloop.sdk.tracking.reading import describe

        found = describe(what, name)
        return Read(
            self.id, role, found.name, found.digest, found.source_type, found.source, found.schema, found.profile
        )


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


def ending(error: BaseException | None) -> RunEnd:
    """How a run ends with an exception. KILLED is what was stopped from outside: Ctrl-C, a cancelled task, a generator
    that nobody goes on with."""
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception | SystemExit) else "KILLED"


def _number(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last is what a tensor of several numbers raises
        raise InvalidInput(
            f"The metric {key!r} is a {type(value).__name__}, not a number. Log it as a param or tag."
        ) from None


def unusual(number: float) -> float | None:
    """NaN as JSON can say it; an infinity as the largest number, which is how the server keeps it."""
    return None if math.isnan(number) else math.copysign(_LARGEST, number)


def _step(step: Any) -> int:
    try:
        found = operator.index(step)
    except TypeError:
        raise InvalidInput(f"The step is a {type(step).__name__}. Give a whole number.") from None
    if not -_INT64 <= found < _INT64:
        raise InvalidInput(f"The step {found} is too large. Give one of at most 64 bits.")
    return found


def _revision(ref: str) -> str:
    return ref if is_digest(ref) else str(Ref.parse(ref))


def _inner(path: str) -> str:
    """``path`` as one below the run's artifacts, in normal form."""
    plain = PurePosixPath(path.replace(os.sep, "/"))
    if plain.is_absolute() or ".." in plain.parts or plain == PurePosixPath() or "\x00" in path:
        raise InvalidInput(f"{path[:120]!r} is no path below the run's artifacts. Write it like plots/loss.png")
    return check_path(plain.as_posix())
