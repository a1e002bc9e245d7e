"""/api/v1/replays as any client may call it: operations that cannot be read are refused one by one, bodies as a whole."""

from __future__ import annotations

from typing import Any

import pytest

import twinloop as tl
from tests.serving import ServerProcess
from twinloop.core.errors import InvalidInput
from twinloop.core.ids import new_id
from twinloop.sdk.client import ApiError

PATH = "/api/v1/replays"


def send(client: tl.Client, spool: str, first: int, *operations: Any) -> dict[str, Any]:
    return dict(client.call("POST", PATH, {"spool": spool, "first": first, "operations": operations}))


def test_an_operation_that_cannot_be_read_takes_its_number_and_holds_up_nothing(server: ServerProcess) -> None:
    run, spool = new_id(), new_id()
    with tl.connect(server.url) as client:
        answer = send(
            client,
            spool,
            1,
            {"do": "start", "run": run, "at": 1_700_000_000_000, "experiment": "replays", "of the future": True},
            {"do": "dance", "run": run},
            {"do": "log", "run": run, "at": "yesterday", "points": []},
            [],
            None,
            {"do": "log", "run": run, "at": 1_700_000_000_000, "points": [["loss", 0.5, 0]]},
        )
        assert answer["last"] == 6
        assert [item["sequence"] for item in answer["rejected"]] == [2, 3, 4, 5]
        assert all("cannot be read" in item["message"] for item in answer["rejected"])
        assert client.runs.get(run)["metrics"]["loss"]["value"] == 0.5
        assert client.call("GET", f"{PATH}/{spool}") == {"last": 6}
        assert client.call("GET", f"{PATH}/{new_id()}") == {"last": 0}


def test_a_gap_has_a_code_of_its_own(server: ServerProcess) -> None:
    with tl.connect(server.url) as client, pytest.raises(ApiError) as caught:
        send(client, new_id(), 2, {"do": "tags", "run": new_id(), "tags": {}})
    assert caught.value.code == "replay_gap"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"spool": "a", "first": 1},
        {"spool": "a b", "first": 1, "operations": []},
        {"spool": "a", "first": 0, "operations": []},
        {"spool": "a", "first": "1", "operations": []},
        {"spool": "a", "first": 1, "operations": [{}] * 10_001},
    ],
)
def test_a_body_that_does_not_fit_is_refused_as_a_whole(server: ServerProcess, body: dict[str, Any]) -> None:
    with tl.connect(server.url) as client, pytest.raises(InvalidInput):
        client.call("POST", PATH, body)
