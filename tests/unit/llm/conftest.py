from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.llm.lane import Lane


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    opened = Lane(tmp_path)
    yield opened
    await opened.aclose()
