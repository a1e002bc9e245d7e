"""Tracking beside what a program does otherwise: generators, tasks, signals, random numbers."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import twinloop as tl
from tests.recording import QUIET, of
from twinloop.control.tracking.replay.operations import Log, Start, Tags
from twinloop.core.errors import Refused


def test_blocks_of_generators_may_be_left_in_any_order(root: Path) -> None:
    def training(name: str) -> Iterator[None]:
        with tl.run(name, **QUIET):
            yield

    first, second = training("first"), training("second")
    next(first)
    next(second)
    first.close()  # type: ignore[attr-defined]
    tl.log(x=1)
    second.close()  # type: ignore[attr-defined]
    with pytest.raises(Refused):
        tl.log(x=2)
    with tl.run("third", **QUIET):
        pass
    starts = of(Start, root)
    assert [log.run for log in of(Log, root)] == [starts[1].run]
    assert starts[2].parent is None


def test_tasks_that_train_side_by_side_log_to_their_own_runs(root: Path) -> None:
    async def train(number: int) -> str:
        with tl.run(f"task {number}", **QUIET) as run:
            for _ in range(3):
                await asyncio.sleep(0)
                tl.log(number=number)
            return run.id

    async def both() -> list[str]:
        return await asyncio.gather(train(1), train(2))

    first, second = asyncio.run(both())
    assert {(log.run, log.points[0][1]) for log in of(Log, root)} == {(first, 1.0), (second, 2.0)}
    assert [start.parent for start in of(Start, root)] == [None, None]


def test_the_random_numbers_of_a_program_are_its_own(root: Path) -> None:
    """Also while the server is away and the sender waits between its tries."""
    random.seed(7)
    expected = random.getstate()
    with tl.run(**QUIET) as run:
        run.log(loss=1)
        run.flush(timeout_s=1.0)
    assert random.getstate() == expected
    names = set()
    for _ in range(4):
        random.seed(7)
        names.add(tl.run(**QUIET).name)
    assert len(names) > 1, "seeded programs are not all called the same"


SIGNALS = """
import signal, time, twinloop as tl

with tl.run(capture=False, system_metrics=False) as run:
    caught = []

    def told(number, frame):
        caught.append(number)
        run.log(told=1)
        run.tags(told=1)

    signal.signal(signal.SIGALRM, told)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    for step in range(60_000):
        run.log(loss=0.5, step=step)
    signal.setitimer(signal.ITIMER_REAL, 0)
print(len(caught))
"""


def test_a_signal_handler_that_logs_neither_hangs_nor_loses_anything(root: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    points = [point for log in of(Log, root) for point in log.points]
    assert [step for key, _, step in points if key == "loss"] == list(range(60_000))
    assert sum(key == "told" for key, _, _ in points) == len(of(Tags, root)) == int(done.stdout) > 0
