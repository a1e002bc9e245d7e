"""One real server a test process, for the protocol tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "home") as running:
        yield running
