"""The state of the code: which commit, and what was changed since."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from twinloop.control.security.redaction import MASK, redact

_TIMEOUT_S = 10.0
_DIFF_BYTES = 2**20
_SECRET_FILES = (
    "**/.env*",
    "**/*.env",
    "**/*.pem",
    "**/*.key",
    "**/id_rsa*",
    "**/*secret*",
    "**/*credential*",
    "**/.netrc",
)
_ASSIGNED = re.compile(
    r"""((?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key)\w*["']?\s*[:=]\s*)(["'])[^"'\n]{4,}\2""",
    re.IGNORECASE,
)
_CUT = "\n[the rest was left out: the difference is larger than 1 MiB]\n"


class Checkout(msgspec.Struct, frozen=True):
    """A working copy. ``diff`` is what tracked files have that the commit has not, without secrets, 1 MiB at most."""

    commit: str
    branch: str
    remote: str
    diff: str
    untracked: int


def checkout(folder: Path) -> Checkout | None:
    """The working copy that ``folder`` lies in; None when it lies in none, or there is no git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory")
    return Checkout(
        commit=commit,
        branch=_git(folder, "rev-parse", "--abbrev-ref", "HEAD"),
        remote=without_credentials(_git(folder, "config", "--get", "remote.origin.url")),
        diff=without_secrets(_diff(folder)),
        untracked=len(others.splitlines()),
    )


def without_credentials(url: str) -> str:
    """A remote's URL without user, password and query."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None:
        return url.rpartition("@")[2] if "@" in url.partition(":")[0] else url
    host = parts.hostname or ""
    if parts.port:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def without_secrets(diff: str) -> str:
    """A difference with keys of known forms masked, and whatever is assigned to a name such as ``password``."""
    masked: str = redact(diff)
    return _ASSIGNED.sub(rf"\1\2{MASK}\2", masked)


def _diff(folder: Path) -> str:
    """Read no more than fits: a difference may be any size."""
    left_out = [f":(top,exclude,icase,glob){name}" for name in _SECRET_FILES]
    command = _command(folder, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", "--", ":/", *left_out)
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        ) as git:
            assert git.stdout is not None
            found = git.stdout.read(_DIFF_BYTES + 1)
            git.kill()
    except OSError:
        return ""
    text = found[:_DIFF_BYTES].decode(errors="replace")
    return text + _CUT if len(found) > _DIFF_BYTES else text


def _git(folder: Path, *words: str) -> str:
    """What git prints, or nothing when it fails or takes too long."""
    try:
        done = subprocess.run(
            _command(folder, *words), capture_output=True, timeout=_TIMEOUT_S, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


def _command(folder: Path, *words: str) -> list[str]:
    """Without optional locks and without the file monitor, so that looking changes and starts nothing."""
    return ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *words]
