from __future__ import annotations

import pytest

from twinloop.control.artifacts.model import Artifact
from twinloop.core.digests import digest_bytes
from twinloop.core.errors import InvalidInput
from twinloop.protocols.mlflow.artifacts_translate import (
    base_name,
    disposition,
    file_infos,
    file_path,
    mime_type,
    place_of,
    safe_path,
)

LEADING_ELSEWHERE = [
    "..", "../x", "a/../b", "a/..", "/x", "//x", "%2fx", "%252fx", "%2e%2e", "%252e%252e/x", "a%2f%2e%2e", "a\\b", "a%5cb",
    "#", "a%23b", "a%2523b", "file:x", "file:///x", "C:/x", "c%3a",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        (".", ""),
        ("./", ""),
        ("a/", "a"),
        ("a//b/./c", "a/b/c"),
        ("./a", "a"),
        ("a b", "a b"),
        ("100%", "100%"),
        ("a..b", "a..b"),
    ],
)
def test_dots_and_doubled_slashes_mean_nothing(text: str, path: str) -> None:
    assert safe_path(text) == path


@pytest.mark.parametrize("text", LEADING_ELSEWHERE)
def test_a_path_that_leads_elsewhere_is_refused_in_mlflows_two_words(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"\AInvalid path\Z"):
        safe_path(text)


@pytest.mark.parametrize(("text", "why"), [("a\nb", "control character"), ("x" * 256, "longer than 255 bytes")])
def test_a_path_that_cannot_be_kept_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        safe_path(text)


@pytest.mark.parametrize("text", ["", ".", "./."])
def test_the_root_is_no_file(text: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid path"):
        file_path(text)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("mlflow-artifacts:/1/run/artifacts", "1/run/artifacts"),
        ("mlflow-artifacts:///1/run", "1/run"),
        ("mlflow-artifacts://host:5000/1/run", "1/run"),
        ("mlflow-artifacts:", ""),
        ("mlflow-artifacts:/", ""),
        ("http://host/api/2.0/mlflow-artifacts/artifacts/1/run", "1/run"),
        ("https://host/prefix/api/2.0/mlflow-artifacts/artifacts", ""),
    ],
)
def test_a_uri_of_the_proxy_means_a_path(uri: str, path: str) -> None:
    assert place_of(uri) == path


@pytest.mark.parametrize(
    "uri", ["s3://bucket/x", "file:///x", "/x", "x", "http://host/x", "mlflow-artifacts:/a/../b", ""]
)
def test_a_uri_of_another_place_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        place_of(uri)


@pytest.mark.parametrize("path", ["big.bin", "/home/me/big.bin", "C:\\data\\big.bin", "./big.bin"])
def test_only_the_name_of_a_clients_file_counts(path: str) -> None:
    assert base_name(path) == "big.bin"


@pytest.mark.parametrize("path", ["", "/", "a/", "a\\"])
def test_what_names_no_file_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="names no file"):
        base_name(path)


def test_a_listing_leaves_out_what_is_empty() -> None:
    file = Artifact("r/d/a.txt", 5, digest_bytes(b"hello"), False, 0)
    empty = Artifact("r/d/b.txt", 0, digest_bytes(b""), False, 0)
    folder = Artifact("r/d/c", 0, digest_bytes(b""), True, 0)
    assert file_infos([file, empty, folder], "d") == {
        "files": [
            {"path": "d/a.txt", "is_dir": False, "file_size": 5},
            {"path": "d/b.txt", "is_dir": False},
            {"path": "d/c", "is_dir": True},
        ]
    }
    assert file_infos([], "d") == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MLmodel", "text/plain"),
        ("a.json", "text/plain"),
        ("a.JPG", "image/jpeg"),
        ("a.svg", "image/svg+xml"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_type_of_a_file_is_what_mlflow_says(name: str, kind: str) -> None:
    assert mime_type(name) == kind


def test_a_name_cannot_end_its_header() -> None:
    assert disposition('a"; x="b') == 'attachment; filename="a\\"; x=\\"b"'
    assert disposition("a\\") == 'attachment; filename="a\\\\"'
    assert disposition("ü;.txt") == "attachment; filename=\"u;.txt\"; filename*=UTF-8''%C3%BC%3B.txt"
