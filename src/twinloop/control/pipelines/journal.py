"""What a runner writes to a local file before it goes on, so that it need not wait for the store.

A finished step is appended here with one write, which a killed process cannot lose, and acknowledged by the store a
little later. When the run is resumed on this machine, what the store has not heard of is read from the file. Only a
power cut, or resuming on another machine, can lose the steps finished in the last milliseconds; those run again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from twinloop.control.pipelines.model import StepChange
from twinloop.core.errors import StorageUnreadable

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StepChange)


class Journal:
    """The journal of one run, in ``folder``; every change is one line of JSON."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._path = folder / f"{run_id}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._earlier = self._read()
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageUnreadable(
                f"The journal {self._path} cannot be written ({error.strerror}). Free space or mend its owner."
            ) from error

    @property
    def earlier(self) -> Sequence[StepChange]:
        """What a runner before this one wrote."""
        return self._earlier

    def write(self, change: StepChange) -> None:
        """Append; on return the change survives the death of this process."""
        data = _encoder.encode(change) + b"\n"
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise StorageUnreadable(
                f"The journal {self._path} cannot be written ({error.strerror}). Free space and run the pipeline again."
            ) from error

    def remove(self) -> None:
        """The store has everything: the file is not needed any more."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> list[StepChange]:
        if not self._path.exists():
            return []
        lines = self._path.read_bytes().split(b"\n")
        whole, torn = lines[:-1], lines[-1]
        if torn:
            # A write that the disk had no room for; the step it speaks of counts as unfinished.
            with self._path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in whole))
        return [_decoder.decode(line) for line in whole]
