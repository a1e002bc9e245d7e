"""What a run ran with: found without slowing it down, and without a secret in it."""

from __future__ import annotations

import logging
import multiprocessing
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import twinloop as tl
from tests.recording import operations, spooling
from twinloop.control.tracking.replay.operations import Artifact, Log, Tags
from twinloop.sdk.capture import git, machine, snapshot, usage
from twinloop.sdk.capture.seeds import seeds
from twinloop.sdk.spooling.left import spools
from twinloop.sdk.spooling.spool import file_of

KEY = "sk-" + "a1B2" * 8


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit, a remote with a password, and changes that were not committed."""
    folder = tmp_path / "project"
    folder.mkdir()

    def run(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)

    run("init", "-q", "-b", "work")
    (folder / "train.py").write_text("depth = 6\n")
    (folder / ".env").write_text("nothing = here\n")
    run("add", ".")
    run("commit", "-q", "-m", "first")
    run("remote", "add", "origin", "https://ann:hunter2@example.org/team/project.git?token=x")
    (folder / "train.py").write_text(f'depth = 7\nkey = "{KEY}"\npassword = "correct horse"\n')
    (folder / ".env").write_text("database = swordfish\n")
    (folder / "new.txt").write_text("new")
    return folder


def test_the_commit_the_branch_and_what_changed_since_are_found(checkout: Path) -> None:
    found = git.checkout(checkout)
    assert found is not None
    assert len(found.commit) == 40
    assert (found.branch, found.untracked) == ("work", 1)
    assert "-depth = 6\n+depth = 7\n" in found.diff


def test_no_secret_leaves_with_the_code(checkout: Path) -> None:
    found = git.checkout(checkout)
    assert found is not None
    assert found.remote == "https://example.org/team/project.git"
    for secret in (KEY, "correct horse", "swordfish", "hunter2"):
        assert secret not in found.diff + found.remote


def test_a_change_from_a_folder_below_the_root_is_found_too(checkout: Path) -> None:
    (checkout / "deep").mkdir()
    found = git.checkout(checkout / "deep")
    assert found is not None
    assert "+depth = 7" in found.diff


def test_a_difference_of_any_size_is_cut(checkout: Path) -> None:
    (checkout / "train.py").write_text("x" * 100 + "\n" * 5_000_000)
    found = git.checkout(checkout)
    assert found is not None
    assert len(found.diff) < 2**20 + 200
    assert found.diff.endswith("larger than 1 MiB]\n")


def test_a_folder_without_git_has_no_checkout(tmp_path: Path) -> None:
    assert git.checkout(tmp_path) is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host:8443/a/b.git", "https://host:8443/a/b.git"),
        ("https://token@github.com/a/b", "https://github.com/a/b"),
        ("git@github.com:a/b.git", "github.com:a/b.git"),
        ("ssh://git@host/a.git", "ssh://host/a.git"),
        ("/srv/git/a.git", "/srv/git/a.git"),
        ("", ""),
    ],
)
def test_a_remote_is_shown_without_credentials(url: str, shown: str) -> None:
    assert git.without_credentials(url) == shown


def test_arguments_are_shown_without_secrets() -> None:
    words = ["--depth", "6", "--api-key", "s3cret", "--token=abc", "--flag", KEY, "--password", "--verbose", "x"]
    assert snapshot.arguments(words) == (
        "--depth 6 --api-key [redacted] --token=[redacted] --flag [redacted] --password --verbose x"
    )


def test_the_machine_and_its_packages_are_described() -> None:
    facts = machine.facts()
    assert facts["environment.python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert int(facts["environment.cpus"]) >= 1
    lines = machine.packages().splitlines()
    assert any(line.startswith("msgspec==") for line in lines)
    assert lines == sorted(lines, key=str.lower)


def test_equal_seeds_give_equal_tags_and_numpy_tells_its_seed() -> None:
    numpy = pytest.importorskip("numpy")
    random.seed(4)
    numpy.random.seed(1234)
    first = seeds()
    random.seed(4)
    numpy.random.seed(1234)
    assert seeds() == first
    assert first["seed.numpy"] == "1234"
    random.random()
    numpy.random.random()
    moved = seeds()
    assert moved["seed.python_state"] != first["seed.python_state"]
    assert "seed.numpy" not in moved


def test_another_generator_of_numpys_is_told_by_its_state_and_warns_of_nothing() -> None:
    numpy = pytest.importorskip("numpy")
    before = numpy.random.get_bit_generator()
    try:
        told = []
        for seed in (7, 7, 8):
            numpy.random.set_bit_generator(numpy.random.PCG64(seed))
            told.append(seeds()["seed.numpy_state"])
    finally:
        numpy.random.set_bit_generator(before)
    assert told[0] == told[1] != told[2]


def test_seeds_import_nothing() -> None:
    program = "import sys; from twinloop.sdk.capture.seeds import seeds; seeds(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_usage_is_measured_in_percent_and_megabytes() -> None:
    meter = usage.Usage()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        sum(range(1000))
    found = meter.sample()
    assert 0 < found["system/cpu_utilization_percentage"] <= 100
    assert 0 < found["system/system_memory_usage_percentage"] < 100
    assert 0 < found["system/disk_usage_percentage"] <= 100
    assert found["system/system_memory_usage_megabytes"] > 100
    assert found["system/network_receive_megabytes"] >= 0


CARD = "NVIDIA H200, 143771, 570.86"
BUSY = "63, 71000, 142000, 350.5, 700.0"


def test_graphics_cards_are_described_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what nvidia-smi prints; a value that a card does not tell is left out."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        f"#!/bin/sh\ncase $1 in *name*) echo '{CARD}';; *) echo '{BUSY}'; echo '5, 10, 100, [N/A], [N/A]';; esac\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.facts()["environment.gpus"] == CARD
    found = usage.Usage().sample()
    assert found["system/gpu_0_utilization_percentage"] == 63.0
    assert found["system/gpu_0_memory_usage_percentage"] == 50.0
    assert found["system/gpu_0_power_usage_watts"] == 350.5
    assert found["system/gpu_1_memory_usage_percentage"] == 10.0
    assert "system/gpu_1_power_usage_watts" not in found


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with spooling(monkeypatch, tmp_path) as found:
        monkeypatch.setattr(snapshot, "_kept", {})
        yield found


def captured(root: Path) -> tuple[dict[str, str | None], dict[str, bytes]]:
    tags: dict[str, str | None] = {}
    files: dict[str, bytes] = {}
    for operation in operations(root):
        if isinstance(operation, Tags):
            tags |= operation.tags
    for folder in spools(root):
        for operation in operations(root, files=True):
            if isinstance(operation, Artifact) and file_of(folder, operation.file).is_file():
                files[operation.path] = file_of(folder, operation.file).read_bytes()
    return tags, files


def wait_for_capture(root: Path) -> None:
    deadline = time.monotonic() + 60
    while "environment/packages.txt" not in captured(root)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_keeps_what_it_ran_with(root: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "script", lambda: checkout / "train.py")
    monkeypatch.setattr(sys, "argv", ["train.py", "--api-key", "s3cret", "--depth", "7"])
    began = time.perf_counter()
    run = tl.run(system_metrics=False)
    assert time.perf_counter() - began < 2.0
    wait_for_capture(root)
    tags, files = captured(root)
    assert tags["code.commit"] == tags["mlflow.source.git.commit"]
    assert (tags["code.branch"], tags["code.dirty"], tags["code.untracked_files"]) == ("work", "true", "1")
    assert (tags["code.script"], tags["mlflow.source.name"]) == (str(checkout / "train.py"), "train.py")
    assert tags["code.arguments"] == "--api-key [redacted] --depth 7"
    assert b"+depth = 7" in files["code/diff.patch"]
    assert KEY.encode() not in files["code/diff.patch"]
    assert b"msgspec==" in files["environment/packages.txt"]
    run.finish()


def test_only_the_outermost_run_is_captured_and_capturing_can_be_turned_off(root: Path) -> None:
    with tl.run(capture=False, system_metrics=False), tl.run(system_metrics=False):
        pass
    assert captured(root) == ({}, {})


def test_a_failing_capture_is_a_warning_and_not_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise OSError("no packages today")

    monkeypatch.setattr(machine, "packages", broken)
    with tl.run(system_metrics=False):
        pass
    deadline = time.monotonic() + 30
    while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.02)
    assert any("could not be captured" in record.getMessage() for record in caplog.records)


def test_seeds_that_cannot_be_read_stop_no_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(random=SimpleNamespace(get_state=None)))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING), tl.run(system_metrics=False):
        pass
    assert any("seeds" in record.getMessage() for record in caplog.records)


def test_the_machine_is_watched_while_a_run_is_open_and_not_after(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "FIRST_S", 0.1)
    monkeypatch.setattr(usage, "INTERVAL_S", 0.1)
    with tl.run(capture=False) as run, tl.run(capture=False):
        time.sleep(0.6)
    time.sleep(0.3)
    count = len(operations(root))
    time.sleep(0.4)
    assert len(operations(root)) == count
    logs = [operation for operation in operations(root) if isinstance(operation, Log)]
    assert len(logs) >= 2
    assert {log.run for log in logs} == {run.id}, "a child has the same machine"
    first, second = ([step for key, _, step in log.points if key.startswith("system/cpu")] for log in logs[:2])
    assert (first, second) == ([0], [1])
    with tl.run(capture=False):
        time.sleep(0.35)
    assert len(operations(root)) > count + 2


def test_a_program_that_gets_no_more_threads_runs_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one has it that is ending, or that has as many as the system allows."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(usage, "_watch", usage._Watch())
        patch.setattr(threading.Thread, "start", start)
        with tl.run() as run:
            run.log(loss=1)
    assert any(isinstance(operation, Log) for operation in operations(root))


def test_a_forked_worker_captures_though_its_parent_was_capturing(root: Path) -> None:
    with snapshot._lock:
        child = multiprocessing.get_context("fork").Process(target=_take)
        child.start()
        child.join(timeout=60)
        ended = child.exitcode
        child.kill()
        child.join()
    assert ended == 0


def _take() -> None:
    snapshot.take(None)
