"""Values at and beyond what a machine number holds, and lists that are far too long: refused at once, not failed on."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.protocol.test_bad_input import send
from tests.serving import ServerProcess


def post(server: ServerProcess, path: str, body: Any, *statuses: int) -> Any:
    status, _, answer = send(server, "POST", path, json.dumps(body).encode())
    assert status in (statuses or (200, 201)), answer[:500]
    return json.loads(answer)


@pytest.fixture(scope="module")
def endpoint(server: ServerProcess) -> str:
    """An endpoint with a number among its inputs."""
    model = {
        "format": "constant",
        "task": "regression",
        "label": "delay",
        "inputs": [{"name": "hour"}],
        "params": {"value": 0.5},
    }
    post(server, "/api/v1/models", {"name": "extremes", "model": model})
    release = {"type": "predict", "pins": {"model": "model/extremes"}}
    post(server, "/api/v1/endpoints/extremes/releases", release)
    return "/api/v1/endpoints/extremes/predict"


def test_a_number_that_no_float_holds_is_refused(server: ServerProcess, endpoint: str) -> None:
    refused = post(server, endpoint, {"rows": [{"hour": 10**400}]}, 400)
    assert "'hour'" in refused["error"]["message"]


def test_a_number_that_only_float64_holds_is_answered(server: ServerProcess, endpoint: str) -> None:
    assert post(server, endpoint, {"rows": [{"hour": 1e308}]})["outputs"] == [{"delay": 0.5}]


@pytest.mark.parametrize("field", ["attempt", "started_ns", "finished_ns"])
def test_a_step_whose_numbers_no_store_holds_is_refused(server: ServerProcess, field: str) -> None:
    holder = {"token": "t", "host": "h", "place": "p", "pid": 1, "born": "b"}
    begun = post(server, "/api/v1/pipelines/runs", {"pipeline": f"far.{field}", "params": {}, "holder": holder})
    change = {"node": "a", "step": "s", "state": "finished", field: 2**63}
    path = f"/api/v1/pipelines/runs/{begun['run']['id']}/steps"
    refused = post(server, path, {"token": "t", "changes": [change]}, 400)
    assert field in refused["error"]["message"]


def test_a_view_of_twenty_thousand_columns_is_refused_at_once(server: ServerProcess) -> None:
    view = {"name": "wide", "source": "s", "entities": ["x"] * 20_000, "features": [{"compute": "column", "name": "y"}]}
    began = time.monotonic()
    post(server, "/api/v1/features/views", {"view": view}, 400)
    assert time.monotonic() - began < 2


REF = "model/none@1"
LONG = [
    (
        "/api/v1/revisions",
        {"kind": "prompt", "name": "p", "manifest": {}, "parents": [{"role": "r", "ref": REF}] * 20_000},
    ),
    ("/api/v1/indexes", {"name": "i", "documents": [REF] * 100_000, "embedder": "embedder/none"}),
    ("/api/v1/features/join", {"name": "j", "labels": "dataset/none", "views": ["v"] * 5_000, "at": "at"}),
    ("/api/v1/features/materialize", {"views": ["v"] * 5_000}),
    ("/api/v1/datasets", {"name": "d", "files": [], "parents": [REF] * 20_000}),
    ("/api/v1/runs/none/consumed", {"revisions": [{"role": "r", "ref": REF}] * 20_000}),
]


@pytest.mark.parametrize(("path", "body"), LONG, ids=[path for path, _ in LONG])
def test_a_list_of_references_that_is_far_too_long_is_refused_at_once(
    server: ServerProcess, path: str, body: Any
) -> None:
    began = time.monotonic()
    refused = post(server, path, body, 400)
    assert "length" in refused["error"]["message"]
    assert time.monotonic() - began < 2
