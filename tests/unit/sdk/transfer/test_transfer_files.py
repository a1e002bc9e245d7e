from __future__ import annotations

from pathlib import Path

import pytest

from twinloop.core.errors import InvalidInput
from twinloop.sdk.transfer.errors import SourceUnreadable
from twinloop.sdk.transfer.file_walk import LARGEST, Entry, exactly, walk
from twinloop.sdk.transfer.found import FoundFile
from twinloop.sdk.transfer.local_files import LocalFiles


def listed(tree: dict[str, list[Entry]]) -> list[FoundFile]:
    return list(walk(lambda folder: tree.get(folder, [])))


def test_every_file_comes_with_its_path() -> None:
    tree = {"": [Entry("b", 0, True), Entry("a.txt", 3, False)], "b": [Entry("c.txt", 4, False)]}
    assert listed(tree) == [FoundFile("a.txt", 3), FoundFile("b/c.txt", 4)]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/passwd", "C:", "a\\b", "a\nb", "%2e%2e", "..%2fx"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    (found,) = listed({"": [Entry(name, 1, False)]})
    assert found.refused is not None
    (folder,) = walk(lambda path: [Entry(name, 0, True)] if path == "" else [Entry("x", 1, False)])
    assert folder.refused is not None


@pytest.mark.parametrize("size", [-1, LARGEST + 1, 2**63])
def test_an_absurd_size_is_refused(size: int) -> None:
    (found,) = listed({"": [Entry("x", size, False)]})
    assert "absurd" in (found.refused or "")


def test_a_folder_that_holds_itself_ends() -> None:
    found = list(walk(lambda folder: [Entry("again", 0, True)]))
    assert len(found) == 1
    assert "deep" in (found[0].refused or "")


def test_bytes_are_as_many_as_were_listed() -> None:
    file = FoundFile("x", 4)
    assert b"".join(exactly([b"ab", b"cd"], file, "it")) == b"abcd"
    with pytest.raises(SourceUnreadable, match="larger"):
        list(exactly([b"abc", b"de", b"more"], file, "it"))
    with pytest.raises(SourceUnreadable, match="has 3 bytes"):
        list(exactly([b"abc"], file, "it"))


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A database with artifacts beside it, and secrets further away."""
    run = tmp_path / "mlflow" / "mlruns" / "1" / "r1" / "artifacts"
    (run / "model").mkdir(parents=True)
    (run / "model" / "MLmodel").write_text("x")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("secret")
    (tmp_path / "mlflow" / "mlflow.db").touch()
    return tmp_path


def reading(beside: Path, *folders: Path) -> LocalFiles:
    return LocalFiles(beside / "mlflow" / "mlflow.db", folders)


def paths(files: LocalFiles, location: str) -> list[str]:
    return [file.path for file in files.walk(location) if file.refused is None]


def test_artifacts_are_found_beside_the_database_however_their_place_is_written(beside: Path) -> None:
    files, root = reading(beside), beside / "mlflow" / "mlruns" / "1" / "r1" / "artifacts"
    for location in (
        "mlflow-artifacts:/1/r1/artifacts", "mlflow-artifacts://host:5000/1/r1/artifacts", str(root), f"file://{root}",
        "./mlruns/1/r1/artifacts", "/somewhere/else/mlruns/1/r1/artifacts",
    ):  # fmt: skip
        assert paths(files, location) == ["model/MLmodel"], location
        assert list(files.read(location, FoundFile("model/MLmodel", 1), "it")) == [b"x"]
    assert files.present({"a": "mlflow-artifacts:/1/r1/artifacts", "b": "mlflow-artifacts:/1/r2/artifacts"}) == {"a"}


def test_a_place_outside_the_folders_is_not_read(beside: Path) -> None:
    files = reading(beside)
    for location in (
        str(beside / "secrets"), f"file://{beside}/secrets", "mlflow-artifacts:/../../secrets", "mlflow-artifacts:/",
        "mlflow-artifacts:/1/r1/../../../../secrets", "../secrets", "s3://bucket/1/r1/artifacts", "/etc",
    ):  # fmt: skip
        with pytest.raises(SourceUnreadable):
            list(files.walk(location))
        with pytest.raises(SourceUnreadable):
            list(files.read(location, FoundFile("key", 6), "it"))


def test_links_are_not_followed(beside: Path) -> None:
    run = beside / "mlflow" / "mlruns" / "1" / "r1" / "artifacts"
    (run / "file").symlink_to(beside / "secrets" / "key")
    (run / "folder").symlink_to(beside / "secrets")
    files = reading(beside)
    found = {file.path: file.refused for file in files.walk("mlflow-artifacts:/1/r1/artifacts")}
    assert found["model/MLmodel"] is None
    assert found["file"]
    assert found["folder"]
    with pytest.raises(SourceUnreadable):
        list(files.read("mlflow-artifacts:/1/r1/artifacts", FoundFile("file", 6), "it"))
    (beside / "mlflow" / "mlruns" / "2").symlink_to(beside / "secrets")
    with pytest.raises(SourceUnreadable):
        list(files.walk("mlflow-artifacts:/2"))


def test_other_folders_are_named(beside: Path) -> None:
    moved = beside / "elsewhere"
    (moved / "1" / "r1" / "artifacts").mkdir(parents=True)
    (moved / "1" / "r1" / "artifacts" / "a").write_text("moved")
    assert paths(reading(beside, moved), "mlflow-artifacts:/1/r1/artifacts") == ["a"]
    with pytest.raises(InvalidInput, match="There is no folder"):
        reading(beside, beside / "nothing")
