"""MLflow's artifact endpoints, by its own client and by plain requests."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from tests.protocol.test_mlflow import script
from tests.serving import ServerProcess

ROOT = "/api/2.0/mlflow-artifacts/artifacts"


class Answer(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error_code"])


def ask(
    server: ServerProcess, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request with the path as it is: nothing on the way makes it tidy."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def put(server: ServerProcess, path: str, body: bytes) -> None:
    assert ask(server, "PUT", f"{ROOT}/{path}", body).status == 200


def start_run(server: ServerProcess) -> str:
    body = json.dumps({"experiment_id": "0"}).encode()
    return str(ask(server, "POST", "/api/2.0/mlflow/runs/create", body).json["run"]["info"]["run_id"])


CLIENT = """
import os, pathlib, tempfile
import mlflow
from mlflow.artifacts import download_artifacts, load_text
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "src" / "deep").mkdir(parents=True)
(folder / "src" / "a.txt").write_text("0")
(folder / "src" / "deep" / "ä b+1%.bin").write_bytes(bytes(range(256)))
(folder / "src" / "empty").touch()
with mlflow.start_run() as run:
    id = run.info.run_id
    assert client.list_artifacts(id) == []
    mlflow.log_artifact(folder / "src" / "a.txt")
    mlflow.log_artifacts(str(folder / "src"), "dir")
    mlflow.log_text("text", "notes/one.txt")
    mlflow.log_dict({"a": 1}, "notes/two.json")

listed = [(a.path, a.is_dir, a.file_size) for a in client.list_artifacts(id)]
assert listed == [("a.txt", False, 1), ("dir", True, None), ("notes", True, None)], listed
assert [a.path for a in client.list_artifacts(id, "dir")] == ["dir/a.txt", "dir/deep", "dir/empty"]
assert client.list_artifacts(id, "a.txt") == [] == client.list_artifacts(id, "none")
for where in (".", "", None):
    found = pathlib.Path(download_artifacts(run_id=id, artifact_path=where or ""))
    assert (found / "a.txt").read_text() == "0"
    assert (found / "dir/deep/ä b+1%.bin").read_bytes() == bytes(range(256))
    assert (found / "dir/empty").read_bytes() == b""
assert sorted(os.listdir(download_artifacts(run_id=id, artifact_path="dir"))) == ["a.txt", "deep", "empty"]
assert load_text(f"{run.info.artifact_uri}/notes/one.txt") == "text"
mlflow.log_text("again", "notes/one.txt", run_id=id)
assert load_text(f"{run.info.artifact_uri}/notes/one.txt") == "again"

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
repo = get_artifact_repository(run.info.artifact_uri)
repo.delete_artifacts("dir/deep")
assert [a.path for a in client.list_artifacts(id, "dir")] == ["dir/a.txt", "dir/empty"]
repo.delete_artifacts()
assert client.list_artifacts(id) == []
try:
    client.download_artifacts(id, "a.txt")
except Exception as error:
    assert "a.txt" in str(error), error
else:
    raise AssertionError("a deleted file was downloaded")
