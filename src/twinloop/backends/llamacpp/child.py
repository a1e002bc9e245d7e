"""The child process: ``python -m twinloop.backends.llamacpp.child``. Ends when its standard input closes.

A process of its own, because a crash in native code must not take the server along, and because llama.cpp's threads
would hold the interpreter's lock.
"""

from __future__ import annotations

import os
import signal
import sys

import msgspec

from twinloop.backends.llamacpp.settings import ChildReady, ChildSettings
from twinloop.backends.parent import end_with_parent

_CACHE_MIB = 256


def main() -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=ChildSettings)
    end_with_parent()
    # llama.cpp writes its log to both standard streams; keep ours for the answer and send the rest to the parent's pipe.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ["OMP_WAIT_POLICY"] = "passive"  # read when the library is loaded; else idle threads spin
    server = _serve(settings)
    with answer:
        answer.write(msgspec.json.encode(ChildReady(server.listening_address)) + b"\n")
    signal.pause()


def _serve(settings: ChildSettings):  # type: ignore[no-untyped-def]
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings.model
    params.model_alias = {"local"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.key]
    params.n_parallel = settings.slots
    params.n_ctx = settings.context * settings.slots
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib = _CACHE_MIB
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
