"""How busy the machine is while runs are under way, read from /proc and nvidia-smi, in MLflow's names."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from twinloop.sdk.capture.machine import nvidia
from twinloop.sdk.tracking.run import ActiveRun

INTERVAL_S = 10.0
FIRST_S = 2.0
"""The first sample comes sooner, so that a short run has one."""
_MB = 1e6
_SPARSE_CARDS = 3
"""After so many looks without a card, nvidia-smi is not asked again."""


class Counters(NamedTuple):
    """What the kernel has counted so far: processor time in ticks, bytes over the network."""

    busy: int
    total: int
    received: int
    sent: int


class Usage:
    """Samples of the whole machine; rates are since the sample before."""

    def __init__(self) -> None:
        self._before = _counters()
        self._without_cards = 0

    def sample(self) -> dict[str, float]:
        """Percentages from 0 to 100 and megabytes, by name; what cannot be read is left out."""
        before, now = self._before, _counters()
        self._before = now
        found: dict[str, float] = {}
        if now.total > before.total:
            found["system/cpu_utilization_percentage"] = 100.0 * (now.busy - before.busy) / (now.total - before.total)
        found["system/network_receive_megabytes"] = (now.received - before.received) / _MB
        found["system/network_transmit_megabytes"] = (now.sent - before.sent) / _MB
        return {**found, **_memory(), **_disk(), **self._cards()}

    def _cards(self) -> dict[str, float]:
        if self._without_cards >= _SPARSE_CARDS:
            return {}
        found: dict[str, float] = {}
        for number, line in enumerate(nvidia("utilization.gpu,memory.used,memory.total,power.draw,power.limit")):
            used = _numbers(line)
            name = f"system/gpu_{number}"
            if len(used) == 5:
                percent, memory, whole, power, limit = used
                found[f"{name}_utilization_percentage"] = percent
                found[f"{name}_memory_usage_megabytes"] = memory * 2**20 / _MB
                found[f"{name}_memory_usage_percentage"] = 100.0 * memory / whole if whole else float("nan")
                found[f"{name}_power_usage_watts"] = power
                found[f"{name}_power_usage_percentage"] = 100.0 * power / limit if limit else float("nan")
        self._without_cards = 0 if found else self._without_cards + 1
        return {key: value for key, value in found.items() if value == value}


def watch(run: ActiveRun) -> None:
    """Log samples on ``run`` every ten seconds until it ends, from one thread for all runs of the process."""
    _watch.add(run)


class _Watch:
    def __init__(self) -> None:
        self._runs: WeakSet[ActiveRun] = WeakSet()
        self._lock = threading.Lock()
        self._pid = 0

    def add(self, run: ActiveRun) -> None:
        if self._pid not in (0, os.getpid()):  # a forked child has no threads of its parent's
            self.__init__()  # type: ignore[misc]
        with self._lock:
            self._runs.add(run)
            if self._pid == 0:
                with contextlib.suppress(RuntimeError):  # a program that is ending gets no more threads
                    threading.Thread(target=self._work, name="twinloop-usage", daemon=True).start()
                    self._pid = os.getpid()

    def _work(self) -> None:
        usage = Usage()
        due = time.monotonic() + FIRST_S
        while True:
            time.sleep(max(0.1, due - time.monotonic()))
            due += INTERVAL_S
            runs = self._under_way()
            if not runs:
                return
            found = usage.sample()
            for run in runs:
                run.log(found)

    def _under_way(self) -> list[ActiveRun]:
        with self._lock:
            found = [run for run in self._runs if not run.ended]
            self._runs = WeakSet(found)
            if not found:
                self._pid = 0
            return found


_watch = _Watch()


def _counters() -> Counters:
    busy = total = received = sent = 0
    for line in _lines("/proc/stat")[:1]:
        ticks = [int(word) for word in line.split()[1:9]]
        total = sum(ticks)
        busy = total - ticks[3] - ticks[4]  # idle and waiting for the disk
    for line in _lines("/proc/net/dev")[2:]:
        name, _, rest = line.partition(":")
        if name.strip() != "lo":
            words = rest.split()
            received, sent = received + int(words[0]), sent + int(words[8])
    return Counters(busy, total, received, sent)


def _memory() -> dict[str, float]:
    kib = {}
    for line in _lines("/proc/meminfo"):
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            kib[name] = int(rest.split()[0])
    if len(kib) < 2:
        return {}
    used = kib["MemTotal"] - kib["MemAvailable"]
    return {
        "system/system_memory_usage_megabytes": used * 1024 / _MB,
        "system/system_memory_usage_percentage": 100.0 * used / kib["MemTotal"],
    }


def _disk() -> dict[str, float]:
    with contextlib.suppress(OSError):
        found = os.statvfs(Path.cwd())
        used, free = (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize
        return {
            "system/disk_usage_megabytes": used / _MB,
            "system/disk_usage_percentage": 100.0 * used / max(1, used + free),
            "system/disk_available_megabytes": free / _MB,
        }
    return {}


def _numbers(line: str) -> list[float]:
    """NaN for what the card does not tell."""
    found = []
    for word in line.split(","):
        try:
            found.append(float(word))
        except ValueError:
            found.append(float("nan"))
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
