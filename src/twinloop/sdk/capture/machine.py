"""The machine and the Python a run has, read from what the system offers without further packages."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

_NVIDIA_TIMEOUT_S = 10.0


def facts() -> dict[str, str]:
    """Interpreter, system, processors, memory and graphics cards, by tag; what cannot be told is left out."""
    found = {
        "environment.python": platform.python_version(),
        "environment.interpreter": sys.executable,
        "environment.os": platform.platform(),
        "environment.host": platform.node(),
        "environment.cpu": _processor(),
        "environment.cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "environment.memory_gib": _memory(),
        "environment.gpus": "; ".join(cards()),
    }
    return {key: value for key, value in found.items() if value}


def cards() -> list[str]:
    """Name, memory and driver of each NVIDIA card."""
    return nvidia("name,memory.total,driver_version")


def nvidia(fields: str) -> list[str]:
    """One line of comma-separated values a card; none when there is no card or no driver."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_NVIDIA_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]


def packages() -> str:
    """Every installed distribution as ``name==version``, one a line."""
    found = set()
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            found.add(f"{name}=={distribution.version}")
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return f"{int(line.split()[1]) / 2**20:.1f}"
    return ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
