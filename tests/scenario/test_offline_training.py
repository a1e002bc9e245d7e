"""Training goes on while servers and programs are killed, answers are lost and disks are full; every record arrives once."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from tests.recording import NOBODY
from tests.serving import ServerProcess
from twinloop.sdk.spooling.left import spools

TRAINING = """
import sys, time
from pathlib import Path
import twinloop as tl

steps, pause, progress = int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
with tl.run("training", experiment="offline", params={"steps": steps}) as run:
    print(run.id, flush=True)
    for step in range(steps):
        run.log(loss=1.0 / (step + 1), step=step)
        if step % 50 == 0:
            run.tags(reached=step)
            run.artifact(str(step).encode() * 1000, "checkpoint.bin")
        progress.write_text(str(step))
        time.sleep(pause)
print("rejected", len(run.rejected), flush=True)
"""


class Training:
    """A program that logs a point every few milliseconds, in a process of its own."""

    def __init__(self, folder: Path, steps: int, pause: float = 0.004, wait: float = 30.0, **environ: str) -> None:
        self.steps = steps
        self.spool = folder / "spool"
        self.progress = folder / "progress"
        own = {"TWINLOOP_SPOOL": str(self.spool), "TWINLOOP_EXIT_WAIT_S": str(wait), **environ}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TWINLOOP_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(steps), str(pause), str(self.progress)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=inherited | own,
            cwd=folder,
        )
        assert self.process.stdout is not None
        self.id = self.process.stdout.readline().strip()

    @property
    def reached(self) -> int:
        """The last step that was logged for certain."""
        text = self.progress.read_text() if self.progress.exists() else ""
        return int(text or -1)

    def wait_for(self, step: int) -> None:
        deadline = time.monotonic() + 60
        while self.reached < step:
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            time.sleep(0.005)

    def end(self) -> str:
        """Wait for its end and return what it said on stderr."""
        out, errors = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, errors
        assert out.strip() == "rejected 0"
        return errors

    def kill(self) -> int:
        """As ``kill -9``; returns the last step that was logged for certain."""
        self.process.kill()
        self.process.communicate(timeout=30)
        return self.reached


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check(client: tl.Client, run_id: str, steps: int, status: str = "FINISHED", at_least: bool = False) -> None:
    """Everything is there, each once and in order."""
    found = client.runs.get(run_id)
    assert (found["name"], found["status"], found["params"].keys()) == ("training", status, {"steps"})
    points = client.runs.history(run_id, "loss")
    logged = [point["step"] for point in points]
    assert logged == list(range(len(logged)))
    assert len(logged) >= steps if at_least else len(logged) == steps
    assert [point["value"] for point in points] == [1.0 / (step + 1) for step in logged]
    assert found["metrics"]["loss"]["step"] == logged[-1]
    assert int(found["tags"]["reached"]) == logged[-1] // 50 * 50
    folder = f"{found['experiment']}/{run_id}/artifacts"
    checkpoint = b"".join(client.stream("GET", f"/api/v1/artifacts/{folder}/checkpoint.bin"))
    assert checkpoint == str(logged[-1] // 50 * 50).encode() * 1000


def send_spools(spool: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twinloop", "spool", "send", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"TWINLOOP_SPOOL": str(spool)},
    )


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again_costs_no_record(tmp_path: Path) -> None:
    chance = random.Random(7)
    port, home = str(free_port()), tmp_path / "home"
    server = ServerProcess(home, "--port", port)
    training = Training(tmp_path, 1500, TWINLOOP_URL=server.url)
    for kill in range(1, 5):
        training.wait_for(kill * 250)
        time.sleep(chance.random() * 0.2)
        server.kill()
        time.sleep(chance.random() * 0.5)
        server = ServerProcess(home, "--port", port)
    training.end()
    with server, tl.connect(server.url) as client:
        check(client, training.id, 1500)
    assert list(spools(training.spool)) == []


@pytest.mark.slow
def test_a_program_that_is_killed_loses_nothing_it_logged(tmp_path: Path) -> None:
    """With a server that answers, and with one that never did; whoever sends the rest ends the run as KILLED."""
    with ServerProcess(tmp_path / "home") as server, tl.connect(server.url) as client:
        for number, url in enumerate((server.url, NOBODY)):
            folder = tmp_path / str(number)
            folder.mkdir()
            training = Training(folder, 100_000, TWINLOOP_URL=url)
            training.wait_for(333)
            reached = training.kill()
            sent = send_spools(training.spool, "--url", server.url)
            assert sent.returncode == 0, sent.stderr
            check(client, training.id, reached + 1, status="KILLED", at_least=True)
            assert list(spools(training.spool)) == []
            assert "Sent 0 spools" in send_spools(training.spool, "--url", server.url).stdout


@pytest.mark.slow
def test_program_and_server_are_killed_together_and_the_job_goes_on_under_its_id(tmp_path: Path) -> None:
    port, home = str(free_port()), tmp_path / "home"
    reached = 0
    for attempt in range(3):
        server = ServerProcess(home, "--port", port)
        training = Training(tmp_path, 100_000, TWINLOOP_URL=server.url)
        training.wait_for(200 + 50 * attempt)
        threading.Thread(target=server.kill).start()
        reached = training.kill()
        server.process.wait()
    with ServerProcess(home, "--port", port) as server, tl.connect(server.url) as client:
        last = Training(tmp_path, 51, TWINLOOP_URL=server.url)
        last.end()
        check(client, last.id, 51)
        check(client, training.id, reached + 1, status="KILLED", at_least=True)
        assert len(list(client.runs.search("offline"))) == 4
    assert list(spools(last.spool)) == []


@pytest.mark.slow
def test_a_home_that_nobody_serves_has_the_run_when_the_program_ends(tmp_path: Path) -> None:
    training = Training(tmp_path, 60, TWINLOOP_HOME=str(tmp_path / "home"))
    assert training.end() == ""
    with tl.connect(home=tmp_path / "home") as client:
        check(client, training.id, 60)
    assert list(spools(training.spool)) == []


class Forgetful:
    """A proxy that passes requests on and cuts every other connection before the answer."""

    def __init__(self, url: str) -> None:
        self._target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = 0
        self._count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while request := self._message(client):
                server.sendall(request)
                answer = self._message(server, bodiless=request.startswith(b"HEAD"))
                if b"/api/v1/replays" in request.split(b"\r\n")[0]:
                    self._count += 1
                    if self._count % 2:
                        self.cut += 1
                        return
                client.sendall(answer)

    @staticmethod
    def _message(source: socket.socket, bodiless: bool = False) -> bytes:
        """One HTTP message with a length, or without a body."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = source.recv(2**16)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = 0 if bodiless else int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            body += source.recv(2**16)
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self._listener.close()


