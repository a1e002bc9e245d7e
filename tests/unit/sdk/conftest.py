"""What tests of the SDK's own tracking share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recording import spooling


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where runs of this program write while no server answers."""
    with spooling(monkeypatch, tmp_path) as found:
        yield found