"""


@pytest.mark.slow
def test_the_mlflow_client_logs_lists_downloads_and_deletes(server: ServerProcess) -> None:
    script(server.url, CLIENT)


@pytest.mark.slow
def test_the_mlflow_client_falls_back_when_presigned_downloads_are_not_offered(server: ServerProcess) -> None:
    text = CLIENT.partition("mlflow.log_text")[0]
    text += "\nassert pathlib.Path(download_artifacts(run_id=id, artifact_path='a.txt')).read_text() == '0'"
    script(server.url, text, MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true")


def test_a_folder_of_the_proxy_is_listed_by_name(server: ServerProcess) -> None:
    put(server, "list/a.txt", b"0")
    put(server, "list/dir/b.txt", b"12")
    put(server, "list/empty", b"")
    assert ask(server, "GET", f"{ROOT}?path=list").json == {
        "files": [
            {"path": "a.txt", "is_dir": False, "file_size": 1},
            {"path": "dir", "is_dir": True},
            {"path": "empty", "is_dir": False},
        ]
    }
    inner = {"files": [{"path": "b.txt", "is_dir": False, "file_size": 2}]}
    for path in ("list/dir", "list/dir/", "list/./dir", "list//dir/."):
        assert ask(server, "GET", f"{ROOT}?path={quote(path)}").json == inner
    assert ask(server, "GET", f"{ROOT}?path=list/nothing").json == {}
    names = [one["path"] for one in ask(server, "GET", ROOT).json["files"]]
    assert "list" in names


def test_a_run_lists_its_files_with_their_root(server: ServerProcess) -> None:
    run = start_run(server)
    put(server, f"0/{run}/artifacts/dir/b.txt", b"1")
    uri = f"mlflow-artifacts:/0/{run}/artifacts"
    for name in ("run_id", "run_uuid"):
        listed = ask(server, "GET", f"/api/2.0/mlflow/artifacts/list?{name}={run}").json
        assert listed == {"files": [{"path": "dir", "is_dir": True}], "root_uri": uri}
    listed = ask(server, "GET", f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run}&path=dir").json
    assert listed == {"files": [{"path": "dir/b.txt", "is_dir": False, "file_size": 1}], "root_uri": uri}
    missing = ask(server, "GET", "/api/2.0/mlflow/artifacts/list?run_id=" + "0" * 32)
    assert (missing.status, missing.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert ask(server, "GET", "/api/2.0/mlflow/artifacts/list").code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text/plain"),
        ("b.pkl", "application/octet-stream"),
        ("c.png", "image/png"),
        ("d.pdf", "application/pdf"),
        ("page.html", "text/html"),
        ("MLmodel", "text/plain"),
        ("mlproject", "text/plain"),
        ("conda.yaml", "text/plain"),
        ("unknown", "application/octet-stream"),
    ],
)
def test_a_download_is_an_attachment_of_the_type_its_name_says(server: ServerProcess, name: str, kind: str) -> None:
    run = start_run(server)
    put(server, f"0/{run}/artifacts/{name}", b"<script>")
    for path in (f"{ROOT}/0/{run}/artifacts/{name}", f"/get-artifact?run_id={run}&path={name}"):
        for method in ("GET", "HEAD"):
            answer = ask(server, method, path, headers={"accept": "text/html"})
            assert answer.status == 200
            assert answer.headers["content-type"] == kind
            assert answer.headers["content-disposition"] == f"attachment; filename={name}"
            assert answer.headers.get_all("x-content-type-options") == ["nosniff"]
            assert answer.headers["content-length"] == "8"
            assert answer.body == (b"<script>" if method == "GET" else b"")


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("dog+step+20.png", "attachment; filename=dog+step+20.png"),
        ('a "b"\\c.txt'.replace("\\", ""), 'attachment; filename="a \\"b\\"c.txt"'),
        ("größe.txt", "attachment; filename=groe.txt; filename*=UTF-8''gr%C3%B6%C3%9Fe.txt"),
        ("日本語", "attachment; filename=download; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E"),
    ],
)
def test_the_name_of_a_download_is_quoted_where_it_must_be(server: ServerProcess, name: str, disposition: str) -> None:
    put(server, f"names/{quote(name)}", b"x")
    answer = ask(server, "GET", f"{ROOT}/names/{quote(name)}")
    assert answer.headers["content-disposition"] == disposition


@pytest.mark.parametrize(
    ("asked", "status", "body", "given"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=3-2", 200, b"0123456789", None),
        ("bytes=-0", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file(server: ServerProcess, asked: str, status: int, body: bytes, given: str | None) -> None:
    put(server, "ranges/ten", b"0123456789")
    answer = ask(server, "GET", f"{ROOT}/ranges/ten", headers={"range": asked})
    assert (answer.status, answer.body, answer.headers["content-range"]) == (status, body, given)
    if status < 400:
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-length"] == str(len(body))


def test_a_range_of_an_older_file_gives_the_whole_new_one(server: ServerProcess) -> None:
    put(server, "ranges/changing", b"old")
    tag = ask(server, "HEAD", f"{ROOT}/ranges/changing").headers["etag"]
    again = ask(server, "GET", f"{ROOT}/ranges/changing", headers={"if-none-match": f'W/"x", {tag}'})
    assert (again.status, again.body) == (304, b"")
    put(server, "ranges/changing", b"newer")
    answer = ask(server, "GET", f"{ROOT}/ranges/changing", headers={"range": "bytes=1-", "if-range": tag})
    assert (answer.status, answer.body) == (200, b"newer")


LEADING_ELSEWHERE = [
    "../x", "a/../x", "..", "%2e%2e/x", "%252e%252e/x", "..%2fx", "..%252fx", "a%2f..%2f..%2fx", "..%5cx", "%5c%5cx",
    "/etc/passwd", "%2fetc/passwd", "%252fetc/passwd", "//etc/passwd", "/etc/passwd%00.jpg", "a%00b", "a%0ab", "C:/x", "c%3A/x", "file:///etc/passwd",
    "file:x", "a%23/..//x", "x%23y", "%25%32%65%25%32%65/x", "x/" * 600, "y" * 256,
]  # fmt: skip


@pytest.mark.parametrize("path", LEADING_ELSEWHERE)
def test_a_path_that_leads_elsewhere_is_refused_everywhere(server: ServerProcess, path: str) -> None:
    run = start_run(server)
    begun = json.dumps({"path": "x", "num_parts": 1}).encode()
    calls = [
        *((method, f"{ROOT}/{path}", b"x") for method in ("GET", "PUT", "DELETE")),
        ("GET", f"{ROOT}?path={path}", None),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{path}", begun),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}", None),
        ("GET", f"/get-artifact?run_id={run}&path={path}", None),
        ("GET", f"/model-versions/get-artifact?name=n&version=1&path={path}", None),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}", b"x"),
    ]
    for method, target, body in calls:
        answer = ask(server, method, target, body)
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE"), (method, target)


def test_a_path_that_leads_elsewhere_is_answered_as_mlflow_answers_to_the_letter(server: ServerProcess) -> None:
    run = start_run(server)
    for target in (
        f"/api/2.0/mlflow/artifacts/list?run_id={run}&path=../path",
        f"/get-artifact?run_id={run}&path=../path",
        "/model-versions/get-artifact?name=model&version=1&path=../path",
    ):
        answer = ask(server, "GET", target)
        assert (answer.status, answer.code, answer.json["message"]) == (400, "INVALID_PARAMETER_VALUE", "Invalid path")


def test_slashes_too_many_at_the_beginning_lead_to_the_same_path(server: ServerProcess) -> None:
    for target, location in [
        ("//get-artifact?run_id=x&path=a%20b", "/get-artifact?run_id=x&path=a%20b"),
        ("///api/2.0//mlflow/runs/get", "/api/2.0//mlflow/runs/get"),
        ("//a%20b/%5Cc", "/a%20b/%5Cc"),
        ("//", "/"),
    ]:
        answer = ask(server, "GET", target)
        assert (answer.status, answer.headers["location"]) == (308, location)
    # What a browser reads as another host does not come out of it.
    for target in ("//%5Cevil.example", "//%2F%2Fevil.example"):
        location = str(ask(server, "GET", target).headers["location"])
        assert location[0] == "/", target
        assert location[1:2] not in ("/", "\\"), target


def test_what_is_not_a_file_says_so_in_mlflows_words(server: ServerProcess) -> None:
    put(server, "forms/dir/file", b"x")
    for target, status, code, words in [
        (f"{ROOT}/forms/none", 404, "RESOURCE_DOES_NOT_EXIST", "No such artifact: 'forms/none'"),
        (
            f"{ROOT}/forms/dir",
            400,
            "INVALID_PARAMETER_VALUE",
            "Artifact path refers to a directory, not a file: 'forms/dir'",
        ),
        (f"{ROOT}/.", 400, "INVALID_PARAMETER_VALUE", "Invalid path"),
        ("/get-artifact?path=x&run_id=" + "0" * 32, 404, "RESOURCE_DOES_NOT_EXIST", "Run"),
        ("/get-artifact?run_id=x", 400, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'path'"),
    ]:
        answer = ask(server, "GET", target)
        assert (answer.status, answer.code) == (status, code), target
        assert answer.json["message"].startswith(words)
    assert ask(server, "PUT", f"{ROOT}/forms/dir", b"x").code == "RESOURCE_ALREADY_EXISTS"
    assert (
        ask(server, "PUT", f"{ROOT}/forms/new/", b"x")
        .json["message"]
        .startswith("Artifact path must include a filename")
    )
    assert ask(server, "DELETE", f"{ROOT}/forms/none").json == {}


def test_deleting_everything_at_once_is_refused(server: ServerProcess) -> None:
    put(server, "kept/file", b"x")
    for path in ("", ".", "./."):
        assert ask(server, "DELETE", f"{ROOT}/{path}").status == 400
    assert ask(server, "GET", f"{ROOT}/kept/file").body == b"x"


def test_a_page_uploads_a_small_file(server: ServerProcess) -> None:
    run = start_run(server)
    path = "/ajax-api/2.0/mlflow/upload-artifact"
    for query, words in [
        ("", "Request must specify run_uuid."),
        (f"?run_uuid={run}", "Request must specify path."),
        (f"?run_uuid={run}&path=", "Request must specify path."),
        (f"?run_uuid={run}&path=../test.txt", "Invalid path"),
        (f"?run_uuid={run}&path=test.txt", "Request must specify data."),
    ]:
        answer = ask(server, "POST", path + query)
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE")
        assert answer.json["message"].startswith(words)
    assert ask(server, "POST", f"{path}?run_uuid={run}&path=a/test.txt", b"hello world").status == 200
    assert ask(server, "GET", f"/get-artifact?run_uuid={run}&path=a/test.txt").body == b"hello world"


def test_an_upload_that_breaks_off_leaves_nothing(server: ServerProcess) -> None:
    netloc = urlsplit(server.url)
    connection = http.client.HTTPConnection(netloc.netloc, timeout=30)
    connection.putrequest("PUT", f"{ROOT}/broken/file")
    connection.putheader("content-length", "5000000")
    connection.endheaders(b"x" * 3_000_000)
    connection.close()
    assert ask(server, "GET", f"{ROOT}/broken/file").status == 404
    for _ in range(100):
        left = [path for path in (server.home / "blobs" / "incoming").iterdir() if path.is_file()]
        if not left:
            return
        ask(server, "GET", "/health")
    raise AssertionError(left)


def test_a_damaged_file_is_not_given_out_as_a_whole(server: ServerProcess) -> None:
    put(server, "damaged/file", b"x" * 3_000_000)
    digest = ask(server, "HEAD", f"{ROOT}/damaged/file").headers["etag"].strip('"').removeprefix("sha256:")
    blob = Path(server.home) / "blobs" / "sha256" / digest[:2] / digest[2:]
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"y")
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "GET", f"{ROOT}/damaged/file")


def test_a_file_of_a_model_version_is_read_where_the_version_says(server: ServerProcess) -> None:
    run = start_run(server)
    put(server, f"0/{run}/artifacts/model/MLmodel", b"flavors: {}")
    register(server, "registered-models/create", {"name": f"of {run}"})
    for version, source in enumerate((f"mlflow-artifacts:/0/{run}/artifacts/model", f"runs:/{run}/model"), 1):
        register(server, "model-versions/create", {"name": f"of {run}", "source": source, "run_id": run})
        target = f"/model-versions/get-artifact?name=of+{run}&version={version}&path=MLmodel"
        answer = ask(server, "GET", target)
        assert (answer.status, answer.body) == (200, b"flavors: {}"), source
    missing = ask(server, "GET", f"/model-versions/get-artifact?name=of+{run}&version=9&path=MLmodel")
    assert (missing.status, missing.code) == (404, "RESOURCE_DOES_NOT_EXIST")


def register(server: ServerProcess, verb: str, body: Any) -> None:
    answer = ask(server, "POST", f"/api/2.0/mlflow/{verb}", json.dumps(body).encode())
    assert answer.status == 200, answer.body


def test_files_of_a_logged_model_are_listed_and_read(server: ServerProcess) -> None:
    body = json.dumps({"experiment_id": "0", "name": "m"}).encode()
    made = ask(server, "POST", "/api/2.0/mlflow/logged-models", body).json["model"]["info"]
    uri, id = made["artifact_uri"], made["model_id"]
    put(server, f"{uri.removeprefix('mlflow-artifacts:/')}/deep/MLmodel", b"flavors: {}")
    place = f"logged-models/{id}/artifacts"
    root = ask(server, "GET", f"/api/2.0/mlflow/{place}/directories").json
    assert root == {"files": [{"path": "deep", "is_dir": True}], "root_uri": uri}
    deep = ask(server, "GET", f"/ajax-api/2.0/mlflow/{place}/directories?artifact_directory_path=deep").json
    assert deep["files"] == [{"path": "deep/MLmodel", "is_dir": False, "file_size": 11}]
    read = ask(server, "GET", f"/ajax-api/2.0/mlflow/{place}/files?artifact_file_path=deep/MLmodel")
    assert (read.status, read.body) == (200, b"flavors: {}")
    for target, status, code in [
        (f"/ajax-api/2.0/mlflow/{place}/files", 400, "INVALID_PARAMETER_VALUE"),
        (f"/ajax-api/2.0/mlflow/{place}/files?artifact_file_path=../x", 400, "INVALID_PARAMETER_VALUE"),
        (f"/ajax-api/2.0/mlflow/{place}/files?artifact_file_path=none", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("/api/2.0/mlflow/logged-models/m-none/artifacts/directories", 404, "RESOURCE_DOES_NOT_EXIST"),
    ]:
        answer = ask(server, "GET", target)
        assert (answer.status, answer.code) == (status, code), target
