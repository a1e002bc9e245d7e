"""Files that contract tests share: weights are fetched once a machine, into the cache a user's home has too."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    return Path.home() / ".cache" / "twinloop"
