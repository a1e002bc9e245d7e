"""Take data files out of published Python packages without installing them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from twinloop.core.errors import InstallationError

_POLL_SECONDS = 0.2


class SourceFailed(Exception):
    """This source cannot give the file; another one may."""


class Archive:
    """A downloaded wheel or sdist."""

    def __init__(self, path: Path, requirement: str) -> None:
        self._path = path
        self._requirement = requirement

    def extract(self, member: str, target: Path) -> None:
        """Write one member's bytes to ``target``. Names inside the archive never become paths, so none can escape.

        Raises:
            SourceFailed: no such member, or the archive is damaged.
        """
        try:
            if self._path.name.endswith(".whl"):
                self._from_wheel(member, target)
            else:
                self._from_sdist(member, target)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
            raise SourceFailed(f"the archive of {self._requirement} is damaged ({error})") from error

    def _from_wheel(self, member: str, target: Path) -> None:
        with zipfile.ZipFile(self._path) as wheel:
            self._require(member, member in wheel.namelist())
            with wheel.open(member) as data, target.open("wb") as out:
                shutil.copyfileobj(data, out)

    def _from_sdist(self, member: str, target: Path) -> None:
        with tarfile.open(self._path) as sdist:
            found = next((item for item in sdist if item.isfile() and item.name.partition("/")[2] == member), None)
            stream = None if found is None else sdist.extractfile(found)
            self._require(member, stream is not None)
            if stream is not None:
                with target.open("wb") as out:
                    shutil.copyfileobj(stream, out)

    def _require(self, member: str, found: bool) -> None:
        if not found:
            raise SourceFailed(f"{self._requirement} holds no {member}")


def download_archive(requirement: str, sha256: str | None, scratch: Path, report: Callable[[int], None]) -> Archive:
    """Download the wheel or sdist of ``name==version`` with pip into a folder under ``scratch``.

    With ``sha256`` pip verifies the archive before it reads it: of an sdist it runs the build backend to learn the
    metadata, so pin the hash of every sdist.

    Args:
        report: called now and then with the bytes here so far.

    Raises:
        SourceFailed: pip could not find or verify the package; the text is pip's last word.
        InstallationError: this Python has no pip.
    """
    folder = Path(tempfile.mkdtemp(prefix="pip-", dir=scratch))
    wanted = folder / "requirements.txt"
    wanted.write_text(requirement + (f" --hash=sha256:{sha256}" if sha256 else "") + "\n")
    archives = folder / "archives"
    archives.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "--dest", str(archives), "--requirement", str(wanted)]
    # pip keeps unfinished downloads below TMPDIR; with it here their size can be reported, and a kill leaves nothing elsewhere.
    log = folder / "pip.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "TMPDIR": str(folder)}
        )
        try:
            while True:
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    report(_bytes_below(folder))
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise _failure(requirement, log.read_text(errors="replace"))
    return Archive(next(archives.iterdir()), requirement)


def _failure(requirement: str, log: str) -> Exception:
    if "No module named pip" in log:
        return InstallationError(
            f"{sys.executable} has no pip to download {requirement}. Run: {sys.executable} -m ensurepip"
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    return SourceFailed(f"pip download {requirement} failed ({(errors or lines or ['no output'])[-1][:300]})")


def _bytes_below(folder: Path) -> int:
    """Sizes of all files below; ``os.walk`` passes over folders that pip removes while we look."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total
