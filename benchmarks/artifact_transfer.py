"""A large artifact up to a server and down again: seconds, the server's CPU, and how far its memory grows meanwhile.

``measure`` drives any server that speaks MLflow's protocol, by MLflow's own client in a process of its own; Twinloop also by
its SDK. It starts no server. ``python -m benchmarks.artifact_transfer`` measures Twinloop on a home of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from benchmarks.processes import memory_mib, process

By = Literal["mlflow", "mlflow in parts", "sdk"]
WAYS: tuple[By, ...] = ("mlflow", "mlflow in parts", "sdk")
SIZE = 2 * 10**9
TARGET_MIB = 64.0

_SAMPLE_S = 0.05
_TICK = os.sysconf("SC_CLK_TCK")

_MLFLOW = """
import sys, time
import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
verb, file, folder = sys.argv[1:]
if verb == "up":
    run = mlflow.start_run()
    repository = get_artifact_repository(run.info.artifact_uri)
    begun = time.monotonic()
    repository.log_artifact(file)
    print("seconds", time.monotonic() - begun)
    print("uri", run.info.artifact_uri + "/" + file.rpartition("/")[2])
    mlflow.end_run()
else:
    begun = time.monotonic()
    download_artifacts(artifact_uri=file, dst_path=folder)
    print("seconds", time.monotonic() - begun)
"""

_SDK = """
import os, sys, time
import twinloop
verb, file, folder = sys.argv[1:]
with twinloop.connect(url=os.environ["MLFLOW_TRACKING_URI"]) as client:
    begun = time.monotonic()
    if verb == "up":
        print("uri", client.artifacts.upload("benchmark", file)[0]["path"])
    else:
        client.artifacts.download(file, folder)
    print("seconds", time.monotonic() - begun)
"""


class Transfer(NamedTuple):
    """One way of a file. ``memory_mib`` is the server's largest memory meanwhile less that before, its children's too."""

    bytes: int
    seconds: float
    cpu_s: float
    memory_mib: float

    @property
    def mb_per_s(self) -> float:
        return self.bytes / 1e6 / self.seconds

    @property
    def mb_per_cpu_s(self) -> float:
        """Megabytes that the server moves with one second of CPU."""
        return self.bytes / 1e6 / self.cpu_s


class Both(NamedTuple):
    up: Transfer
    down: Transfer


class Watch:
    """The memory and the CPU of a process and its children, from entering to leaving."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.peak_mib = self.before_mib = 0.0
        self.cpu_s = 0.0

    @property
    def growth_mib(self) -> float:
        return self.peak_mib - self.before_mib

    def __enter__(self) -> Watch:
        self.before_mib = self.peak_mib = memory_mib(self._pid)
        self.cpu_s = -cpu_seconds(self._pid)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self.cpu_s += cpu_seconds(self._pid)
        self.peak_mib = max(self.peak_mib, memory_mib(self._pid))

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            self.peak_mib = max(self.peak_mib, memory_mib(self._pid))


def cpu_seconds(pid: int) -> float:
    """CPU of a process and its children since they began, threads that ended included."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(stat[11]) + int(stat[12])) / _TICK
    below = [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
    return own + sum(cpu_seconds(child) for child in below)


def make_file(folder: Path, size: int = SIZE) -> Path:
    """A file of bytes that do not repeat, so that nothing is saved on the way."""
    path = folder / f"artifact-{size}.bin"
    with path.open("wb") as file:
        left = size
        while left > 0:
            left -= file.write(os.urandom(min(2**22, left)))
    return path


def measure(url: str, pid: int, file: Path, folder: Path, by: By = "mlflow", python: str = sys.executable) -> Both:
    """Send ``file`` to the server at ``url``, whose first process is ``pid``, fetch it into ``folder``, and remove it there.

    ``python`` has the client: MLflow's, or, for ``sdk``, ours.
    """
    size = file.stat().st_size
    up, uri = _watched(url, pid, by, python, "up", str(file), folder)
    down, _ = _watched(url, pid, by, python, "down", uri, folder)
    for fetched in folder.glob(f"**/{file.name}"):
        if fetched.stat().st_size != size:
            raise SystemExit(f"{fetched} has {fetched.stat().st_size} bytes and not {size}")
        fetched.unlink()
    return Both(Transfer(size, *up), Transfer(size, *down))


def _watched(
    url: str, pid: int, by: By, python: str, verb: str, file: str, folder: Path
) -> tuple[tuple[float, float, float], str]:
    environ = {**os.environ, "MLFLOW_TRACKING_URI": url, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    if by == "mlflow in parts":
        environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
    text = _SDK if by == "sdk" else _MLFLOW
    with Watch(pid) as watch:
        done = subprocess.run(
            [python, "-c", text, verb, file, str(folder)], env=environ, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"{by} {verb} failed:\n{done.stderr[-3000:]}")
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("seconds ", "uri ")))
    return (float(said["seconds"]), watch.cpu_s, watch.growth_mib), said.get("uri", "")


def report(by: str, found: Both) -> None:
    for way, one in (("up", found.up), ("down", found.down)):
        print(
            f"{by:>16} {way:<4} {one.seconds:6.1f} s  {one.mb_per_s:5.0f} MB/s  {one.mb_per_cpu_s:5.0f} MB per server CPU s"
            f"  memory +{one.memory_mib:.0f} MiB",
            flush=True,
        )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.artifact_transfer", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=SIZE // 10**6)
    parser.add_argument("--by", choices=WAYS, action="append", help="every way unless given")
    chosen = parser.parse_args(arguments)
    missed = False
    with tempfile.TemporaryDirectory(prefix="artifact-transfer-") as scratch:
        folder = Path(scratch)
        for by in chosen.by or WAYS:
            file = make_file(folder, chosen.megabytes * 10**6)
            home = folder / f"home-{by.replace(' ', '-')}"
            with process("twinloop", "up", "--home", str(home), "--port", "0") as server:
                time.sleep(2)  # the server loads what was live, and then stands still
                into = folder / "fetched"
                into.mkdir(exist_ok=True)
                found = measure(server.url, server.pid, file, into, by)
            report(by, found)
            missed |= max(found.up.memory_mib, found.down.memory_mib) >= TARGET_MIB
            _remove(home)
    print(f"target: memory grows by less than {TARGET_MIB:.0f} MiB: {'missed' if missed else 'reached'}")
    return int(missed)


def _remove(home: Path) -> None:
    """A home has gigabytes by now; the next way starts without them on the disk."""
    for file in sorted(home.rglob("*"), reverse=True):
        file.unlink() if not file.is_dir() else file.rmdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
