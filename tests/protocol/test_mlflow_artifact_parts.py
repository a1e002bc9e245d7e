"""MLflow's uploads in parts, and the presigned URLs it is declined, by its own client and by plain requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.protocol.test_mlflow import script
from tests.protocol.test_mlflow_artifacts import ROOT, Answer, ask, start_run
from tests.serving import ServerProcess

PARTS = """
import hashlib, pathlib, os, tempfile
import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

begun = []
create = HttpArtifactRepository.create_multipart_upload
HttpArtifactRepository.create_multipart_upload = lambda *a, **k: begun.append(create(*a, **k)) or begun[-1]
file = pathlib.Path(tempfile.mkdtemp()) / "große Datei.bin"
file.write_bytes(os.urandom(5_000_001))
with mlflow.start_run() as run:
    mlflow.log_artifact(str(file))
    mlflow.log_artifact(str(file), "in/a folder")
assert [len(created.credentials) for created in begun] == [5, 5], begun
for path in (file.name, f"in/a folder/{file.name}"):
    found = pathlib.Path(download_artifacts(run_id=run.info.run_id, artifact_path=path))
    assert found.read_bytes() == file.read_bytes()
"""


@pytest.mark.slow
def test_the_mlflow_client_uploads_in_parts_when_told_to(server: ServerProcess) -> None:
    told = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1000000",
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "1048576",
    }
    script(server.url, PARTS, **told)


def mpu(server: ServerProcess, verb: str, folder: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return ask(server, "POST", f"/api/2.0/mlflow-artifacts/mpu/{verb}/{folder}", json.dumps(body).encode(), headers)


def test_parts_are_put_by_their_urls_and_joined(server: ServerProcess) -> None:
    created = mpu(server, "create", "0/parts", {"path": "/somewhere/on/the/client/big.bin", "num_parts": 2}).json
    etags = {}
    for credential, data in zip(created["credentials"], (b"one ", b"two"), strict=True):
        answer = ask(server, "PUT", urlsplit(credential["url"]).path, data, credential["headers"])
        assert answer.status == 200
        etags[credential["part_number"]] = answer.headers["etag"]
    request = {"path": "big.bin", "upload_id": created["upload_id"]}
    named = [{"part_number": n, "etag": etag, "url": "ignored"} for n, etag in etags.items()]
    elsewhere = mpu(server, "complete", "0/elsewhere", {**request, "parts": named})
    assert (elsewhere.status, elsewhere.code) == (400, "INVALID_PARAMETER_VALUE")
    swapped = [{"part_number": n, "etag": etags[3 - n]} for n in (1, 2)]
    assert mpu(server, "complete", "0/parts", {**request, "parts": swapped}).status == 400
    for _ in range(2):
        assert mpu(server, "complete", "0/parts", {**request, "parts": named}).json == {}
    assert ask(server, "GET", f"{ROOT}/0/parts/big.bin").body == b"one two"


def test_an_aborted_upload_takes_no_more_parts(server: ServerProcess) -> None:
    created = mpu(server, "create", "0/parts", {"path": "gone.bin", "num_parts": 1}).json
    request = {"path": "gone.bin", "upload_id": created["upload_id"]}
    assert mpu(server, "abort", "0/parts", request).json == {}
    assert mpu(server, "abort", "0/parts", request).json == {}
    part = ask(server, "PUT", urlsplit(created["credentials"][0]["url"]).path, b"x")
    assert (part.status, part.code) == (401, "UNAUTHENTICATED")
    done = mpu(server, "complete", "0/parts", {**request, "parts": [{"part_number": 1, "etag": "x"}]})
    assert (done.status, done.code) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    "body",
    [{}, {"path": "x", "num_parts": 0}, {"path": "x", "num_parts": 10_001}, {"path": "x/", "num_parts": 1}],
    ids=str,
)
def test_an_upload_that_cannot_be_is_refused(server: ServerProcess, body: dict[str, Any]) -> None:
    answer = mpu(server, "create", "0/parts", body)
    assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE")


def test_urls_of_parts_are_those_that_a_proxy_says(server: ServerProcess) -> None:
    said = {"x-forwarded-proto": "https", "x-forwarded-host": "ml.example.org", "x-forwarded-prefix": "/team"}
    created = mpu(server, "create", "0/parts", {"path": "x", "num_parts": 1}, said).json
    assert created["credentials"][0]["url"].startswith("https://ml.example.org/team/api/2.0/mlflow-artifacts/mpu/part/")


def test_presigned_urls_are_declined_as_mlflow_declines_them(server: ServerProcess) -> None:
    answer = ask(server, "GET", "/api/2.0/mlflow-artifacts/presigned/0/x")
    assert (answer.status, answer.code) == (501, "NOT_IMPLEMENTED")
    assert answer.json["message"].startswith("Multipart download is not supported for the current artifact repository")
    run = start_run(server)
    for what, body, words in [
        ("upload", {"path": "x"}, "Exactly one of run_id and model_id"),
        ("upload", {"path": "x", "run_id": run}, "Presigned upload is not supported for proxied artifact storage"),
        ("upload", {"path": "../x", "run_id": run}, "Invalid path"),
        (
            "download",
            {"path": "x", "run_id": run},
            "Presigned download is not supported for runs with proxied artifact",
        ),
        ("download", {"path": "x", "run_id": run, "expiration": 0}, "expiration must be between"),
        ("download", {"path": "x"}, "Missing value for required parameter 'run_id'"),
    ]:
        refused = ask(server, "POST", f"/api/2.0/mlflow/artifacts/presigned-{what}-url", json.dumps(body).encode())
        assert (refused.status, refused.code) == (400, "INVALID_PARAMETER_VALUE")
        assert refused.json["message"].startswith(words)


def test_clients_are_not_told_to_send_parts_unasked(server: ServerProcess) -> None:
    # MLflow 3.17's client cannot send a pathlib.Path in parts, and does so by itself where this says true.
    info = ask(server, "GET", "/api/3.0/mlflow/server-info").json
    assert (info["multipart_uploads_enabled"], info["multipart_downloads_enabled"]) == (False, False)
