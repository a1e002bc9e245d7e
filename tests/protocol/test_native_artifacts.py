"""/api/v1/artifacts and /api/v1/uploads, by plain requests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from tests.protocol.test_mlflow_artifacts import LEADING_ELSEWHERE, Answer, ask
from tests.serving import ServerProcess
from twinloop.core.digests import digest_bytes

ROOT = "/api/v1/artifacts"
PART = 2**16


def send(server: ServerProcess, method: str, path: str, body: Any = None) -> Answer:
    return ask(server, method, path, None if body is None else json.dumps(body).encode())


def test_a_file_goes_up_and_comes_down_with_its_digest(server: ServerProcess) -> None:
    digest = digest_bytes(b"hello")
    made = ask(server, "PUT", f"{ROOT}/native/a.txt", b"hello", {"x-content-digest": digest})
    assert made.status == 200
    assert {**made.json, "at": ""} == {
        "path": "native/a.txt", "size": 5, "digest": digest, "is_dir": False, "at": "", "flag": None
    }  # fmt: skip
    answer = ask(server, "GET", f"{ROOT}/native/a.txt")
    assert (answer.body, answer.headers["etag"]) == (b"hello", f'"{digest}"')
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a.txt"
    part = ask(server, "GET", f"{ROOT}/native/a.txt", headers={"range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"el")
    head = ask(server, "HEAD", f"{ROOT}/native/a.txt")
    assert (head.status, head.headers["content-length"], head.body) == (200, "5", b"")


def test_bytes_that_are_not_those_announced_are_refused(server: ServerProcess) -> None:
    for announced in (digest_bytes(b"else"), "sha256:x", "md5:00"):
        answer = ask(server, "PUT", f"{ROOT}/native/wrong", b"hello", {"x-content-digest": announced})
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_input")
    assert ask(server, "GET", f"{ROOT}/native/wrong").status == 404


def test_stored_bytes_are_put_at_another_path_by_their_digest(server: ServerProcess) -> None:
    ask(server, "PUT", f"{ROOT}/native/one.pkl", b"\x80\x04N.")
    digest = digest_bytes(b"\x80\x04N.")
    made = send(server, "POST", f"{ROOT}/native/two", {"digest": digest}).json
    assert (made["digest"], made["flag"]) == (digest, "pickle")
    assert ask(server, "GET", f"{ROOT}/native/two").headers["x-content-flag"] == "pickle"
    missing = send(server, "POST", f"{ROOT}/native/three", {"digest": digest_bytes(b"nobody has this")})
    assert missing.status == 404


def test_a_folder_is_listed_by_pages_or_in_depth_and_deleted_at_once(server: ServerProcess) -> None:
    for path in ("a/x", "a/y/z", "b"):
        ask(server, "PUT", f"{ROOT}/folder/{path}", path.encode())
    first = ask(server, "GET", "/api/v1/artifact-list?folder=folder&limit=1").json
    assert ([one["path"] for one in first["artifacts"]], first["next"]) == (["folder/a"], "a")
    second = ask(server, "GET", f"/api/v1/artifact-list?folder=folder&limit=1&token={first['next']}").json
    assert ([one["path"] for one in second["artifacts"]], second["next"]) == (["folder/b"], None)
    deep = ask(server, "GET", "/api/v1/artifact-list?folder=folder&deep=true").json
    assert [one["path"] for one in deep["artifacts"]] == ["folder/a/x", "folder/a/y/z", "folder/b"]
    assert ask(server, "GET", f"{ROOT}/folder").status == 404
    assert ask(server, "PUT", f"{ROOT}/folder/a", b"x").json["error"]["code"] == "conflict"
    assert ask(server, "DELETE", f"{ROOT}/folder").json == {}
    assert ask(server, "GET", "/api/v1/artifact-list?folder=folder&deep=true").json == {"artifacts": [], "next": None}


def test_an_upload_in_parts_is_gone_on_with(server: ServerProcess) -> None:
    data = bytes(range(256)) * 600
    begun = send(server, "POST", "/api/v1/uploads", {"path": "up/big", "size": len(data), "part_size": PART})
    assert begun.status == 201
    one = f"/api/v1/uploads/{begun.json['id']}"
    assert ask(server, "PUT", f"{one}/parts/2", data[PART : 2 * PART]).status == 200
    found = ask(server, "GET", "/api/v1/uploads?path=up/big").json["uploads"]
    assert [upload["id"] for upload in found] == [begun.json["id"]]
    assert [part["number"] for part in ask(server, "GET", one).json["parts"]] == [2]
    early = send(server, "POST", f"{one}/complete", {})
    assert (early.status, "missing: 1, 3" in early.json["error"]["message"]) == (400, True)
    ask(server, "PUT", f"{one}/parts/1", data[:PART])
    ask(server, "PUT", f"{one}/parts/3", data[2 * PART :])
    for _ in range(2):
        done = send(server, "POST", f"{one}/complete", {"digest": digest_bytes(data)})
        assert (done.status, done.json["digest"]) == (200, digest_bytes(data))
    assert ask(server, "GET", f"{ROOT}/up/big").body == data
    assert ask(server, "GET", "/api/v1/uploads?path=up/big").json == {"uploads": []}


def test_an_upload_is_forgotten_when_aborted(server: ServerProcess) -> None:
    id = send(server, "POST", "/api/v1/uploads", {"path": "up/gone"}).json["id"]
    ask(server, "PUT", f"/api/v1/uploads/{id}/parts/1", b"x")
    assert ask(server, "DELETE", f"/api/v1/uploads/{id}").json == {}
    assert ask(server, "GET", f"/api/v1/uploads/{id}").status == 404
    assert not (server.home / "blobs" / "parts" / id).exists()


@pytest.mark.parametrize("number", ["0", "x", "-1", "²", "10001", "9" * 30])
def test_what_cannot_number_a_part_is_refused(server: ServerProcess, number: str) -> None:
    id = send(server, "POST", "/api/v1/uploads", {"path": "up/numbers"}).json["id"]
    answer = ask(server, "PUT", f"/api/v1/uploads/{id}/parts/{quote(number)}", b"x")
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("path", LEADING_ELSEWHERE)
def test_a_path_that_leads_elsewhere_is_refused(server: ServerProcess, path: str) -> None:
    if path in ("a%00b", "x%23y", "file:x"):
        pytest.skip("is a name like any other here, or is refused before any route")
    calls = [(method, f"{ROOT}/{path}", b"x") for method in ("GET", "HEAD", "PUT", "DELETE")]
    calls.append(("GET", f"/api/v1/artifact-list?folder={path}", b""))
    for method, target, body in calls:
        assert ask(server, method, target, body).status == 400, (method, target)


def test_answers_fit_the_document(server: ServerProcess) -> None:
    document = ask(server, "GET", "/api/v1/openapi.json").json
    upload = send(server, "POST", "/api/v1/uploads", {"path": "doc/x", "size": 3})
    part = ask(server, "PUT", f"/api/v1/uploads/{upload.json['id']}/parts/1", b"abc")
    for method, path, status, answer in [
        ("post", "/api/v1/uploads", "201", upload),
        ("put", "/api/v1/uploads/{id}/parts/{number}", "200", part),
        ("get", "/api/v1/uploads/{id}", "200", ask(server, "GET", f"/api/v1/uploads/{upload.json['id']}")),
        ("get", "/api/v1/uploads", "200", ask(server, "GET", "/api/v1/uploads?path=doc/x")),
        ("post", "/api/v1/uploads/{id}/complete", "200",
         send(server, "POST", f"/api/v1/uploads/{upload.json['id']}/complete", {})),
        ("put", "/api/v1/artifacts/{path}", "200", ask(server, "PUT", f"{ROOT}/doc/y", b"y")),
        ("get", "/api/v1/artifact-list", "200", ask(server, "GET", "/api/v1/artifact-list?folder=doc")),
    ]:  # fmt: skip
        assert str(answer.status) == status
        schema = document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)
