from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.unit.ml.lane import Lane, open_lane


@pytest_asyncio.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    opened = open_lane(tmp_path)
    yield opened
    await opened.store.aclose()
