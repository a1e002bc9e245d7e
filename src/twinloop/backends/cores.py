"""How many cores this process may use."""

from __future__ import annotations

import os
import sys


def available() -> int:
    """The size of the process's CPU affinity where the system has one, else the number of cores; at least 1."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
