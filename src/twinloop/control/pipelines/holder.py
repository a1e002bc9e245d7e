"""Who executes a run, and whether a process that did is dead."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from twinloop.control.pipelines.model import Holder
from twinloop.core.ids import new_id

_PROC = Path("/proc")


def this_process() -> Holder:
    pid = os.getpid()
    return Holder(token=new_id(), host=platform.node(), place=_place(), pid=pid, born=_born(pid) or "")


def is_dead(holder: Holder, here: Holder) -> bool:
    """True only when it is certain: the holder's process would be visible from ``here``, and it is not there."""
    if holder.place != here.place:
        return False
    born = _born(holder.pid)
    return born is None or born != holder.born


def _place() -> str:
    """The machine's boot and its process namespace, or just the host where there is no /proc."""
    boot = _PROC / "sys/kernel/random/boot_id"
    namespace = _PROC / "self/ns/pid"
    if not boot.exists() or not namespace.is_symlink():
        return f"host:{platform.node()}"
    return f"{boot.read_text().strip()} {namespace.readlink()}"


def _born(pid: int) -> str | None:
    """When a process started, opaque, "" where the system does not say; None when there is no such process."""
    if not (_PROC / "self/stat").exists():
        return "" if _answers(pid) else None
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
