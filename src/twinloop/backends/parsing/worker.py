"""The process that opens foreign files. Run as ``python -m twinloop.backends.parsing.worker MEMORY_BYTES SECONDS``.

It gives up memory beyond its limit, file writes, core dumps and open files before it reads the first job, and ends by
itself when a document takes longer than SECONDS or its parent is gone.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from twinloop.backends.parsing.wire import LENGTH, Declined, Done, Job, Outcome, decode_job, encode
from twinloop.core.errors import MissingDependency, TwinloopError
from twinloop.llm.documents.errors import DocumentRefused
from twinloop.llm.documents.model import Parsed

_READERS = {
    "text/markdown": "markdown",
    "text/plain": "plain",
    "text/html": "html",
    "application/pdf": "pdf",
}
_OPEN_FILES = 64


def main(memory_bytes: int, seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    jobs = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    while len(head := jobs.read(LENGTH.size)) == LENGTH.size:
        job = decode_job(jobs.read(LENGTH.unpack(head)[0]))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        message = encode(read(job))
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(LENGTH.pack(len(message)) + message)
        replies.flush()


def read(job: Job) -> Outcome:
    """Read one document; whatever a parser raises becomes a reason."""
    try:
        return Done(_reader(job.media_type)(Path(job.file), job.name))
    except TwinloopError as error:
        return Declined(error.message)
    except MemoryError:
        return Declined("Reading it needs more memory than the limit allows. Split it into parts.")
    except RecursionError:
        return Declined("It is nested too deeply to be read. Save it in a simpler form.")
    except Exception as error:  # noqa: BLE001  a foreign file may break a parser in any way; the reason goes to the caller
        return Declined(f"It could not be read ({type(error).__name__}: {str(error)[:200]}). Save it again or as text.")


def _reader(media_type: str) -> Callable[[Path, str], Parsed]:
    try:
        module = importlib.import_module(f"twinloop.backends.parsing.{_READERS[media_type]}")
    except KeyError:
        raise DocumentRefused(
            f"There is no reader for {media_type}. Convert it to Markdown, HTML, text or PDF."
        ) from None
    except ModuleNotFoundError as error:
        raise MissingDependency(error.name or "a parser", "llm") from error
    reader: Callable[[Path, str], Parsed] = module.read
    return reader


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
