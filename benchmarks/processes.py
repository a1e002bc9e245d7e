"""Servers to measure, each in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_ROOT = Path(__file__).parent.parent


class Process(NamedTuple):
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """What all threads of the process have used, by the kernel's account in nanoseconds."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def memory_mib(pid: int) -> float:
    """What a process and those below it hold in memory, in MiB; pages they share count once, in parts (PSS)."""
    kibibytes = 0
    for member in _family(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:  # it has ended since
            continue
        kibibytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kibibytes / 1024


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _family(int(child))
    return found


def serve(application: Any) -> None:
    """Serve an ASGI application on a free port, as ``twinloop up`` does, and print the URL."""
    import uvicorn
    import uvloop

    config = uvicorn.Config(
        application,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        date_header=False,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        print(f"serves http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvloop.run(uvicorn.Server(config).serve(sockets=[listener]))


@contextmanager
def process(*words: str) -> Iterator[Process]:
    """``python -m`` with ``words`` as a child that prints a line with its URL; ended by SIGTERM."""
    command = [sys.executable, "-m", *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    try:
        assert child.stdout is not None
        for line in child.stdout:
            found = [word for word in line.split() if word.startswith("http://")]
            if found:
                yield Process(found[0], child.pid)
                return
        raise SystemExit(f"{' '.join(words)} ended with {child.wait()} before it served")
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)
        if child.stdout is not None:
            child.stdout.close()
