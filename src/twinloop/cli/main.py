"""The entry point: ``twinloop COMMAND``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from twinloop.version import __version__

FAILED = 2
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 failed (one sentence on stderr), 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        print(f"twinloop {__version__}")
        return 0
    from twinloop.cli.arguments import parse
    from twinloop.core.errors import TwinloopError

    try:
        arguments = parse(words)
        code: int = arguments.handler(arguments)
        sys.stdout.flush()
        return code
    except TwinloopError as error:
        print(f"twinloop: {one_sentence(error.message)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; point stdout elsewhere so that the interpreter's last flush is quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  whatever it is, the caller gets one sentence
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """A fault of Twinloop's own: one sentence, and the stack trace only for who asks for it."""
    from twinloop.core.settings import load

    if load().log_level == "debug":
        raise error
    kind = type(error).__name__
    print(
        f"twinloop: Something unforeseen went wrong ({kind}: {one_sentence(str(error))[:300]}). "
        "Set TWINLOOP_LOG_LEVEL=debug to see where, and report it.",
        file=sys.stderr,
    )
    return FAILED


def one_sentence(message: str) -> str:
    """The message on one line."""
    return " ".join(message.split())


if __name__ == "__main__":
    sys.exit(main())
