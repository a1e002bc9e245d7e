"""The process of one model. Run as ``python -m twinloop.backends.child_models.worker MEMORY_BYTES``.

It gives up memory beyond its limit, file writes and core dumps before it reads the first job, and ends by itself when its
parent is gone.
"""

from __future__ import annotations

import os
import resource
import sys
import warnings
from pathlib import Path
from typing import BinaryIO, Literal

from twinloop.backends.child_models import wire
from twinloop.backends.child_models.estimator import Estimator, load
from twinloop.core.errors import MissingDependency, Refused, TwinloopError


def main(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    jobs = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    warnings.simplefilter("ignore")
    serve(jobs, replies)


def serve(jobs: BinaryIO, replies: BinaryIO) -> None:
    """Answer jobs until their stream ends."""
    model: Estimator | None = None
    while len(head := jobs.read(wire.LENGTH.size)) == wire.LENGTH.size:
        job = wire.decode_job(jobs.read(wire.LENGTH.unpack(head)[0]))
        outcome: wire.Outcome
        try:
            if isinstance(job, wire.Load):
                model = load(Path(job.file), job.predict, job.fields)
                outcome = wire.Loaded(model.fields, model.classes)
            elif model is None:
                outcome = wire.Failed("model", "No model is loaded.")
            else:
                outcome = wire.Answered(wire.pack(model.answer(wire.unpack(job.inputs))))
        except Exception as error:  # noqa: BLE001  an estimator may raise anything; what it says goes to the caller
            outcome = failure(error)
        message = wire.encode(outcome)
        replies.write(wire.LENGTH.pack(len(message)) + message)
        replies.flush()


def failure(error: Exception) -> wire.Failed:
    """What went wrong, in terms of whose fault it is: of these values, of the model, or of what is not installed."""
    if isinstance(error, MissingDependency):
        return wire.Failed("missing", error.package)
    if isinstance(error, TwinloopError):
        return wire.Failed("refused" if isinstance(error, Refused) else "input", error.message)
    if isinstance(error, MemoryError):
        return wire.Failed("model", "It needs more memory than its process may have")
    line = " ".join(str(error).split())[:300]
    fault: Literal["input", "model"] = "input" if isinstance(error, ValueError | TypeError | KeyError) else "model"
    return wire.Failed(fault, f"{type(error).__name__}: {line}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
