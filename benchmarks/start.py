"""What starting costs: the command, the import, and a server from nothing to ready on a home that was used before.

Whole processes, measured from outside; byte code is compiled before the first counted run. A bare interpreter stands
beside them, because a noisy machine slows it as well.

    python -m benchmarks.start [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

COMMAND_LIMIT_S = 0.2
IMPORT_LIMIT_S = 0.3
_ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Started(NamedTuple):
    """Seconds until ``/readyz`` answered, and the process's resident memory then, in MiB."""

    seconds: float
    mebibytes: float


def seconds_of(*words: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=_ENVIRON)
    return time.perf_counter() - began


def start_server(home: Path) -> Started:
    """Start ``twinloop up``, wait until it is ready, and end it."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "twinloop", "up", "--home", str(home), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_ENVIRON)
    try:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http://"))
        while True:
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.005)
        seconds = time.perf_counter() - began
        return Started(seconds, _resident_mebibytes(server.pid))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        if server.stdout is not None:
            server.stdout.close()


def _resident_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0 when both limits hold, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args(arguments).rounds
    bare: list[float] = []
    command: list[float] = []
    imported: list[float] = []
    servers: list[Started] = []
    with tempfile.TemporaryDirectory(prefix="twinloop-bench-") as folder:
        for number in range(rounds + 1):
            bare.append(seconds_of("-c", "pass"))
            command.append(seconds_of("-m", "twinloop", "--version"))
            imported.append(seconds_of("-c", "import twinloop"))
            servers.append(start_server(Path(folder) / "home"))
            if number == 0:  # this round compiled and made the home
                for kept in (bare, command, imported, servers):
                    kept.clear()
    median = statistics.median
    ready = median(server.seconds for server in servers)
    memory = median(server.mebibytes for server in servers)
    print(f"start: median of {rounds} rounds; python -c pass takes {median(bare):.3f} s")
    print(f"{'':<34}{'seconds':>10}{'limit':>10}")
    print(f"{'twinloop --version':<34}{median(command):>10.3f}{COMMAND_LIMIT_S:>10.1f}")
    print(f"{'import twinloop':<34}{median(imported):>10.3f}{IMPORT_LIMIT_S:>10.1f}")
    print(f"{'twinloop up, until ready':<34}{ready:>10.3f}{'-':>10}   {memory:.0f} MiB resident")
    return 0 if median(command) <= COMMAND_LIMIT_S and median(imported) <= IMPORT_LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
