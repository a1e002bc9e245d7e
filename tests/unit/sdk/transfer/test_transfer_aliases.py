"""Aliases of an MLflow that is imported while people go on moving them, there and here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import twinloop as tl
from twinloop.sdk.client import Client
from twinloop.sdk.transfer.found import FoundModel, FoundVersion
from twinloop.sdk.transfer.mapping import Places
from twinloop.sdk.transfer.registry_copy import RegistryCopy
from twinloop.sdk.transfer.sink import Sink


class Registered:
    """An MLflow with one model of three versions; the part of a source that a copy of the registry reads."""

    def __init__(self, origin: str, **aliases: int) -> None:
        self.origin = origin
        self.aliases = aliases

    def models(self) -> Iterator[FoundModel]:
        yield FoundModel("churn", None, 5, 5, aliases=self.aliases)

    def versions(self, name: str) -> Iterator[FoundVersion]:
        for number in (1, 2, 3):
            yield FoundVersion(name, number, 5, 5, None, "ann", "None", "", None, "READY")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with tl.connect(home=tmp_path / "home") as connected:
        yield connected


def imported(client: Client, origin: str = "mlflow", **aliases: int) -> bool:
    """Import it; whether both sides have the same aliases then."""
    source: Any = Registered(origin, **aliases)
    copy = RegistryCopy(source, Sink(client), Places(), True)
    copy.copy()
    *_, line = copy.compare()
    return line.same


def here(client: Client) -> dict[str, int]:
    rows = Sink(client).rows("aliases")
    return {row["alias"]: row["number"] for row in rows}


def test_an_alias_that_was_moved_there_since_follows(client: Client) -> None:
    assert imported(client, champion=1, old=1)
    assert imported(client, champion=2, old=1)
    assert imported(client, champion=3, old=2)
    assert here(client) == {"champion": 3, "old": 2}


def test_an_alias_that_was_moved_here_stays_and_is_told(client: Client) -> None:
    assert imported(client, champion=1)
    (card,) = Sink(client).rows("cards")
    client.revisions.alias("model", card["name"], "champion", 2)
    assert not imported(client, champion=3)
    assert here(client) == {"champion": 2}


def test_an_alias_that_came_from_elsewhere_stays(client: Client) -> None:
    assert imported(client, champion=1)
    assert not imported(client, "another mlflow", champion=2)
    assert here(client) == {"champion": 1}
