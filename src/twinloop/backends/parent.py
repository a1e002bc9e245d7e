"""For child processes: end when the parent does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Twice over: the kernel's signal on Linux, and everywhere the end of standard input, a pipe only the parent holds."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    # The descriptor and not ``sys.stdin``, whose lock the interpreter wants for itself when it ends.
    while os.read(0, 4096):
        continue
    os._exit(0)
