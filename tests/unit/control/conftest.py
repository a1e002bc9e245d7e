from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.toys import Toy, open_toy


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[Toy]:
    opened = await open_toy(tmp_path)
    yield opened
    await opened.aclose()
