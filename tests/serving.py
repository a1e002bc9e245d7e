"""A real Twinloop server process for tests: started on a free port and a home of its own, ended by pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

_START_S = 60.0


class ServerProcess:
    """``twinloop up`` as a child process; ``url`` is where it serves, ``home`` its folder."""

    def __init__(self, home: Path, *arguments: str, env: dict[str, str] | None = None, ready: bool = True) -> None:
        self.home = home
        self._log = home.parent / f"{home.name}.log"
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TWINLOOP_")} | (env or {})
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "twinloop", "up", "--home", str(home), "--port", "0", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environ,
                text=True,
            )
        self.url = self._read_url()
        if ready:
            self.wait_ready()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _read_url(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            for word in line.split():
                if word.startswith("http://"):
                    return word
        status = self.process.wait()
        self._close()
        raise AssertionError(f"the server ended with {status}:\n{self.log}")

    def wait_ready(self) -> None:
        """Wait until everything that was live is loaded."""
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(f"the server is not ready:\n{self.log}") from None
                time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to end and wait; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        self._close()
        return status

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait(timeout=60)
        self._close()

    def _close(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
