"""The browser that the tests of the console share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from tests.browsing import launched  # where playwright is not installed, only tests of the console are skipped

    with launched() as found:
        yield found


@pytest.fixture
def page(browser: Any, base_url: str) -> Iterator[Any]:
    """A page of the server at ``base_url``, which each module of tests fills with what it looks at."""
    from tests.browsing import looking

    with looking(browser, base_url) as opened:
        yield opened
