"""The whole story as a newcomer runs it, over a real server process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import twinloop
from tests.serving import ServerProcess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home that the story left behind, and all that it printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    command = [sys.executable, "-m", "twinloop", "demo", "--once", "--port", "0", "--home", str(home)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TWINLOOP_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return home, done.stdout


def test_the_story_ends_with_what_was_built_and_five_commands(told: tuple[Path, str]) -> None:
    _, said = told
    ending = said[said.index("Try next:") :]
    assert len(re.findall(r"^ {2}\S*twinloop ", ending, re.MULTILINE)) == 5
    assert "Built" in said


def test_no_request_failed_while_both_endpoints_were_rolled_back(told: tuple[Path, str]) -> None:
    _, said = told
    loads = re.findall(r"(\d+) requests at \d+/s, (\d+) failed", said)
    assert len(loads) == 2
    assert all(int(requests) >= 150 and failed == "0" for requests, failed in loads)
    waited = [int(ms) for ms in re.findall(r"first answer of \S+ after (\d+) ms", said)]
    assert len(waited) == 2
    assert max(waited) <= 1000


def test_the_story_leaves_no_process_behind(told: tuple[Path, str]) -> None:
    home, _ = told
    mine = str(home).encode()
    running = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if mine in words:
            running.append(words)
    assert running == []


def test_what_it_built_answers_after_a_restart_and_explains_itself(told: tuple[Path, str]) -> None:
    home, said = told
    command = re.search(r"predict flight-delay (.*)", said)
    assert command is not None
    flight = dict(word.split("=", 1) for word in command[1].split() if not word.startswith("-") and "=" in word)
    with ServerProcess(home) as server, twinloop.connect(url=server.url) as client:
        row = {"carrier": flight["carrier"], "flight": int(flight["flight"])}
        row |= {"origin": flight["origin"], "date": flight["date"]}
        answer = client.endpoints.predict("flight-delay", [row])
        assert 0.0 < answer["outputs"][0]["probability"] < 1.0
        ancestry = {(node["kind"], node["name"]) for node in client.lineage.why(answer["trace"])["nodes"]}
        assert {("release", "flight-delay"), ("model", "flight-delay"), ("dataset", "weather")} <= ancestry
        touched = client.lineage.impact("dataset/weather")["counts"]
        assert touched["releases"] >= 2
        assert touched["traces"] > 0
        chat = client.chat.ask("handbook", "Which library searches vectors by default?")
        assert "qdrant" in chat["text"].lower()
        assert chat["citations"]