@pytest.mark.slow
def test_answers_that_get_lost_cost_and_double_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server, tl.connect(server.url) as client:
        proxy = Forgetful(server.url)
        training = Training(tmp_path, 600, TWINLOOP_URL=proxy.url)
        training.end()
        proxy.close()
        assert proxy.cut >= 2
        check(client, training.id, 600)


@pytest.mark.slow
def test_a_server_that_hangs_holds_up_neither_the_training_nor_its_end(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server:
        server.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        training = Training(tmp_path, 2000, pause=0.0, wait=2.0, TWINLOOP_URL=server.url)
        said = training.end()
        assert time.monotonic() - began < 20
        server.process.send_signal(signal.SIGCONT)
        assert "have not reached Twinloop" in said
        assert send_spools(training.spool).returncode == 0
        with tl.connect(server.url) as client:
            check(client, training.id, 2000)


def test_logging_without_any_server_takes_microseconds_and_ends_in_time(tmp_path: Path) -> None:
    program = (
        "import time, twinloop as tl\n"
        "with tl.run(capture=False, system_metrics=False) as run:\n"
        "    began = time.perf_counter()\n"
        "    for step in range(20000): run.log(loss=0.5, step=step)\n"
        "    print((time.perf_counter() - began) / 20000)\n"
    )
    environ = {"TWINLOOP_SPOOL": str(tmp_path / "spool"), "TWINLOOP_URL": NOBODY, "TWINLOOP_EXIT_WAIT_S": "0.5"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | environ,
        timeout=120,
        check=True,
    )
    assert time.monotonic() - began < 30
    assert float(done.stdout) < 500e-6
    assert "20002 records" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("away", [False, True])
def test_a_full_disk_under_the_spool_stops_nothing_and_is_told(tmp_path: Path, small_disk: Path, away: bool) -> None:
    """With a server everything arrives all the same, out of memory; without one there is a warning, and no error."""
    program = (
        "import logging, sys, time, twinloop as tl\n"
        "logging.basicConfig(format='%(message)s')\n"
        "with tl.run('full', capture=False, system_metrics=False) as run:\n"
        "    for step in range(60000):\n"
        "        run.log(loss=0.5, step=step)\n"
        "    run.artifact(b'x' * 10_000_000, 'large.bin')\n"
        "    time.sleep(2)\n"
        "print(run.id, [item.message for item in run.rejected])\n"
    )
    with ServerProcess(tmp_path / "home") as server, tl.connect(server.url) as client:
        environ: dict[str, Any] = {
            "TWINLOOP_SPOOL": str(small_disk / "spool"),
            "TWINLOOP_URL": NOBODY if away else server.url,
            "TWINLOOP_EXIT_WAIT_S": "1" if away else "60",
        }
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | environ, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "There is no room in" in done.stdout
        run_id = done.stdout.split()[0]
        if away:
            assert "held in memory" in done.stderr
            assert "have not reached Twinloop" in done.stderr
        else:
            assert len(client.runs.history(run_id, "loss")) == 60_000
            assert client.runs.get(run_id)["status"] == "FINISHED"
