"""A pipeline's process is killed in the middle; running it again goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.serving import ServerProcess

PROJECT = """
import os, signal, sys, time
from pathlib import Path
import twinloop as tl

LOG = Path(sys.argv[1]) / "log"
MODE = sys.argv[2]


def note(step):
    with LOG.open("a") as file:
        file.write(step + chr(10))


@tl.step
def load(month: int) -> dict:
    note("load")
    made = tl.current().revisions.register("endpoint", "flights", {"type": "predict", "pins": {}, "weight": month / 10})
    return {"data": made["ref"], "rows": 10}


@tl.step(cache=False)
def notify(rows: int) -> int:
    note("notify")
    return rows


@tl.step(cache=False)
def train(rows: int, told: int) -> int:
    note("train")
    if MODE == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if MODE == "hang":
        (LOG.parent / "training").touch()
        time.sleep(60)
    return rows + told


@tl.step
def publish(value: int) -> int:
    note("publish")
    return value


@tl.pipeline
def monthly(month: int) -> int:
    loaded = load(month)
    return publish(train(loaded["rows"], notify(loaded["rows"])))


URL = sys.argv[3] or None
with tl.connect(url=URL, home=None if URL else Path(sys.argv[1]) / "home") as client:
    try:
        report = client.pipelines.run(monthly, {"month": 3})
    except tl.TwinloopError as error:
        print(error)
        sys.exit(2)
    print(report.summary())
    print("value", report.value)
"""


def start(folder: Path, mode: str, url: str = "") -> subprocess.Popen[str]:
    (folder / "monthly.py").write_text(PROJECT)
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, str(folder / "monthly.py"), str(folder), mode, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    return out


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def steps(folder: Path) -> list[str]:
    return (folder / "log").read_text().split()


def test_a_killed_pipeline_resumes_at_the_step_that_was_in_flight(tmp_path: Path) -> None:
    killed = start(tmp_path, "die")
    finish(killed)
    assert killed.returncode == -signal.SIGKILL
    assert steps(tmp_path) == ["load", "notify", "train"]

    again = start(tmp_path, "live")
    out = finish(again)
    assert again.returncode == 0, out
    assert "value 20" in out
    assert "(resumed)" in out
    assert steps(tmp_path) == ["load", "notify", "train", "train", "publish"]

    third = finish(start(tmp_path, "live"))
    assert "2 cached, 2 run" in third, third
    assert steps(tmp_path)[5:] == ["notify", "train"]


def test_a_pipeline_interrupted_from_the_keyboard_resumes_too(tmp_path: Path) -> None:
    running = start(tmp_path, "hang")
    wait_for(tmp_path / "training", running)
    running.send_signal(signal.SIGINT)
    finish(running)
    out = finish(start(tmp_path, "live"))
    assert "(resumed)" in out
    assert steps(tmp_path) == ["load", "notify", "train", "train", "publish"]


def test_a_second_runner_is_refused_while_the_first_lives_and_takes_over_when_it_is_killed(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "home") as server:
        first = start(tmp_path, "hang", server.url)
        wait_for(tmp_path / "training", first)
        second = start(tmp_path, "live", server.url)
        out = finish(second)
        assert second.returncode == 2
        assert f"is being run with these parameters by process {first.pid}" in out
        first.kill()
        finish(first)
        out = finish(start(tmp_path, "live", server.url))
        assert "(resumed)" in out
        assert steps(tmp_path) == ["load", "notify", "train", "train", "publish"]
