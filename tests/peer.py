"""A real MLflow in an environment of its own (``make peer``): its server to compare with, its client to run scripts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".peer" / "bin" / "python"
HERE = PYTHON.exists()
WHY_NOT = "the real MLflow is not installed: make peer"

_START_S = 120.0
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "OMP_NUM_THREADS": "1",
}


def environment(**more: str) -> dict[str, str]:
    """The environment for processes of the peer: nothing of ours, and nothing that calls home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TWINLOOP_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV"))}
    return kept | _QUIET | more


class MlflowServer:
    """``mlflow server`` over SQLite as a child process; ``url`` is where it serves."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.database = folder / "mlflow.db"
        self.artifacts = folder / "artifacts"
        self._log = (folder / "server.log").open("wb")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [
                str(PYTHON), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
                "--backend-store-uri", f"sqlite:///{self.database}", "--artifacts-destination", str(self.artifacts),
                "--workers", str(workers),
            ],
            stdout=self._log, stderr=subprocess.STDOUT, env=environment(), start_new_session=True, cwd=folder,
        )  # fmt: skip
        self._wait(folder)
        self.ready_s = time.monotonic() - begun

    def _wait(self, folder: Path) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError(
                        f"mlflow server is not ready:\n{(folder / 'server.log').read_text()}"
                    ) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """End the server and the workers it started, all of its own session."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._log.close()

    def __enter__(self) -> MlflowServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_script(script: Path, url: str, folder: Path, *, timeout_s: float = 280.0, **env: str) -> Any:
    """Run a client script, unmodified, against the server at ``url``; returns the JSON on its last line of output."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(PYTHON), str(script)],
        env=environment(MLFLOW_TRACKING_URI=url, **env),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{script.name} against {url} ended with {done.returncode}:\n{done.stderr[-6000:]}"
    return json.loads(done.stdout.strip().splitlines()[-1])
